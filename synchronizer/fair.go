package synchronizer

import (
	"slices"
	"sync"
)

// fair shares out a bounded number of places, between namespaces and the hosts of each
// in turn. A namespace has no more of them, and no more of those for one host, than it
// leaves free: whoever comes next finds one, however many the others want.
type fair struct {
	// most is how many places there are, perHost how many of them for one host.
	most, perHost int

	mu         sync.Mutex
	taken      int
	namespaces map[string]*fairShare
	hosts      map[string]int // places taken, by host
	turns      []string       // the namespaces that wait, in turn
}

// fairShare is what one namespace has, and waits for.
type fairShare struct {
	taken   int
	hosts   map[string]int
	waiting map[string][]func()
	turns   []string // the hosts that are waited for, in turn
}

func newFair(most, perHost int) *fair {
	return &fair{most: most, perHost: perHost, namespaces: map[string]*fairShare{}, hosts: map[string]int{}}
}

// run has job run in the background once there is a place.
func (f *fair) run(namespace, host string, job func()) {
	f.enter(namespace, host, func() {
		go func() {
			defer f.leave(namespace, host)
			job()
		}()
	})
}

// wait returns once there is a place, which leave gives back.
func (f *fair) wait(namespace, host string) {
	there := make(chan struct{})
	f.enter(namespace, host, func() { close(there) })
	<-there
}

// enter calls started, which must not block, once there is a place.
func (f *fair) enter(namespace, host string, started func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.namespaces[namespace]
	if of == nil {
		of = &fairShare{hosts: map[string]int{}, waiting: map[string][]func(){}}
		f.namespaces[namespace] = of
	}
	if len(of.turns) == 0 {
		f.turns = append(f.turns, namespace)
	}
	if len(of.waiting[host]) == 0 {
		of.turns = append(of.turns, host)
	}
	of.waiting[host] = append(of.waiting[host], started)
	f.start()
}

// leave gives a place back.
func (f *fair) leave(namespace, host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.namespaces[namespace]
	f.taken--
	of.taken--
	if of.hosts[host]--; of.hosts[host] == 0 {
		delete(of.hosts, host)
	}
	if f.hosts[host]--; f.hosts[host] == 0 {
		delete(f.hosts, host)
	}
	if of.taken == 0 && len(of.turns) == 0 {
		delete(f.namespaces, namespace)
	}
	f.start()
}

// start starts what there are places for; the caller holds mu.
func (f *fair) start() {
	for passed := 0; passed < len(f.turns) && f.taken < f.most; {
		namespace := f.turns[0]
		of := f.namespaces[namespace]
		host, found := f.next(of)
		f.turns = f.turns[1:]
		if !found {
			f.turns = append(f.turns, namespace)
			passed++
			continue
		}
		started := of.take(host)
		f.taken++
		f.hosts[host]++
		if len(of.turns) > 0 {
			f.turns = append(f.turns, namespace)
		}
		passed = 0
		started()
	}
}

// next is the host whose turn it is, if there is a place for it.
func (f *fair) next(of *fairShare) (host string, found bool) {
	if of.taken >= f.most-f.taken {
		return "", false
	}
	i := slices.IndexFunc(of.turns, func(host string) bool { return of.hosts[host] < f.perHost-f.hosts[host] })
	if i < 0 {
		return "", false
	}
	return of.turns[i], true
}

// take takes the first of what waits for a host, which goes to the end.
func (of *fairShare) take(host string) (started func()) {
	of.turns = slices.DeleteFunc(of.turns, func(h string) bool { return h == host })
	started, of.waiting[host] = of.waiting[host][0], of.waiting[host][1:]
	if len(of.waiting[host]) > 0 {
		of.turns = append(of.turns, host)
	} else {
		delete(of.waiting, host)
	}
	of.taken++
	of.hosts[host]++
	return started
}
