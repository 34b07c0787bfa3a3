package synchronizer

import (
	"crypto/sha256"
	"runtime"
	"sync"
	"weak"
)

// shares are values that are made once for all who want them, and go when nobody has
// them any more. The zero value is ready.
type shares[T any] struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*share[T]
}

type share[T any] struct {
	making sync.Mutex
	value  weak.Pointer[T]
}

// get gives the value with a key, and makes it where there is none. Who comes
// meanwhile waits.
func (p *shares[T]) get(key [sha256.Size]byte, create func() (*T, error)) (*T, error) {
	value, err := p.share(key).get(create, func(value *T) { runtime.AddCleanup(value, p.drop, key) })
	if err != nil {
		p.drop(key)
	}
	return value, err
}

func (one *share[T]) get(create func() (*T, error), made func(*T)) (*T, error) {
	one.making.Lock()
	defer one.making.Unlock()
	if value := one.value.Value(); value != nil {
		return value, nil
	}
	value, err := create()
	if err == nil {
		one.value = weak.Make(value)
		made(value)
	}
	return value, err
}

func (p *shares[T]) share(key [sha256.Size]byte) *share[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[[sha256.Size]byte]*share[T]{}
	}
	if p.all[key] == nil {
		p.all[key] = &share[T]{}
	}
	return p.all[key]
}

// drop forgets a key, unless its value was made anew meanwhile.
func (p *shares[T]) drop(key [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.all[key]; one != nil && one.making.TryLock() {
		defer one.making.Unlock()
		if one.value.Value() == nil {
			delete(p.all, key)
		}
	}
}
