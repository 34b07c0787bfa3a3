package synchronizer

import (
	"sync"
	"time"
)

const (
	// maxPlaces is how many acquisitions run at once, maxPerHost how many of one
	// registry. The others wait; each Delivery has a few at most.
	maxPlaces  = 32
	maxPerHost = 8
	// yieldAfter is when who still runs waits for a slow registry. That costs little:
	// its place is given to another, though not to one of the same registry. A thousand
	// hosts that never answer delay the others by a quarter of a minute.
	yieldAfter = 500 * time.Millisecond
)

// dispatcher runs what asks registries, each in turn, so that a slow one delays
// nobody but its own. The zero dispatcher is ready.
type dispatcher struct {
	mu      sync.Mutex
	places  int
	running map[string]int // by host
	waiting map[string][]func()
	hosts   []string // of what waits, in turn
}

// run has job run in the background once there is a place for its host.
func (p *dispatcher) run(host string, job func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting, p.running = map[string][]func(){}, map[string]int{}
	}
	if len(p.waiting[host]) == 0 {
		p.hosts = append(p.hosts, host)
	}
	p.waiting[host] = append(p.waiting[host], job)
	p.start()
}

// start starts what there are places for; the caller holds mu.
func (p *dispatcher) start() {
	for passed := 0; passed < len(p.hosts) && p.places < maxPlaces; {
		host := p.hosts[0]
		p.hosts = p.hosts[1:]
		if p.running[host] >= maxPerHost {
			p.hosts = append(p.hosts, host)
			passed++
			continue
		}
		job, rest := p.waiting[host][0], p.waiting[host][1:]
		if p.waiting[host] = rest; len(rest) > 0 {
			p.hosts = append(p.hosts, host)
		} else {
			delete(p.waiting, host)
		}
		p.places++
		p.running[host]++
		passed = 0
		go p.do(host, job)
	}
}

func (p *dispatcher) do(host string, job func()) {
	leave := sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.places--
		p.start()
	})
	late := time.AfterFunc(yieldAfter, leave)
	job()
	late.Stop()
	leave()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[host]--; p.running[host] == 0 {
		delete(p.running, host)
	}
	p.start()
}
