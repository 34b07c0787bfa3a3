package registry

import (
	"container/list"
	"net/http"
	"strings"
	"sync"
)

// Limits of the cached pages.
const (
	maxCachedBytes = 16 << 20 // together
	maxKeptBytes   = 1 << 20  // of one page
)

type pageKey struct{ repository, query string }

// kept is a page that the registry can say has not changed.
type kept struct {
	key            pageKey
	etag, modified string
	next           string
	tags           strings.Builder // each followed by a line break
	count          int
	spoiled        bool // too large, or with a tag that does not fit
}

// newKept begins to keep a page; nil where its answer has nothing to ask by.
func newKept(response *http.Response, next string) *kept {
	etag, modified := response.Header.Get("ETag"), response.Header.Get("Last-Modified")
	if etag == "" && modified == "" || len(etag)+len(modified) > maxLinkBytes {
		return nil
	}
	return &kept{etag: etag, modified: modified, next: next}
}

func (k *kept) add(tag string) {
	if k == nil || k.spoiled {
		return
	}
	if k.tags.Len()+len(tag) > maxKeptBytes || strings.Contains(tag, "\n") {
		k.spoiled = true
		k.tags.Reset()
		return
	}
	k.count++
	k.tags.WriteString(tag)
	k.tags.WriteByte('\n')
}

// condition asks for the page only if it has changed.
func (k *kept) condition(header http.Header) {
	if k.etag != "" {
		header.Set("If-None-Match", k.etag)
	}
	if k.modified != "" {
		header.Set("If-Modified-Since", k.modified)
	}
}

func (k *kept) replay(take func(tag string) error) (page, error) {
	for line := range strings.Lines(k.tags.String()) {
		if err := take(line[:len(line)-1]); err != nil {
			return page{}, err
		}
	}
	return page{count: k.count, next: k.next}, nil
}

func (k *kept) size() int {
	return k.tags.Len() + len(k.key.repository) + len(k.key.query) + len(k.next) + len(k.etag) + len(k.modified) + 256
}

// pageCache keeps the pages used last, up to a number of bytes.
type pageCache struct {
	limit int

	mu    sync.Mutex
	used  int
	order *list.List // of *kept, the one used last in front
	pages map[pageKey]*list.Element
}

func newPageCache(limit int) *pageCache {
	return &pageCache{limit: limit, order: list.New(), pages: map[pageKey]*list.Element{}}
}

// get is nil where the page is not there.
func (c *pageCache) get(key pageKey) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.pages[key]
	if at == nil {
		return nil
	}
	c.order.MoveToFront(at)
	return at.Value.(*kept)
}

// put keeps a page, or drops the one that was there if k cannot be kept.
func (c *pageCache) put(key pageKey, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.pages[key]; at != nil {
		c.drop(at)
	}
	if k == nil || k.spoiled {
		return
	}
	k.key = key
	c.pages[key] = c.order.PushFront(k)
	for c.used += k.size(); c.used > c.limit; {
		c.drop(c.order.Back())
	}
}

// forget drops the pages of one repository.
func (c *pageCache) forget(repository string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, at := range c.pages {
		if key.repository == repository {
			c.drop(at)
		}
	}
}

func (c *pageCache) drop(at *list.Element) {
	k := c.order.Remove(at).(*kept)
	delete(c.pages, k.key)
	c.used -= k.size()
}
