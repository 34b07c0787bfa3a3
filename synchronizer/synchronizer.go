package synchronizer

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"sealift.dev/artifact"
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
}

// Error is a failed step of a pass.
type Error struct {
	Step Step
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func at(step Step, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Step: step, Err: err}
}

// Synchronizer delivers releases to one cluster. It remembers what it resolved,
// verified and decoded; losing that costs time, never correctness.
type Synchronizer struct {
	engine   *engine.Engine
	verifier *verify.Verifier
	options  Options
	networks artifact.NetworkPool
	tailors  tailor.Tailor

	mu         sync.Mutex
	deliveries map[string]*memo
	registries map[[sha256.Size]byte]*artifact.Registry
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
}

// New returns a Synchronizer that reads with options, and lets in what verifier does.
func New(e *engine.Engine, verifier *verify.Verifier, options Options) *Synchronizer {
	return &Synchronizer{
		engine:     e,
		verifier:   verifier,
		options:    options,
		deliveries: map[string]*memo{},
		registries: map[[sha256.Size]byte]*artifact.Registry{},
	}
}

// memo is what the process remembers of a Delivery between passes. Passes of
// one Delivery never overlap.
type memo struct {
	asked    [sha256.Size]byte
	resolved resolution
	wanted   *loaded
	good     *loaded
	refused  refusal
	failures int
	// begun is when this pass was.
	begun time.Time
	// retry is when what failed is tried again; events bring no try before.
	retry time.Time
	// stuck is the last apply; one that failed waits for its time, too.
	stuck struct {
		release artifact.Ref
		err     error
	}
	// lost is why the last good release cannot be had; it waits for its time, too.
	lost      error
	unhealthy unhealthy
	vitals    vitals
	tailored  []tailored
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
	wanted *loaded
	err    error
}

// Deliver makes one pass: it brings the release that the source names into the
// cluster, or keeps the last good one there and says why.
func (s *Synchronizer) Deliver(ctx context.Context, d Delivery, m Memory) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	memo := s.memo(d)
	memo.begun = time.Now()
	memo.ask(d, m.State())
	out := Outcome{Kinds: m.State().Kinds}
	if err := memo.vitals.learn(d); err != nil {
		return finish(d, memo, out, err), err
	}

	wanted, err := s.deliverWanted(ctx, d, memo, m, &out)
	if wanted != nil {
		out.Wanted, out.Older = &wanted.release, wanted.older
	}
	if keepsWanted(err) || holds(d, m.State()) {
		err = keptFrom(m.State(), out, err, nil)
		return finish(d, memo, out, err), err
	}
	good, lost := s.lastGood(ctx, d, memo, m.State(), wanted)
	if lost == nil && good != nil {
		lost = s.settle(ctx, d, good, nil, memo, m, &out)
	}
	err = keptFrom(m.State(), out, err, lost)
	return finish(d, memo, out, err), err
}

// deliverWanted brings in the release that the source names.
func (s *Synchronizer) deliverWanted(ctx context.Context, d Delivery, memo *memo, m Memory, out *Outcome) (*loaded, error) {
	before := memo.refused
	if before.err != nil && time.Now().Before(memo.retry) {
		return before.wanted, before.err
	}
	memo.refused = refusal{}
	wanted, watermark, err := s.want(ctx, d, memo, m.State())
	if err == nil {
		err = s.settle(ctx, d, wanted, &watermark, memo, m, out)
	}
	if !keepsWanted(err) && !waits(err) {
		err = unlessNew(before.err, err)
		memo.refused = refusal{wanted: wanted, err: err}
	}
	return wanted, err
}

// ask forgets earlier failures when something else is asked for.
func (memo *memo) ask(d Delivery, state State) {
	asked := fingerprint(d, state.Quarantined)
	if asked != memo.asked {
		memo.asked, memo.retry, memo.failures = asked, time.Time{}, 0
		memo.refused, memo.lost = refusal{}, nil
	}
}

// Forget drops what is remembered of a Delivery that is gone.
func (s *Synchronizer) Forget(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := Delivery{Namespace: namespace, Name: name}
	delete(s.deliveries, d.Key())
	s.engine.Release(d.Owner())
}

func (s *Synchronizer) memo(d Delivery) *memo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deliveries[d.Key()] == nil {
		s.deliveries[d.Key()] = &memo{}
	}
	return s.deliveries[d.Key()]
}

// finish says when the next pass is due: at the interval, sooner after a failure
// or when a deadline comes first.
func finish(d Delivery, memo *memo, out Outcome, err error) Outcome {
	next := time.Until(memo.resolved.next)
	if err == nil || waits(err) {
		memo.failures, memo.retry = 0, time.Time{}
	} else if !time.Now().Before(memo.retry) {
		memo.failures++
		wait := min(d.Interval, jitter(backoff(memo.failures)))
		if atRegistry(err) {
			wait = max(wait, rest(memo.begun))
		}
		memo.retry = time.Now().Add(wait)
	}
	if !memo.retry.IsZero() {
		next = time.Until(memo.retry)
	}
	if !out.Deadline.IsZero() {
		next = min(next, time.Until(out.Deadline), patience)
	}
	if !out.NextCheck.IsZero() {
		next = min(next, time.Until(out.NextCheck))
	}
	for _, l := range []*loaded{memo.wanted, memo.good} {
		if l != nil && !l.until.IsZero() && l.holds(time.Now()) {
			next = min(next, time.Until(l.until)) // trust that ends is asked for again then
		}
	}
	out.Next = max(next, 10*time.Millisecond)
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

// stepOf is the step that err is of; empty: none.
func stepOf(err error) Step {
	var step *Error
	if !errors.As(err, &step) {
		return ""
	}
	return step.Step
}

// waits says that a pass was kept from the wanted release by other Deliveries only.
// They bring the next pass; there is nothing to try before.
func waits(err error) bool {
	var keep *keepError
	return stepOf(err) == Depend && !errors.As(err, &keep)
}

// atRegistry says that err is of a step that asks the registry.
func atRegistry(err error) bool {
	step := stepOf(err)
	return step == Resolve || step == Verify || step == Pull
}

// rest is the pause after what took from begun to now: a Delivery whose registry is
// slow has a worker for a fifth of the time at most.
func rest(begun time.Time) time.Duration { return min(lastRetry, 4*time.Since(begun)) }

// jitter spreads d over 90 to 110 percent.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
