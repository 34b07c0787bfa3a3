package controller

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// About one object eventBurst Events are written at once, and then one an eventEvery.
	eventBurst = 60
	eventEvery = 30 * time.Second
	// manyObjects is from how many on those are forgotten that nothing is told of.
	manyObjects = 1000
)

// frugal is a recorder that what changes all the time, such as the words of an unhealthy
// object, does not flood the API server through. The status has the last of it.
type frugal struct {
	recorder
	now func() time.Time

	mu     sync.Mutex
	limits map[types.UID]*rate.Limiter
}

func newFrugal(events recorder) *frugal {
	return &frugal{recorder: events, now: time.Now, limits: map[types.UID]*rate.Limiter{}}
}

// Eventf writes an Event unless there were too many about the same object lately.
func (f *frugal) Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any) {
	if object, err := meta.Accessor(regarding); err == nil && !f.take(object.GetUID()) {
		return
	}
	f.recorder.Eventf(regarding, related, eventType, reason, action, note, args...)
}

// take says that there may be one more Event about an object.
func (f *frugal) take(object types.UID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	limit := f.limits[object]
	if limit == nil {
		if len(f.limits) >= manyObjects {
			maps.DeleteFunc(f.limits, func(_ types.UID, l *rate.Limiter) bool { return l.TokensAt(now) >= eventBurst })
		}
		limit = rate.NewLimiter(rate.Every(eventEvery), eventBurst)
		f.limits[object] = limit
	}
	return limit.AllowN(now, 1)
}
