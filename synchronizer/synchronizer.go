package synchronizer

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/synchronizer/cache"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/synchronizer/tailor"
	"sealift.dev/verify"
)

// Step is a step of a pass; errors carry the one that failed.
type Step string

// The steps of a pass, in order.
const (
	Resolve   Step = "resolve"
	Verify    Step = "verify"
	Accept    Step = "accept"
	Pull      Step = "pull"
	Decode    Step = "decode"
	Plan      Step = "plan"
	Preflight Step = "preflight"
	Begin     Step = "begin"
	Apply     Step = "apply"
	Wait      Step = "wait"
	Prune     Step = "prune"
	// Depend is not a step of its own: a new release waits for other Deliveries
	// before its first write.
	Depend Step = "depend"
	// Tailor makes of a release what this cluster shall have of it.
	Tailor Step = "tailor"
)

// Trace is told what goes on. Its functions may be nil; they are called by many at
// once and must not block.
type Trace struct {
	// Step: a pass of the Delivery NAMESPACE/NAME begins a step.
	Step func(delivery string, step Step)
	// Verdict: a release was verified; the reason is empty where it is trusted.
	Verdict func(reason string)
	// Answer: a registry answered with an HTTP status; 0 is no answer.
	Answer func(host string, status int)
	// Trouble: the cache does not work; releases come from registries without it.
	Trouble func(err error)
}

// Error is a failed step of a pass.
type Error struct {
	Step Step
	Err  error

	// acquired says that it is of what is asked in the background, which is asked
	// again in its own time.
	acquired bool
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func at(step Step, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Step: step, Err: err}
}

// acquiring is at for what is asked in the background.
func acquiring(step Step, err error) error {
	if err == nil || errors.Is(err, errPending) {
		return err
	}
	return &Error{Step: step, Err: err, acquired: true}
}

// inPass says that err came up in the pass itself, which decides when it is tried
// again. Dependencies bring the next pass; there is nothing to try before.
func inPass(err error) bool {
	if err == nil || errors.Is(err, errPending) {
		return false
	}
	var step *Error
	return !errors.As(err, &step) || !step.acquired && step.Step != Depend
}

// Synchronizer delivers releases to one cluster. It remembers what it resolved,
// verified and decoded; losing that costs time, never correctness.
type Synchronizer struct {
	engine   *engine.Engine
	verifier *verify.Verifier
	options  Options
	networks artifact.NetworkPool
	tailors  tailor.Tailor

	dispatcher dispatcher
	// cache is nil where there is none.
	cache    *cache.Cache
	keeping  chan struct{}
	contents shares[content]
	packages shares[[]objects.File]

	mu         sync.Mutex
	deliveries map[string]*memo
	registries map[[sha256.Size]byte]*reach
	// tags and lists are what Deliveries follow: what has a tag, and which tags exist.
	tags  map[[sha256.Size]byte]*question[artifact.Ref]
	lists map[[sha256.Size]byte]*question[[]string]
}

// Options say how registries are reached; credentials and certificates of a source
// are its own.
type Options struct {
	Network      artifact.Network
	TokenServers []string
	UserAgent    string
	// Cache is a folder for verified releases; empty keeps none on disk. CacheBytes
	// bounds it; zero means 1 GiB.
	Cache      string
	CacheBytes int64
	Trace      Trace
	// Changed is called, and must not block, when the registry's answer brings a
	// Delivery a pass. Nil: passes come when Outcome.Next says.
	Changed func(engine.Owner)
}

// New returns a Synchronizer that reads with options, and lets in what verifier does.
func New(e *engine.Engine, verifier *verify.Verifier, options Options) *Synchronizer {
	s := &Synchronizer{
		engine:     e,
		verifier:   verifier,
		options:    options,
		deliveries: map[string]*memo{},
		registries: map[[sha256.Size]byte]*reach{},
		tags:       map[[sha256.Size]byte]*question[artifact.Ref]{},
		lists:      map[[sha256.Size]byte]*question[[]string]{},
		keeping:    make(chan struct{}, maxKeeping),
	}
	if options.Cache != "" {
		opened, err := cache.Open(options.Cache, options.CacheBytes)
		if err != nil {
			s.trouble(err)
		}
		s.cache = opened
	}
	return s
}

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

// Deliver makes one pass: it brings the release that the source names into the
// cluster, or keeps the last good one there and says why. It waits for no registry:
// what is not there yet is asked for in the background, and brings another pass.
func (s *Synchronizer) Deliver(ctx context.Context, d Delivery, m Memory) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	memo := s.memo(d)
	memo.ask(d, m.State())
	out := Outcome{Kinds: m.State().Kinds}
	if err := memo.vitals.learn(d); err != nil {
		return memo.finish(d, out, true), err
	}

	wanted, err := s.deliverWanted(ctx, d, memo, m, &out)
	if wanted != nil {
		out.Wanted, out.Older = &wanted.release, wanted.older
	}
	var lost error
	if !keepsWanted(err) && !holds(d, m.State()) {
		var good *loaded
		if good, lost = s.lastGood(d, memo, m.State(), wanted); lost == nil && good != nil {
			lost = s.settle(ctx, d, good, nil, memo, m, &out)
		}
	}
	s.pin(d, memo, m.State(), out)
	failed := inPass(err) || inPass(lost)
	err = without(memo, m.State(), out, err, lost)
	s.unfollow(d, memo)
	return memo.finish(d, out, failed), err
}

// without is the error of a pass that does without what is not there yet: that is
// none, and neither is what came of the rest of it, before all is known.
func without(memo *memo, state State, out Outcome, err, lost error) error {
	if errors.Is(lost, errPending) {
		memo.pending = true
		return nil
	}
	if errors.Is(err, errPending) {
		memo.pending = true
		if !inPass(lost) {
			return nil
		}
		err = lost
	}
	return keptFrom(state, out, err, lost)
}

// deliverWanted brings in the release that the source names.
func (s *Synchronizer) deliverWanted(ctx context.Context, d Delivery, memo *memo, m Memory, out *Outcome) (*loaded, error) {
	before := memo.refused
	wanted, watermark, err := s.want(d, memo, m.State())
	if before.err != nil && err == before.err { // it was not tried again
		return wanted, err
	}
	memo.refused = refusal{}
	if err == nil {
		err = s.settle(ctx, d, wanted, &watermark, memo, m, out)
	}
	if !keepsWanted(err) && inPass(err) && wanted != nil {
		err = unlessNew(before.err, err)
		memo.refused = refusal{ref: wanted.release.Ref, wanted: wanted, err: err}
	}
	return wanted, err
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

// Forget drops what is remembered of a Delivery that is gone.
func (s *Synchronizer) Forget(namespace, name string) {
	d := Delivery{Namespace: namespace, Name: name}
	s.drop(d.Key(), s.memo(d).followed)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.deliveries, d.Key())
	if s.cache != nil {
		s.cache.Pin(d.Key(), d.Namespace)
	}
	s.engine.Release(d.Owner())
}

func (s *Synchronizer) memo(d Delivery) *memo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deliveries[d.Key()] == nil {
		s.deliveries[d.Key()] = &memo{errands: map[[sha256.Size]byte]*question[*loaded]{}}
	}
	return s.deliveries[d.Key()]
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

const (
	// passTimeout bounds a pass, so that no worker is lost to one Delivery.
	passTimeout = 2 * time.Minute

	firstRetry = 2 * time.Second
	lastRetry  = 5 * time.Minute
	// patience bounds the time between two looks at what is not healthy yet, so
	// that the status can say what is awaited; events bring the other looks.
	patience = 10 * time.Second
)

// backoff doubles from two seconds to five minutes.
func backoff(failures int) time.Duration {
	return min(lastRetry, firstRetry<<min(failures-1, 10))
}

// rest is the time from one question to the next, where the first was put at begun and
// is answered now: a slow registry is asked a fifth of the time at most.
func rest(begun time.Time) time.Duration { return min(lastRetry, 5*time.Since(begun)) }

// jitter spreads d over 90 to 110 percent.
func jitter(d time.Duration) time.Duration { return time.Duration(float64(d) * spread()) }

func spread() float64 { return 0.9 + 0.2*rand.Float64() }
