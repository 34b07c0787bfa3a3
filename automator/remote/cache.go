package remote

import (
	"container/list"

	"github.com/go-git/go-git/v5/plumbing"
)

// perEntry is what an entry of the cache counts besides its bytes.
const perEntry = 200

// cache keeps the files that were used last, up to a number of bytes.
type cache struct {
	limit, used int64
	order       *list.List // of *cached, the last used first
	byID        map[plumbing.Hash]*list.Element
}

type cached struct {
	id   plumbing.Hash
	data []byte // nil: the file is too large
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), byID: map[plumbing.Hash]*list.Element{}}
}

func (c *cache) get(id plumbing.Hash) (data []byte, ok bool) {
	e, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).data, true
}

func (c *cache) put(id plumbing.Hash, data []byte) {
	if _, ok := c.byID[id]; ok {
		return
	}
	c.byID[id] = c.order.PushFront(&cached{id, data})
	for c.used += int64(len(data)) + perEntry; c.used > c.limit; {
		oldest := c.order.Remove(c.order.Back()).(*cached)
		delete(c.byID, oldest.id)
		c.used -= int64(len(oldest.data)) + perEntry
	}
}
