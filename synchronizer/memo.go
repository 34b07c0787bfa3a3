package synchronizer

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
)

// memo is what the process remembers of a Delivery between passes. Passes of
// one Delivery never overlap.
type memo struct {
	asked [sha256.Size]byte
	// request is the last one seen; requested and changed are when it, and anything
	// else that is asked for, was seen to change.
	request            string
	requested, changed time.Time
	wanted             *loaded
	good               *loaded
	refused            refusal
	failures           int
	// errands are the releases that are asked for, wants those of this pass.
	errands map[[sha256.Size]byte]*question[*loaded]
	wants   [][sha256.Size]byte
	// follows are the questions of this pass, followed those of the last one.
	follows, followed []followed
	// pinned are the releases that the cache holds for this Delivery.
	pinned []artifact.Ref
	// due is when an answer is asked for again; pending says that this pass does
	// without one, since when it has been so.
	due     time.Time
	pending bool
	since   time.Time
	// retry is when what failed is tried again; events bring no try before.
	retry time.Time
	// stuck is the last apply; one that failed waits for its time, too.
	stuck struct {
		release artifact.Ref
		err     error
	}
	unhealthy unhealthy
	vitals    vitals
	tailored  []tailored
	failing   failing
	// paused is the last plan, of which not all could be written yet.
	paused *engine.Plan
}

// unhealthy is how long this process has seen a release not healthy. Time in which
// nobody looked does not count: the process was down, or the Delivery suspended.
type unhealthy struct {
	release artifact.Ref
	since   time.Time
	seen    time.Time
}

// look says how long that has been; a pass that wrote something starts anew.
func (u *unhealthy) look(release artifact.Ref, wrote bool) time.Duration {
	now := time.Now()
	if wrote || u.release != release || u.since.IsZero() || now.Sub(u.seen) > 3*patience {
		u.release, u.since = release, now
	}
	u.seen = now
	return now.Sub(u.since)
}

// refusal is a wanted release that did not get as far as a write. It is not
// tried again before its time, however many events bring a pass.
type refusal struct {
	ref    artifact.Ref
	wanted *loaded
	err    error
}

// ask forgets earlier failures when something else is asked for.
func (memo *memo) ask(d Delivery, state State) {
	now, asked := time.Now(), fingerprint(d, state.Quarantined)
	if memo.asked == [sha256.Size]byte{} {
		memo.asked, memo.request = asked, d.Requested // nothing was asked for before
	}
	if asked != memo.asked {
		memo.asked, memo.changed = asked, now
		memo.retry, memo.failures, memo.refused = time.Time{}, 0, refusal{}
	}
	if d.Requested != memo.request {
		memo.request, memo.requested = d.Requested, now
	}
	memo.due, memo.pending, memo.follows, memo.wants = time.Time{}, false, nil, nil
}

// unfollow drops the questions that this pass did not need.
func (s *Synchronizer) unfollow(d Delivery, memo *memo) {
	for key := range memo.errands {
		if !slices.Contains(memo.wants, key) {
			delete(memo.errands, key)
		}
	}
	s.drop(d.Key(), slices.DeleteFunc(memo.followed, func(q followed) bool { return slices.Contains(memo.follows, q) }))
	memo.followed = memo.follows
}

// drop has a Delivery follow questions no longer; those that nobody follows go.
func (s *Synchronizer) drop(key string, questions []followed) {
	if len(questions) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := map[followed]bool{}
	for _, q := range questions {
		if !q.unfollow(key) {
			gone[q] = true
		}
	}
	maps.DeleteFunc(s.tags, func(_ [sha256.Size]byte, q *question[artifact.Ref]) bool { return gone[q] })
	maps.DeleteFunc(s.lists, func(_ [sha256.Size]byte, q *question[[]string]) bool { return gone[q] })
}

// finish says when the next pass is due: when an answer is asked for again, sooner
// after a failure or when a deadline comes first.
func (memo *memo) finish(d Delivery, out Outcome, failed bool) Outcome {
	now := time.Now()
	next := memo.due
	if memo.pending {
		if memo.since.IsZero() {
			memo.since = now
		}
		out.Asking = max(now.Sub(memo.since), 1)
		next = sooner(next, now.Add(patience/2))
	} else {
		memo.since = time.Time{}
	}
	switch {
	case !failed && !memo.pending:
		memo.failures, memo.retry = 0, time.Time{}
	case failed && !now.Before(memo.retry):
		memo.failures++
		memo.retry = now.Add(min(d.Interval, jitter(backoff(memo.failures))))
	}
	if failed {
		next = sooner(next, memo.retry)
	}
	if !out.Deadline.IsZero() {
		next = sooner(sooner(next, out.Deadline), now.Add(patience))
	}
	if !out.NextCheck.IsZero() {
		next = sooner(next, out.NextCheck)
	}
	for _, l := range []*loaded{memo.wanted, memo.good} {
		if l != nil && !l.until.IsZero() && l.holds(now) {
			next = sooner(next, l.until) // trust that ends is asked for again then
		}
	}
	if next.IsZero() {
		next = now.Add(jitter(d.Interval))
	}
	out.Next = max(next.Sub(now), 10*time.Millisecond)
	return out
}
