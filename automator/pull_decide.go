package automator

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sealift.dev/automator/gate"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/remote"
	"sealift.dev/internal/text"
)

// pullFacts are all that decides what becomes of a group's pull request.
type pullFacts struct {
	exists   bool   // the branch
	own      bool   // its tip is the automator's
	same     bool   // it is what it would be made
	asked    bool   // there is a forge to ask
	open     bool   // a request is
	rejected bool   // the latest request was closed by a person
	wanted   bool   // the group has edits
	waiting  string // why what is proposed stays as it is for now; empty: it need not
	ended    string // why nobody needs what is proposed any more
}

// step is what is done. The zero step leaves everything as it is.
type step struct {
	push   bool // the branch is made anew
	keep   bool // a request is to be open
	close  bool // the open request is closed
	drop   bool // the branch is deleted
	reason string
}

// decidePull is pure.
func decidePull(f pullFacts) step {
	switch {
	case f.exists && !f.own && f.open:
		return step{reason: "somebody has committed to its branch, which is left alone; hint: merge or close it"}
	case f.exists && !f.own && f.wanted:
		return step{reason: "its branch has somebody's commits and no open pull request; hint: delete the branch, or open one"}
	case f.exists && !f.own:
		return step{}
	case f.open && f.waiting != "":
		return step{reason: f.waiting}
	case f.wanted:
		return step{push: !f.same, keep: true}
	case f.open && f.ended == "":
		return step{reason: "nothing is known about what it proposes; hint: close it, or merge it"}
	case f.open:
		return step{close: f.asked, drop: true, reason: f.ended}
	case f.exists && !f.rejected:
		return step{drop: true}
	}
	return step{}
}

// action is how a step is told.
func (s step) action(one *pull) string {
	switch {
	case one.latest == nil:
		return pullOpened
	case s.push:
		return pullUpdated
	}
	return ""
}

// standing judges what a request proposes by what is known now: what keeps it as it is for
// now, and what ended it.
func standing(proposed map[string]hold.Written, g group) (waiting, ended string) {
	var ends []string
	for _, image := range slices.Sorted(maps.Keys(proposed)) {
		tag := proposed[image].Tag
		if slices.ContainsFunc(g.changes, func(c Change) bool { return c.Image == image }) {
			continue
		}
		i := slices.IndexFunc(g.images, func(r ImageReport) bool { return r.Name == image })
		if i < 0 {
			ends = append(ends, image+" is not in this group any more")
			continue
		}
		report := g.images[i]
		reason, passing := refusalOf(report, tag)
		switch {
		case report.Err != nil:
			return fmt.Sprintf("%s could not be checked: %s", image, text.Line(report.Err.Error(), 300)), ""
		case passing:
			return fmt.Sprintf("%s %s waits: %s", image, tag, reason), ""
		case reason != "":
			ends = append(ends, fmt.Sprintf("%s %s: %s", image, tag, reason))
		case report.Tag == "":
			return image + " has no version that may be written now", ""
		default:
			ends = append(ends, fmt.Sprintf("%s is up to date without it", image))
		}
	}
	return "", strings.Join(ends, "; ")
}

// refusalOf says why an image's tag is not written now, and whether that may pass by itself.
func refusalOf(report ImageReport, tag string) (reason string, passing bool) {
	for _, r := range report.Refusals {
		if r.Tag != "" && r.Tag != tag {
			continue
		}
		switch gate.Gate(r.Gate) {
		case gate.Time, gate.Age, gate.Budget, gate.List:
			return r.Reason, true
		case gate.Downgrade:
			continue // what is there is newer: it is up to date
		}
		return r.Reason, false
	}
	return "", false
}

// isOurs says that a commit was made by the automator as it is: who amends or rebases one
// becomes its committer.
func isOurs(c remote.Commit, author remote.Author) bool {
	return c.Author == author && c.Committer == author && len(c.Parents) == 1 && strings.Contains(c.Message, "\n"+hold.Trailer+": ")
}

// sameText ignores how lines end.
func sameText(a, b string) bool { return plainText(a) == plainText(b) }

func plainText(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}

// headOf is a group's branch. What no branch may be called, and the ledger's name, get a
// checksum: two groups never share a branch.
func headOf(prefix, group string) string {
	if prefix == "" {
		prefix = "sealift/"
	}
	if group == "" {
		return prefix + "images"
	}
	const most = 60
	slug := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, group)
	slug = slug[:min(len(slug), most)]
	if slug != group || slug == "state" || slug == "images" || strings.HasPrefix(slug, "-") {
		slug = fmt.Sprintf("%s-%x", strings.Trim(slug, "-"), sha256.Sum256([]byte(group)))[:len(strings.Trim(slug, "-"))+9]
	}
	return prefix + strings.TrimPrefix(slug, "-")
}
