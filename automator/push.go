package automator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

// checkMoved asks once more for the digests of what is written without one, directly before
// it is. It reports whether a tag moved since it was checked: that candidate is refused.
func (a *Automator) checkMoved(ctx context.Context, t *turn, writes []write) (bool, error) {
	loose := map[string]bool{}
	for _, w := range writes {
		if w.loose && w.change.Tag != "" {
			loose[w.change.Image] = true
		}
	}
	any := false
	for _, img := range t.settings.images {
		if !loose[img.policy] {
			continue
		}
		moved, err := t.decided[img.policy].decision.Recheck(ctx, a.facts(t, img))
		if err != nil {
			return any, fmt.Errorf("checking %s again: %w", img.policy, err)
		}
		if len(moved) > 0 {
			any = true
			if t.moved[img.policy] == nil {
				t.moved[img.policy] = map[string]string{}
			}
			maps.Copy(t.moved[img.policy], moved)
		}
	}
	return any, nil
}

// commit builds one commit for each group that has edits, each on the one before.
func (a *Automator) commit(ctx context.Context, t *turn, groups []group, writes []write, result *Result) (remote.Pending, error) {
	var last remote.Pending
	base := t.base
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
		if len(g.files) == 0 {
			continue
		}
		all, notes := t.apply(writes, names...)
		files := map[string][]byte{}
		for path := range g.files {
			if data, ok := all.files[path]; ok {
				files[path] = data
			}
		}
		if len(files) < len(g.files) { // the edits of one group take away what another's go by
			t.notes = append(t.notes, notes...)
			result.Changes = slices.DeleteFunc(result.Changes, func(c Change) bool { return slices.Contains(g.changes, c) })
			names = names[:len(names)-1]
			continue
		}
		commit, err := a.git.Commit(ctx, base, files, remote.Message{Author: a.author(t), Text: g.message, Time: t.now})
		if err != nil {
			return last, fmt.Errorf("building a commit on %s: %w", t.branch, err)
		}
		base, last = commit.Snapshot(), commit
		result.Commits = append(result.Commits, Commit{Group: g.name, ID: commit.ID(), Message: g.message})
		result.Message = g.message
		t.wrote(g, commit.ID())
	}
	return last, nil
}

// wrote notes what a commit writes: as written if the branch that is read moves together with
// the ledger, else as what will have been written once the commit is there.
func (t *turn) wrote(g group, commit string) {
	key := t.target
	if t.target == t.branch {
		key = announced(t.branch, commit)
	}
	for policy, w := range written(g, commit, t.now) {
		if t.target == t.branch && !t.apart {
			t.ledger.Images[policy].Wrote(w)
			continue
		}
		if t.ledger.Requests == nil {
			t.ledger.Requests = map[string]ledger.Request{}
		}
		request := t.ledger.Requests[key]
		if request.Images == nil {
			request.Images = map[string]hold.Written{}
		}
		request.Commit, request.Images[policy] = commit, w
		t.ledger.Requests[key] = request
	}
}

// announced is where the ledger has a commit that is about to be pushed to the branch that is
// read: no branch has such a name, and automators at once do not have the same.
func announced(branch, commit string) string { return branch + " " + commit }

// written is what a group writes, by NAMESPACE:NAME.
func written(g group, commit string, now time.Time) map[string]hold.Written {
	all := map[string]hold.Written{}
	for _, c := range g.changes {
		if c.Tag == "" {
			continue
		}
		w := all[c.Image]
		w.Tag, w.Commit, w.At = c.Tag, commit, now
		if c.Digest != "" {
			w.Digest = c.Digest
		}
		if !slices.Contains(w.Paths, c.File) {
			w.Paths = append(w.Paths, c.File)
		}
		all[c.Image] = w
	}
	for policy, w := range all {
		slices.Sort(w.Paths)
		all[policy] = w
	}
	return all
}

// settle notes what was pushed to another branch, and has been merged since.
func (t *turn) settle() {
	request, ok := t.ledger.Requests[t.target]
	if !ok || t.target == t.branch {
		return
	}
	for policy, w := range request.Images {
		there := true
		for _, s := range t.spots[policy] {
			there = there && (!s.hasTag() || !slices.Contains(w.Paths, s.path) || s.has(w))
		}
		if there && len(t.spots[policy]) > 0 {
			entryOf(t.ledger, policy).Wrote(w)
			delete(request.Images, policy)
		}
	}
	if len(request.Images) == 0 {
		delete(t.ledger.Requests, t.target)
	}
}

// confirm counts as written what was about to be pushed to the branch, and is there. What is
// not there after the longest pass was not taken, and nobody has taken it back.
func (a *Automator) confirm(ctx context.Context, t *turn) error {
	there := &ledger.Ledger{Images: map[string]*ledger.Image{}}
	var log []remote.Commit
	for key, request := range t.ledger.Requests {
		if key != announced(t.branch, request.Commit) || t.base == nil {
			continue
		}
		if log == nil {
			var err error
			if log, err = a.git.History(ctx, t.tip, maxHistory); err != nil {
				return fmt.Errorf("reading the history of %s: %w", t.branch, err)
			}
		}
		taken, late := slices.ContainsFunc(log, func(c remote.Commit) bool { return c.ID == request.Commit }), false
		for policy, w := range request.Images {
			late = late || t.now.Sub(w.At) > runTimeout
			if taken {
				entry := there.Image(policy, entryOf(t.ledger, policy).Repo)
				entry.Written = append(entry.Written, w)
			}
		}
		if taken || late {
			delete(t.ledger.Requests, key)
		}
	}
	if len(there.Images) > 0 {
		t.ledger = ledger.Merge(t.ledger, there)
	}
	return nil
}

// push moves the branch, if there is a commit, and the ledger with it: both or none, since a
// ledger that tells of a commit which was not taken looks like a person's revert. Where that
// cannot be, the ledger goes first, and tells of a commit that is about to come.
func (a *Automator) push(ctx context.Context, t *turn, commit remote.Pending) error {
	var updates []remote.Update
	if commit.ID() != "" {
		updates = append(updates, remote.Update{Ref: headsPrefix + t.target, Old: t.head, New: commit})
	}
	state, data, err := a.stateUpdate(ctx, t)
	if err != nil {
		return err
	}
	if state == nil || len(updates) == 0 || t.apart {
		if err := a.saveState(ctx, t, state, data); err != nil || len(updates) == 0 {
			return err
		}
		return a.git.Push(ctx, updates, remote.PushOptions{Options: t.settings.push.Options})
	}
	err = a.git.Push(ctx, append(updates, *state), remote.PushOptions{Atomic: true})
	switch rejected := rejections(err); {
	case err == nil:
		a.unsaved = unsaved{}
		a.state = keptState(t.state.ref, state.New.ID(), data)
	case errors.Is(err, remote.ErrNotAtomic):
		a.apart = true
		return &remote.RejectedError{Ref: updates[0].Ref, Reason: err.Error()} // the next attempt does without
	case len(rejected) == 0:
	case rejected[updates[0].Ref] == nil: // the server does not do as it says
		a.apart = true
		return a.saveState(ctx, t, state, data)
	case rejected[state.Ref] != nil:
		blamed, refsErr := a.isToBlame(ctx, updates[0], rejected)
		a.apart = a.apart || !blamed && refsErr == nil
		return errors.Join(err, refsErr)
	}
	return err
}

// isToBlame says that an update is why none was taken, and not another one.
func (a *Automator) isToBlame(ctx context.Context, u remote.Update, rejected map[string]*remote.RejectedError) (bool, error) {
	if !strings.Contains(rejected[u.Ref].Reason, "atomic") {
		return true, nil
	}
	refs, err := a.git.Refs(ctx, u.Ref)
	return refs[u.Ref] != u.Old, err
}

// saveState pushes the ledger alone. What somebody else wrote meanwhile is kept, too; where
// the server takes no such ref, a branch stands in for it.
func (a *Automator) saveState(ctx context.Context, t *turn, update *remote.Update, data []byte) error {
	for attempt := 1; update != nil && attempt <= maxAttempts; attempt++ {
		err := a.git.Push(ctx, []remote.Update{*update}, remote.PushOptions{})
		if err == nil {
			a.unsaved = unsaved{}
			a.state = keptState(update.Ref, update.New.ID(), data)
			return nil
		}
		why := rejections(err)[update.Ref]
		if why == nil {
			return err
		}
		if err := sleep(ctx, rand.N(backoff(attempt))); err != nil {
			return fmt.Errorf("pushing the ledger: %w", err)
		}
		if err := a.followState(ctx, t, why); err != nil {
			return err
		}
		if update, data, err = a.stateUpdate(ctx, t); err != nil {
			return err
		}
	}
	if a.stateRefused == nil {
		return nil // others write it all the time: what is lost is one pass's
	}
	data, err := t.ledger.Encode()
	if err == nil {
		a.unsaved = unsaved{t.branch, data}
	}
	return err
}

// followState reads what became of the ledger that was not taken.
func (a *Automator) followState(ctx context.Context, t *turn, why error) error {
	refs, err := a.git.Refs(ctx, ledger.Ref(t.branch), ledger.Branch(t.branch))
	if err != nil {
		return err
	}
	switch {
	case refs[t.state.ref] != t.state.tip:
	case t.state.ref == ledger.Ref(t.branch) && t.state.tip == "":
		a.stateInBranch = true
	default: // what it took once is not moved: others go on reading it there
		a.stateRefused, a.refusedAt = why, t.now
		return nil
	}
	mine := t.ledger
	if err := a.readState(ctx, t, refs); err != nil {
		return err
	}
	t.ledger = ledger.Merge(t.ledger, mine)
	return nil
}

func keptState(ref, tip string, data []byte) state { return state{ref: ref, tip: tip, data: data} }

// rejections are the refs that a push did not move.
func rejections(err error) map[string]*remote.RejectedError {
	found := map[string]*remote.RejectedError{}
	for _, r := range remote.Rejections(err) {
		found[r.Ref] = r
	}
	return found
}

// isRejected says that the branch was not moved, as somebody else may have moved it.
func isRejected(err error) bool {
	var rejected *remote.RejectedError
	return errors.As(err, &rejected)
}
