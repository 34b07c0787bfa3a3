package engine

import "time"

// passingTime is how long an object that is left to somebody else is taken for
// being there; nothing watches it.
const passingTime = 10 * time.Minute

// passing is an object of somebody else's that a target wants, and leaves alone.
type passing struct {
	owner  Owner
	wanted digest
	until  time.Time
}

// pass notes that s is left to somebody else, so that the next plans need not ask.
func (t *tracker) pass(owner Owner, s *Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed[s.Ref] = passing{owner: owner, wanted: s.wanted, until: t.now().Add(passingTime)}
}

// addPassed puts the notes about refs into records.
func (t *tracker) addPassed(owner Owner, refs []ObjectRef, records map[ObjectRef]record) {
	if len(t.passed) == 0 {
		return
	}
	now := t.now()
	for _, ref := range refs {
		p, found := t.passed[ref]
		switch {
		case !found || p.owner != owner:
		case p.until.Before(now):
			delete(t.passed, ref)
		default:
			r := records[ref]
			r.passed = &p.wanted
			records[ref] = r
		}
	}
}
