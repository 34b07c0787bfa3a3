package automator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sealift.dev/automator/hold"
	"sealift.dev/automator/remote"
)

// describe gives each group its images and its message.
func (t *turn) describe(groups []group, images []ImageReport) error {
	for i := range groups {
		g := &groups[i]
		changed := map[string]bool{}
		for _, c := range g.changes {
			changed[c.Image] = true
		}
		var told []ImageReport
		for _, image := range images {
			if image.Group != g.name {
				continue
			}
			g.images = append(g.images, image)
			if changed[image.Name] {
				told = append(told, image)
			}
		}
		if len(g.files) == 0 {
			continue
		}
		var err error
		if g.message, err = t.message(g.name, g.changes, told); err != nil {
			return err
		}
	}
	return nil
}

// leaveAlone says that nothing is to be pushed to a branch of its own (push.branch): somebody
// else committed to it, which the note tells, or it holds just what would be pushed.
func (a *Automator) leaveAlone(ctx context.Context, t *turn, groups []group, writes []write) (leave bool, note string, err error) {
	if t.target == t.branch || t.head == "" || !hasFiles(groups) {
		return false, "", nil
	}
	log, err := a.git.History(ctx, t.head, len(groups)+1)
	if err != nil {
		return true, "", err
	}
	onBase := t.head == t.tip
	for i, c := range log {
		if onBase = onBase || c.ID == t.tip; onBase {
			break
		}
		if !a.isOwn(t, c) {
			if i == 0 {
				return true, fmt.Sprintf("branch %s is left alone: its commit %.7s is by %s", t.target, c.ID, c.Committer.Name), nil
			}
			return false, "", nil
		}
	}
	if !onBase {
		return false, "", nil
	}
	same, err := a.holds(ctx, t, writes)
	return same, "", err
}

func hasFiles(groups []group) bool {
	return slices.ContainsFunc(groups, func(g group) bool { return len(g.files) > 0 })
}

// isOwn says that an automator made a commit, and nobody changed it since.
func (a *Automator) isOwn(t *turn, c remote.Commit) bool {
	return remote.Author(c.Committer) == a.author(t) && strings.Contains(c.Message, "\n"+hold.Trailer+": ")
}

// holds says that the branch that is pushed to holds the edits of all groups.
func (a *Automator) holds(ctx context.Context, t *turn, writes []write) (bool, error) {
	head, err := a.git.Snapshot(ctx, t.head)
	if err != nil {
		return false, err
	}
	all, _ := t.apply(writes, t.groupNames()...)
	for path, data := range all.files {
		blob, err := head.Find(path)
		if err != nil || blob != remote.BlobID(data) {
			return false, err
		}
	}
	return true, nil
}

// groupNames are those of all images, each once, in the order of sealift.yaml.
func (t *turn) groupNames() []string {
	var names []string
	for _, img := range t.settings.images {
		if !slices.Contains(names, img.Group) {
			names = append(names, img.Group)
		}
	}
	return names
}
