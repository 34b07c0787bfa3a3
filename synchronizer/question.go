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
	// maxAsking is how many questions are asked at once, maxPerHost how many of one
	// host: of one namespace half as many. The others wait.
	maxAsking  = 512
	maxPerHost = 16
)

// question is asked in the background, once for all Deliveries that want to know.
type question[T any] struct {
	host string
	// same says that a new answer is no news.
	same func(a, b T) bool

	mu    sync.Mutex
	value T
	err   error
	// busy says that the question waits to be asked or is asked, asking the latter.
	busy, asking bool
	// waiting are the namespaces in whose name it waits: one that wants more than its
	// share shall not keep another from the answer.
	waiting map[string]bool
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
	return &question[T]{host: host, same: same, spread: 1, waiting: map[string]bool{}, followers: map[string]engine.Owner{}}
}

// consult gives the last answer, and has the question asked again where that is due:
// because the answer is not fresh, a failure's pause is over, or a person asks. A nil
// fresh is the Delivery's interval. Once who follows has the answer, after is called.
func consult[T any](s *Synchronizer, q *question[T], d Delivery, memo *memo, fresh func(T) bool, ask func(context.Context) (T, error), after ...func()) (T, error) {
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
	if due && !now.Before(q.hold) {
		q.busy = true
	}
	if q.busy && !q.asking && !q.waiting[d.Namespace] {
		q.waiting[d.Namespace] = true
		s.asking.run(d.Namespace, q.host, func() {
			s.wake(q.put(d.Namespace, ask))
			for _, act := range after {
				act()
			}
		})
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
// any more, or another namespace's turn came first: a Delivery that changes often shall
// not keep a slow registry from others.
func (q *question[T]) put(namespace string, ask func(context.Context) (T, error)) []engine.Owner {
	if !q.begin(namespace) {
		return nil
	}
	asked := time.Now()
	value, err := guarded(ask)
	hold := holdOf(err)
	q.mu.Lock()
	defer q.mu.Unlock()
	err = unlessNew(q.err, err)
	news := q.asked.IsZero() || q.awaited || err != q.err || err == nil && !q.same(q.value, value)
	q.busy, q.asking, q.awaited, q.asked, q.err = false, false, false, asked, err
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

// begin says that the question is to be asked now. Where nobody follows it is not; who
// comes then asks anew.
func (q *question[T]) begin(namespace string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, namespace)
	if len(q.followers) == 0 && !q.asking {
		q.busy = false
	}
	if !q.busy || q.asking {
		return false
	}
	q.asking = true
	return true
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
