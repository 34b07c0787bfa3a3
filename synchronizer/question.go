package synchronizer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
)

// errPending says that an answer is not there yet. The pass does without, and the
// answer brings another one.
var errPending = errors.New("not there yet")

const (
	// askTimeout bounds a question, whatever its steps allow themselves.
	askTimeout = 3 * time.Minute
	// maxHold is the longest that a registry is left alone because it asks for that.
	maxHold = time.Hour
	// lag is what a question takes when all is well.
	lag = 100 * time.Millisecond
)

// question is asked in the background, once for all Deliveries that want to know.
type question[T any] struct {
	host string
	// same says that a new answer is no news.
	same func(a, b T) bool

	mu    sync.Mutex
	value T
	err   error
	busy  bool
	// asked is when the question was put that was answered last; zero: none was.
	asked    time.Time
	failures int
	// pause is the time to the next try after a failure, rest how long a slow
	// registry is left alone in any case; spread is 0.9 to 1.1.
	pause, rest time.Duration
	spread      float64
	// hold is until when the registry wants to be left alone, whoever asks.
	hold time.Time
	// awaited says that a pass did without the answer.
	awaited   bool
	followers map[string]engine.Owner
}

func newQuestion[T any](host string, same func(a, b T) bool) *question[T] {
	return &question[T]{host: host, same: same, spread: 1, followers: map[string]engine.Owner{}}
}

// consult gives the last answer, and has the question asked again where that is due:
// because the answer is not fresh, a failure's pause is over, or a person asks. A nil
// fresh is the Delivery's interval.
func consult[T any](s *Synchronizer, q *question[T], d Delivery, memo *memo, fresh func(T) bool, ask func(context.Context) (T, error)) (T, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.followers[d.Key()] = d.Owner()
	memo.follows = append(memo.follows, q)
	now := time.Now()
	never, old := q.asked.IsZero(), q.asked.Before(memo.requested)
	due := never || old || !now.Before(q.due(d))
	if q.err == nil && fresh != nil {
		due = never || old || !fresh(q.value)
	}
	if q.err != nil && q.asked.Before(memo.changed) {
		due = true
	}
	if due && !q.busy && !now.Before(q.hold) {
		q.busy = true
		s.dispatcher.run(q.host, func() { s.wake(q.put(ask)) })
	}
	switch {
	case q.busy:
		memo.due = sooner(memo.due, now.Add(q.wait(d)+lag))
	case q.err != nil || fresh == nil:
		memo.due = sooner(memo.due, q.due(d))
	}
	if never || old && q.busy {
		q.awaited, memo.pending = true, true
	}
	if never {
		return q.value, errPending
	}
	return q.value, q.err
}

// wait is the time from one question of d to the next.
func (q *question[T]) wait(d Delivery) time.Duration {
	wait := time.Duration(q.spread * float64(d.Interval))
	if q.err != nil {
		wait = min(wait, q.pause)
	}
	return max(wait, q.rest)
}

// due is when d has the question asked again, if nothing else does.
func (q *question[T]) due(d Delivery) time.Time {
	due := q.asked.Add(q.wait(d))
	if due.Before(q.hold) {
		return q.hold
	}
	return due
}

// put asks, and says whom the answer concerns. It does not where nobody wants to know
// any more: a Delivery that changes often shall not keep a slow registry from others.
func (q *question[T]) put(ask func(context.Context) (T, error)) []engine.Owner {
	if q.dead() {
		return nil
	}
	asked := time.Now()
	value, err := guarded(ask)
	hold := holdOf(err)
	q.mu.Lock()
	defer q.mu.Unlock()
	err = unlessNew(q.err, err)
	news := q.asked.IsZero() || q.awaited || err != q.err || err == nil && !q.same(q.value, value)
	q.busy, q.awaited, q.asked, q.err = false, false, asked, err
	q.rest, q.spread, q.hold = rest(asked), spread(), hold
	if err != nil {
		q.failures++
		q.pause = jitter(backoff(q.failures))
	} else {
		q.value, q.failures = value, 0
	}
	if !news {
		return nil
	}
	return slices.Collect(maps.Values(q.followers))
}

// dead says that nobody follows; who comes now asks anew.
func (q *question[T]) dead() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.followers) == 0 {
		q.busy = false
	}
	return !q.busy
}

// guarded asks within bounds: what a stranger wrote ends no process.
func guarded[T any](ask func(context.Context) (T, error)) (value T, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a defect of Sealift: %v", r)
		}
	}()
	return ask(ctx)
}

// unfollow says whether anybody is left who wants to know.
func (q *question[T]) unfollow(key string) (left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.followers, key)
	return len(q.followers) > 0
}

// followed is a question, whatever its answer is.
type followed interface {
	unfollow(key string) (left bool)
}

// wake brings a pass for owners.
func (s *Synchronizer) wake(owners []engine.Owner) {
	if s.options.Changed == nil {
		return
	}
	for _, owner := range owners {
		s.options.Changed(owner)
	}
}

// holdOf is until when a registry wants to be left alone; a little later, so that
// not all who heard that come back at once.
func holdOf(err error) time.Time {
	var busy *busyError
	if errors.As(err, &busy) {
		return busy.until
	}
	asked := artifact.RetryAfter(err)
	if asked == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(float64(min(asked, maxHold)) * (1 + 0.1*rand.Float64())))
}

// sooner is the first of two times; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
