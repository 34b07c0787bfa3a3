package synchronizer

import "sync"

// Passes shares out who makes a pass between namespaces, as fair does: one whose API
// requests take long keeps no other waiting.
type Passes struct {
	places *fair
	again  func(namespace, name string)

	mu     sync.Mutex
	begins map[[2]string]stand
}

// stand is where a Delivery stands that wants to make a pass.
type stand int

const (
	asks stand = iota
	waits
	has
)

// NewPasses has most passes made at a time, half of them at most for one namespace. The
// function again must not block; it is called for a Delivery that was told to wait, and
// now has its place.
func NewPasses(most int, again func(namespace, name string)) *Passes {
	return &Passes{places: newFair(most, most), again: again, begins: map[[2]string]stand{}}
}

// Begin says that a Delivery may make its pass now, which End ends; else again is called.
func (p *Passes) Begin(namespace, name string) bool {
	key := [2]string{namespace, name}
	p.mu.Lock()
	known, asked := p.begins[key]
	if !asked {
		p.begins[key] = asks
	}
	p.mu.Unlock()
	if asked {
		return known == has
	}
	p.places.enter(namespace, "", func() {
		if p.turn(key, has) == waits {
			p.again(namespace, name)
		}
	})
	return p.turn(key, waits) == has
}

// turn has a Delivery stand further on, and says where it stood. Who has a place keeps it.
func (p *Passes) turn(key [2]string, to stand) (before stand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.begins[key]
	p.begins[key] = max(before, to)
	return before
}

// Waits says that a Delivery was told to wait, and has made no pass since.
func (p *Passes) Waits(namespace, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waits := p.begins[[2]string{namespace, name}]
	return waits
}

// Waiting is how many were told to wait, and have no place yet.
func (p *Passes) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, where := range p.begins {
		if where == waits {
			n++
		}
	}
	return n
}

// End gives the place back that a Delivery had.
func (p *Passes) End(namespace, name string) {
	p.mu.Lock()
	delete(p.begins, [2]string{namespace, name})
	p.mu.Unlock()
	p.places.leave(namespace, "")
}
