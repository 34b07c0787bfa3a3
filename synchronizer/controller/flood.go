package controller

import (
	"maps"
	"sync"
	"time"

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

	mu  sync.Mutex
	due map[types.UID]time.Time
}

func newFrugal(events recorder) *frugal {
	return &frugal{recorder: events, now: time.Now, due: map[types.UID]time.Time{}}
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
	due := f.due[object]
	if due.Before(now) {
		due = now
	}
	if due.Sub(now) > (eventBurst-1)*eventEvery {
		return false
	}
	if len(f.due) >= manyObjects {
		maps.DeleteFunc(f.due, func(_ types.UID, due time.Time) bool { return due.Before(now) })
	}
	f.due[object] = due.Add(eventEvery)
	return true
}
