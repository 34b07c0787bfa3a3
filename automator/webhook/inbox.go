package webhook

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxWaiting is how many hints an Inbox holds.
const maxWaiting = 1000

// Inbox gathers hints until somebody takes them. The same hint twice is one.
type Inbox struct {
	ready   chan struct{}
	mu      sync.Mutex
	waiting map[Hint]bool
}

// NewInbox is an empty inbox.
func NewInbox() *Inbox {
	return &Inbox{ready: make(chan struct{}, 1), waiting: map[Hint]bool{}}
}

// Put is for Options.Hint. Beyond 1,000 hints, more are dropped: what they spoke about is
// found at the interval.
func (b *Inbox) Put(h Hint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) < maxWaiting {
		b.waiting[h] = true
	}
	select {
	case b.ready <- struct{}{}:
	default: // it is known already
	}
}

// Ready has a value after a Put that no Take has seen.
func (b *Inbox) Ready() <-chan struct{} { return b.ready }

// Take empties the inbox, sorted.
func (b *Inbox) Take() []Hint {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.ready:
	default: // the reader has had it
	}
	taken := slices.SortedFunc(maps.Keys(b.waiting), func(x, y Hint) int {
		return strings.Compare(x.Image+"\x00"+x.Tag+"\x00"+x.Git+"\x00"+x.Ref, y.Image+"\x00"+y.Tag+"\x00"+y.Git+"\x00"+y.Ref)
	})
	clear(b.waiting)
	return taken
}
