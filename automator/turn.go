package automator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/forge"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

// How many commits are searched for what was written and reverted.
const (
	maxHistory = 500 // where there is no ledger
	maxRecent  = 50  // where the ledger may lack the last commit
)

// tree is the files of a commit: on a server, or in a local repository.
type tree interface {
	Tip() string
	Files(ctx context.Context, visit func(path, blob, odd string) error) error
	Find(path string) (blob string, err error)
	Read(ctx context.Context, blobs []string) (contents map[string][]byte, tooLarge []string, err error)
	Diff(ctx context.Context, files map[string][]byte) (string, error)
}

// turn is what one pass has read on one tip of the branch, and what it makes of it.
type turn struct {
	now      time.Time
	branch   string           // that was read
	target   string           // that is pushed to
	tip      string           // branch's commit, in hex
	head     string           // target's, which is another where target is; empty: it is not there
	base     *remote.Snapshot // of tip; nil for a local repository
	tree     tree             // the same
	state    state
	ledger   *ledger.Ledger // to be pushed if it is another than state's
	past     hold.Past
	settings settings
	reading  *reading
	spots    map[string][]spot // by NAMESPACE:NAME, as all maps here
	seen     map[string]func(tag string) time.Time
	found    map[string]scanned
	decided  map[string]decided
	moved    map[string]map[string]string // tags that moved between check and write
	notes    []Note
	apart    bool                     // the ledger is pushed before the branch
	pulls    *pulls                   // nil: commits go to target
	latest   map[string]forge.Request // of each of pulls' branches
}

// read asks for the refs, and fetches what moved.
func (a *Automator) read(ctx context.Context) (*turn, error) {
	branch, err := a.branch(ctx)
	if err != nil {
		return nil, err
	}
	t := &turn{now: a.opts.Now(), branch: branch}
	refs, err := a.git.Refs(ctx, a.watched(branch)...)
	if err != nil {
		return t, err
	}
	tip, ok := refs[headsPrefix+branch]
	if !ok {
		a.named = "" // it may have had another name
		return t, fmt.Errorf("%s has no branch %q; hint: push it first, or name another", a.opts.Repo, branch)
	}
	t.tip = tip
	if a.base == nil || a.base.Tip() != tip {
		if a.base, err = a.git.Snapshot(ctx, tip); err != nil {
			return t, fmt.Errorf("reading %s: %w", branch, err)
		}
	}
	t.base = a.base
	t.tree = t.base
	if err := a.readTree(ctx, t); err != nil {
		return t, fmt.Errorf("%s of %s: %w", branch, a.opts.Repo, err)
	}
	if err := a.aim(ctx, t, refs); err != nil {
		return t, err
	}
	if err := a.readState(ctx, t, refs); err != nil {
		return t, err
	}
	t.begin()
	// Push options are about branches: some ask for a merge request of whatever is pushed.
	t.apart = a.apart || a.stateRefused != nil || len(t.settings.push.Options) > 0
	if err := a.confirm(ctx, t); err != nil {
		return t, err
	}
	return t, a.readPast(ctx, t)
}

// begin makes room for what is found out about what was read.
func (t *turn) begin() {
	t.spots = t.places()
	t.seen = map[string]func(string) time.Time{}
	t.found, t.decided, t.moved = map[string]scanned{}, map[string]decided{}, map[string]map[string]string{}
}

const headsPrefix = "refs/heads/"

// watched are the refs that each pass asks for.
func (a *Automator) watched(branch string) []string {
	names := []string{headsPrefix + branch, ledger.Ref(branch), ledger.Branch(branch)}
	if last := a.reading; last != nil && last.settings.push.Branch != "" {
		names = append(names, headsPrefix+last.settings.push.Branch)
	}
	return names
}

// aim finds out where commits go.
func (a *Automator) aim(ctx context.Context, t *turn, refs map[string]string) error {
	t.target, t.head = t.branch, t.tip
	if t.settings.push.Branch == "" || t.settings.push.Branch == t.branch || t.settings.pulls != nil {
		return nil
	}
	t.target = t.settings.push.Branch
	name := headsPrefix + t.target
	if _, known := refs[name]; !known {
		more, err := a.git.Refs(ctx, name)
		if err != nil {
			return err
		}
		refs = more
	}
	t.head = refs[name]
	return nil
}

// readPast searches the history where the ledger does not know an image, or may be behind.
func (a *Automator) readPast(ctx context.Context, t *turn) error {
	depth := 0
	for _, img := range t.settings.images {
		switch {
		case !t.ledger.Knows(img.policy):
			depth = maxHistory
		case a.isBehind(t, img):
			depth = max(depth, maxRecent)
		}
	}
	if depth == 0 || t.base == nil {
		return nil
	}
	if a.past.tip != t.tip || a.past.depth < depth {
		log, err := a.git.History(ctx, t.tip, depth)
		if err != nil {
			return fmt.Errorf("reading the history of %s: %w", t.branch, err)
		}
		commits := make([]hold.Commit, len(log))
		for i, c := range log {
			commits[i] = hold.Commit{ID: c.ID, Time: c.Time, Message: c.Message}
		}
		a.past = past{tip: t.tip, depth: depth, known: hold.ReadHistory(commits)}
	}
	t.past = a.past.known
	return nil
}

// isBehind says that the ledger may not know the last commit about an image: a pass may have
// ended between the push of the branch and that of the ledger, and nobody says what became of
// merge requests that only push options asked for.
func (a *Automator) isBehind(t *turn, img followed) bool {
	written := t.ledger.Images[img.policy].Written
	if len(written) == 0 {
		return a.apart || len(t.settings.push.Options) > 0 || t.settings.pulls != nil && t.settings.pulls.Provider == forge.GitLab
	}
	return slices.ContainsFunc(t.spots[img.policy], func(s spot) bool {
		return s.hasTag() && !s.foreign && slices.ContainsFunc(written, func(w hold.Written) bool {
			order, ok := img.order.Compare(s.tag, w.Tag)
			return ok && order > 0 && (w.Paths == nil || slices.Contains(w.Paths, s.path))
		})
	})
}

// past is the history of one tip.
type past struct {
	tip   string
	depth int // commits that were asked for
	known hold.Past
}

// branch is the branch to work on; a flag goes before sealift.yaml.
func (a *Automator) branch(ctx context.Context) (string, error) {
	if a.opts.Branch != "" {
		return a.opts.Branch, nil
	}
	if a.named != "" {
		return a.named, nil
	}
	name, err := a.git.DefaultBranch(ctx)
	if err != nil {
		return "", err
	}
	refs, err := a.git.Refs(ctx, headsPrefix+name)
	if err != nil {
		return "", err
	}
	base, err := a.git.Snapshot(ctx, refs[headsPrefix+name])
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	data, err := a.config(ctx, base)
	if errors.Is(err, errNoConfig) {
		return name, nil
	}
	if err != nil {
		return "", fmt.Errorf("%s of %s: %w", name, a.opts.Repo, err)
	}
	config, err := parseSettings(data)
	if err != nil {
		return "", fmt.Errorf("%s of %s: reading %s: %w", name, a.opts.Repo, v1alpha1.ConfigFile, err)
	}
	if config.branch != "" {
		name = config.branch
	}
	a.named = name
	return name, nil
}

// compare orders the tags of an image as its policy does.
func (t *turn) compare(img followed) hold.Compare {
	if collector := t.found[img.policy].collector; collector != nil {
		return collector.Compare
	}
	return func(a, b string) (int, bool) { return img.order.Compare(a, b) }
}
