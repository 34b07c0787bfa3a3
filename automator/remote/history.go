package remote

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// maxLogs is how many commits are remembered, and the most that a history has.
const maxLogs = 10_000

// Commit is one entry of a history.
type Commit struct {
	ID      string
	Parents []string
	Author  Author
	// Committer made the commit as it is: who amends or rebases another's.
	Committer Author
	Time      time.Time // of the committer, in UTC; zero: beyond the year 9999
	Message   string
}

// History gives up to n commits from tip on, newest first, without their files where the
// server can leave them out. It asks for nothing if all of them are known.
func (r *Repository) History(ctx context.Context, tip string, n int) ([]Commit, error) {
	if !plumbing.IsHash(tip) || n < 1 || n > maxLogs {
		return nil, fmt.Errorf("reading %d commits from %q: that is no commit's id, or not 1 to %d commits", n, oneLine(tip), maxLogs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, complete := r.log(tip, n); complete {
		return known, nil
	}
	if err := r.fetchLog(ctx, plumbing.NewHash(tip), n); err != nil {
		return nil, fmt.Errorf("reading the history of %s of %s: %w", tip, r.url, hinted(err))
	}
	known, _ := r.log(tip, n) // what lies beyond the border is not asked for
	return known, nil
}

// log follows parents through the commits that are known. It is complete if none was missing.
func (r *Repository) log(tip string, n int) (found []Commit, complete bool) {
	complete = true
	seen := map[string]bool{tip: true}
	for next := []string{tip}; len(next) > 0 && len(found) < n; {
		newest := -1
		for i, id := range next {
			c, ok := r.logs[plumbing.NewHash(id)]
			if complete = complete && ok; ok && (newest < 0 || c.Time.After(r.logs[plumbing.NewHash(next[newest])].Time)) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		c := r.logs[plumbing.NewHash(next[newest])]
		next = slices.Delete(next, newest, newest+1)
		found = append(found, c)
		for _, parent := range c.Parents {
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	return found, complete
}

func (r *Repository) fetchLog(ctx context.Context, tip plumbing.Hash, n int) error {
	g, err := r.greet(ctx)
	if err != nil {
		return err
	}
	if len(r.logs) > maxLogs {
		clear(r.logs)
	}
	w := want{ids: []plumbing.Hash{tip}, depth: n, filter: "tree:0", limits: r.limits}
	var got objects
	if g.canShallow() && !g.canFilter() && len(r.recent) > 0 {
		got, err = r.fetch(ctx, g, r.besides(w))
	}
	if got == nil && ctx.Err() == nil {
		got, err = r.fetch(ctx, g, w)
	}
	if err != nil {
		return err
	}
	for id, o := range got {
		if o.kind != plumbing.CommitObject {
			continue
		}
		if _, r.logs[id], err = commitOf(got, id); err != nil {
			return err
		}
	}
	return nil
}

// besides leaves out of w what is here: where files cannot be left out, at least those need not
// come again. Servers do so only if differences may be based on them.
func (r *Repository) besides(w want) want {
	w.known = objects{}
	for _, here := range r.recent {
		w.haves = append(w.haves, here.tip)
		r.logs[here.tip] = here.log
		maps.Copy(w.known, here.trees)
		maps.Copy(w.known, here.files)
	}
	return w
}

func commitOf(from objects, id plumbing.Hash) (root plumbing.Hash, log Commit, err error) {
	c, err := decodeCommit(from, id)
	if err != nil {
		return plumbing.ZeroHash, Commit{}, err
	}
	log = Commit{
		ID: id.String(), Author: Author{c.Author.Name, c.Author.Email}, Committer: Author{c.Committer.Name, c.Committer.Email}, Time: plausible(c.Committer.When),
		Message: strings.ToValidUTF8(c.Message, "?"),
	}
	for _, parent := range c.ParentHashes {
		log.Parents = append(log.Parents, parent.String())
	}
	return c.TreeHash, log, nil
}

// plausible is a time in UTC that JSON can hold, whatever a commit claims; else zero.
func plausible(t time.Time) time.Time {
	const lastYear = 9999
	if t = t.UTC(); t.Year() < 1 || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}
