package synchronizer

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
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

	// asking are the places of those who ask registries, turns of those who compute.
	asking, turns *fair
	// cache is nil where there is none.
	cache    *cache.Cache
	contents shares[content]
	packages shares[[]objects.File]

	mu         sync.Mutex
	deliveries map[string]*memo
	registries map[[sha256.Size]byte]*reach
	clock      int // counts who asked for one
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
	// Reapply is after how long objects are applied again whatever the watches show;
	// zero: engine.DefaultReapply.
	Reapply time.Duration
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
		asking:     newFair(maxAsking, maxPerHost),
		turns:      newFair(maxTurns(), maxTurns()),
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
	out = memo.finish(d, out, failed)
	out.Asking = s.unanswered(d, out.Asking)
	return out, err
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
