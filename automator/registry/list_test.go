package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/automator/registry"
	"sealift.dev/test/stage"
)

// anonymous is a client without credentials.
func anonymous(t *testing.T, opts registry.Options) *registry.Client {
	t.Helper()
	if opts.Keychain == nil {
		opts.Keychain = authn.NewMultiKeychain()
	}
	opts.Rate = max(opts.Rate, 1e6)
	c, err := registry.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// desk answers for one repository by hand, what no well-meant registry says included.
type desk struct {
	t      *testing.T
	repo   string
	server *httptest.Server

	mu    sync.Mutex
	asked []string // method, path and query, without those for /v2/
}

func newDesk(t *testing.T, answer http.HandlerFunc) *desk {
	t.Helper()
	d := &desk{t: t}
	d.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		d.mu.Lock()
		d.asked = append(d.asked, r.Method+" "+r.URL.RequestURI())
		d.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(d.server.Close)
	d.repo = strings.TrimPrefix(d.server.URL, "http://") + "/apps/shop"
	return d
}

// requests are those since the last call.
func (d *desk) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

func page(w http.ResponseWriter, next string, tags ...string) {
	if next != "" {
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "apps/shop", "tags": tags})
}

// pager lists tags as distribution does: n at a time, what comes after last.
type pager struct {
	mu   sync.Mutex
	tags []string
	most int
	less func(a, b string) bool // nil: bytewise
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	less := p.less
	if less == nil {
		less = func(a, b string) bool { return a < b }
	}
	tags := slices.SortedFunc(slices.Values(p.tags), func(a, b string) int {
		switch {
		case less(a, b):
			return -1
		case less(b, a):
			return 1
		}
		return 0
	})
	last := r.URL.Query().Get("last")
	if at := slices.IndexFunc(tags, func(tag string) bool { return last == "" || less(last, tag) }); at >= 0 {
		tags = tags[at:]
	} else {
		tags = nil
	}
	if len(tags) <= p.most {
		page(w, "", append([]string{}, tags...)...)
		return
	}
	page(w, r.URL.Path+"?n="+fmt.Sprint(p.most)+"&last="+tags[p.most-1], tags[:p.most]...)
}

func versions(major, count int) []string {
	var tags []string
	for i := range count {
		tags = append(tags, fmt.Sprintf("%d.%d.0", major, i))
	}
	return tags
}

// list collects what a list offers.
func list(t *testing.T, c *registry.Client, repo string, prefixes ...string) ([]string, registry.Listing) {
	t.Helper()
	var tags []string
	listing, err := c.Tags(t.Context(), repo, prefixes, func(tag string) { tags = append(tags, tag) })
	if err != nil {
		t.Fatal(err)
	}
	if listing.Count != len(tags) {
		t.Errorf("%d tags were offered, %d counted", len(tags), listing.Count)
	}
	return tags, listing
}

func TestTagsOfARegistry(t *testing.T) {
	server, err := stage.NewRegistry(stage.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, tag := range []string{"1.0.0", "1.1.0", "latest"} {
		push(t, server.Host+"/apps/shop:"+tag)
	}
	c := anonymous(t, registry.Options{})
	tags, listing := list(t, c, server.Host+"/apps/shop")
	if !slices.Equal(tags, []string{"1.0.0", "1.1.0", "latest"}) || !listing.Complete || listing.Requests != 1 {
		t.Errorf("%q, %+v", tags, listing)
	}
	_, err = c.Tags(t.Context(), server.Host+"/apps/none", nil, func(string) {})
	if !errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "listing tags of "+server.Host+"/apps/none: ") {
		t.Errorf("no repository: %v", err)
	}
}

// TestListEndsWithItsContext: a policy may take longer over one page than a pass has.
func TestListEndsWithItsContext(t *testing.T) {
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) { page(w, "", "1.0.0", "1.1.0", "1.2.0") })
	ctx, cancel := context.WithCancel(t.Context())
	var offered []string
	_, err := anonymous(t, registry.Options{}).Tags(ctx, d.repo, nil, func(tag string) {
		offered = append(offered, tag)
		cancel()
	})
	if !errors.Is(err, context.Canceled) || len(offered) != 1 {
		t.Errorf("%v after %q", err, offered)
	}
}

func push(t *testing.T, reference string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, empty.Image); err != nil {
		t.Fatal(err)
	}
}

// TestListCutOffSilently: the in-process registry gives a page of 1,000 without a next link.
func TestListCutOffSilently(t *testing.T) {
	all := append(versions(1, 1500), versions(2, 700)...)
	slices.Sort(all)
	d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
		tags := all
		if last := r.URL.Query().Get("last"); last != "" {
			if at := slices.IndexFunc(tags, func(tag string) bool { return tag > last }); at >= 0 {
				tags = tags[at:]
			}
		}
		page(w, "", tags[:min(len(tags), 1000)]...)
	})
	tags, listing := list(t, anonymous(t, registry.Options{}), d.repo)
	if !slices.Equal(tags, all) || listing.Requests != 3 {
		t.Errorf("%d tags of %d, %+v", len(tags), len(all), listing)
	}
	// 2,000 tags: the page behind the last full one begins again.
	all = all[:2000]
	tags, listing = list(t, anonymous(t, registry.Options{}), d.repo)
	if !slices.Equal(tags, all) || listing.Requests != 3 {
		t.Errorf("%d tags of %d, %+v", len(tags), len(all), listing)
	}
}

func TestOnlyThePagesThatMatter(t *testing.T) {
	p := &pager{tags: slices.Concat(versions(1, 200), versions(2, 200), versions(20, 200), versions(29, 1), []string{"latest", "nightly", "v1.0.0"}), most: 50}
	d := newDesk(t, p.ServeHTTP)
	now := time.Now()
	c := anonymous(t, registry.Options{Now: func() time.Time { return now }})
	if tags, listing := list(t, c, d.repo, "2."); len(tags) != 604 || !listing.Complete || listing.Requests != 13 {
		t.Fatalf("the first list is whole: %d, %+v", len(tags), listing)
	}
	d.requests()
	p.tags = append(p.tags, "2.999.0", "v2.0.0")
	tags, listing := list(t, c, d.repo, "2.9", "v2.")
	if !slices.Contains(tags, "2.999.0") || !slices.Contains(tags, "v2.0.0") || listing.Complete || listing.Requests > 4 {
		t.Errorf("%d tags, %+v: %q", len(tags), listing, d.requests())
	}
	if !slices.IsSorted(tags) || len(slices.Compact(tags)) != listing.Count {
		t.Errorf("a tag was offered twice: %q", tags)
	}
	if tags, listing := list(t, c, d.repo, "2.9"); len(tags) == 0 || listing.Requests != 1 || listing.Complete {
		t.Errorf("%d tags, %+v", len(tags), listing)
	}
	if _, listing := list(t, c, d.repo); !listing.Complete {
		t.Errorf("without prefixes: %+v", listing)
	}
	now = now.Add(time.Hour)
	if _, listing := list(t, c, d.repo, "2.9"); !listing.Complete {
		t.Errorf("after an hour: %+v", listing)
	}
	if _, listing := list(t, c, d.repo, "2.9"); listing.Complete {
		t.Errorf("right after it: %+v", listing)
	}
	c.Hint(d.repo)
	if _, listing := list(t, c, d.repo, "2.9"); !listing.Complete {
		t.Errorf("after a hint: %+v", listing)
	}
}

// TestWidePartsAreNotAskedFor: where the parts are most of the list, it is read as a whole.
func TestWidePartsAreNotAskedFor(t *testing.T) {
	p := &pager{tags: slices.Concat(versions(1, 1800), versions(2, 30)), most: 30}
	d := newDesk(t, p.ServeHTTP)
	c := anonymous(t, registry.Options{})
	for range 2 {
		if _, listing := list(t, c, d.repo, "1."); !listing.Complete || listing.Requests != 61 {
			t.Errorf("%+v", listing)
		}
	}
	if tags, listing := list(t, c, d.repo, "2."); listing.Complete || len(tags) != 30 || listing.Requests != 1 {
		t.Errorf("%d tags, %+v", len(tags), listing)
	}
}

// TestPartsThatLeaveTagsOut: a registry that is in order only as long as nobody looks.
func TestPartsThatLeaveTagsOut(t *testing.T) {
	plain := strings.NewReplacer(".", "", "-", "")
	letters := func(s string) string { return strings.ToLower(plain.Replace(s)) }
	all := slices.Concat(versions(1, 100), versions(2, 100), versions(3, 100))
	for name, test := range map[string]struct {
		change func(p *pager)
		want   string
	}{
		"ignores case and dots from now on": {func(p *pager) {
			p.less = func(a, b string) bool { return letters(a) < letters(b) }
			p.tags = append(p.tags, "20.0.0", "2.0.1")
		}, "2.0.1"},
		"sorts by number from now on": {func(p *pager) {
			p.less = func(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }
			p.tags = append(p.tags, "2.5.1")
		}, "2.5.1"},
		"has nothing with the prefix": {func(p *pager) { p.tags = append(versions(1, 100), versions(3, 100)...) }, "3.99.0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pager{tags: all, most: 20}
			d := newDesk(t, p.ServeHTTP)
			c := anonymous(t, registry.Options{})
			list(t, c, d.repo)
			if _, listing := list(t, c, d.repo, "2.1"); listing.Complete {
				t.Fatalf("the benign twin: %+v", listing)
			}
			test.change(p)
			tags, listing := list(t, c, d.repo, "2.")
			if !listing.Complete || !slices.Contains(tags, test.want) || len(tags) != len(p.tags) {
				t.Errorf("%d of %d tags, %+v", len(tags), len(p.tags), listing)
			}
		})
	}
}

func TestUnorderedListIsReadAsAWhole(t *testing.T) {
	less := func(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }
	p := &pager{tags: append(versions(1, 100), versions(10, 100)...), most: 20, less: less}
	d := newDesk(t, p.ServeHTTP)
	c := anonymous(t, registry.Options{})
	for range 2 {
		if tags, listing := list(t, c, d.repo, "10."); len(tags) != 200 || !listing.Complete {
			t.Errorf("%d tags, %+v", len(tags), listing)
		}
	}
}

func TestPageThatHasNotChanged(t *testing.T) {
	tags := versions(1, 30)
	var conditional, whole int
	d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
		etag := fmt.Sprintf(`"%d-%s"`, len(tags), r.URL.Query().Get("last"))
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			conditional++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		whole++
		(&pager{tags: tags, most: 20}).ServeHTTP(w, r)
	})
	c := anonymous(t, registry.Options{})
	first, listing := list(t, c, d.repo)
	if listing.Unchanged || whole != 2 {
		t.Fatalf("%+v", listing)
	}
	second, listing := list(t, c, d.repo)
	if !listing.Unchanged || !slices.Equal(first, second) || conditional != 2 || whole != 2 {
		t.Errorf("%+v, %d of %d tags", listing, len(second), len(first))
	}
	tags = append(tags, "1.99.0")
	third, listing := list(t, c, d.repo)
	if listing.Unchanged || !slices.Contains(third, "1.99.0") {
		t.Errorf("%+v, %d tags", listing, len(third))
	}
	c.Hint(d.repo)
	if _, listing := list(t, c, d.repo); listing.Unchanged || conditional != 2 {
		t.Errorf("after a hint: %+v", listing)
	}
}

func TestImagesShareOneList(t *testing.T) {
	p := &pager{tags: append(versions(1, 30), versions(2, 30)...), most: 20}
	d := newDesk(t, p.ServeHTTP)
	c := anonymous(t, registry.Options{})
	var first, second int
	listing, err := c.List(t.Context(), d.repo,
		registry.Want{Offer: func(string) { first++ }}, registry.Want{Prefixes: []string{"2."}, Offer: func(string) { second++ }})
	if err != nil || first != 60 || second != 60 || listing.Requests != 3 {
		t.Errorf("%d and %d, %+v, %v", first, second, listing, err)
	}
}
