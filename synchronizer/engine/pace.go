package engine

import "time"

const (
	// An object is read paceBurst times at once, and then once a paceEvery.
	paceBurst = 5
	paceEvery = time.Second
)

// pace bounds how often something happens. The zero pace has a full burst.
type pace struct{ due time.Time }

// wait is how long from now on the next time has to wait.
func (p pace) wait(now time.Time, every time.Duration) time.Duration {
	return max(0, p.due.Add(-(paceBurst-1)*every).Sub(now))
}

// step counts one more time.
func (p pace) step(now time.Time, every time.Duration) pace {
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(every)
	return p
}

// hurried says that ref was read too often to be read again now; its owner hears of
// it when it may be.
func (t *tracker) hurried(ref ObjectRef, owner Owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.objects[ref]
	return r != nil && t.postpone(r, owner)
}

// postpone has owner told of news about r's health once its pace allows; false when
// that is now.
func (t *tracker) postpone(r *record, owner Owner) bool {
	wait := r.pace.wait(t.now(), paceEvery)
	if wait <= 0 {
		return false
	}
	if !r.postponed {
		r.postponed = true
		time.AfterFunc(wait, func() {
			t.mu.Lock()
			r.postponed = false
			t.mu.Unlock()
			t.changed(owner)
		})
	}
	return true
}
