package engine

import (
	"maps"
	"time"
)

const (
	// An owner hears of strangers' objects paceBurst times at once, and then once a
	// rumourEvery.
	rumourEvery = 10 * time.Second
	// Beyond maxRumours owners those are forgotten who heard nothing lately, where that
	// was not tried within this rumourEvery.
	maxRumours = 4096
)

// rumours are the news to an owner about objects that the engine did not apply for it:
// anybody can put a label on what is his own, and an entry of our name in it.
type rumours struct {
	pace      pace
	postponed bool
}

// claim notes which of refs are the owner's by its own word.
func (t *tracker) claim(owner Owner, refs []ObjectRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ref := range refs {
		if r := t.objects[ref]; r != nil && r.owner == owner {
			r.claimant = owner
		}
	}
}

// hear has owner told of r: at once, or of a stranger's object in its time.
func (t *tracker) hear(tell notices, r *record, owner Owner) {
	if _, told := tell[owner]; told {
		return
	}
	if r.claimant == owner || r.appliedFor(owner) {
		tell[owner] = struct{}{}
		return
	}
	heard := t.rumours[owner]
	if heard == nil {
		if now := t.now(); len(t.rumours) >= maxRumours && now.Sub(t.swept) >= rumourEvery {
			t.swept = now
			maps.DeleteFunc(t.rumours, func(_ Owner, h *rumours) bool { return !h.postponed && h.pace.due.Before(now) })
		}
		heard = &rumours{}
		t.rumours[owner] = heard
	}
	wait := heard.pace.wait(t.now(), rumourEvery)
	switch {
	case wait <= 0:
		heard.pace = heard.pace.step(t.now(), rumourEvery)
		tell[owner] = struct{}{}
	case !heard.postponed:
		heard.postponed = true
		time.AfterFunc(wait, func() { t.spread(owner, heard) })
	}
}

// spread tells owner what was postponed.
func (t *tracker) spread(owner Owner, heard *rumours) {
	t.mu.Lock()
	heard.postponed = false
	heard.pace = heard.pace.step(t.now(), rumourEvery)
	t.mu.Unlock()
	t.changed(owner)
}
