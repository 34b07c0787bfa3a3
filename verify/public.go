package verify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"sealift.dev/internal/httpx"
)

const (
	rootTarget   = "trusted_root.json"
	rootFresh    = 24 * time.Hour     // then it is fetched again
	rootStale    = 7 * 24 * time.Hour // then it counts no more, if that fails
	fetchTimeout = 20 * time.Second
	fetchPause   = time.Minute // between two tries
)

// publicRoot is fetched when it is needed, by one caller at a time.
type publicRoot struct {
	options PublicRoot
	now     func() time.Time

	fetching chan struct{} // holds a token while nobody fetches

	mu      sync.Mutex
	root    *trustedRoot
	fetched time.Time
	failed  time.Time
	problem error
}

func newPublicRoot(o PublicRoot, now func() time.Time) *publicRoot {
	p := &publicRoot{options: o.withDefaults(), now: now, fetching: make(chan struct{}, 1)}
	p.fetching <- struct{}{}
	return p
}

func (o PublicRoot) withDefaults() PublicRoot {
	if o.Mirror == "" {
		o.Mirror = tuf.DefaultMirror
	}
	if len(o.Root) == 0 {
		o.Root = tuf.DefaultRoot()
	}
	if o.Transport == nil {
		o.Transport = httpx.NewTransport()
	}
	return o
}

// current is the root while it is fresh, else nil.
func (p *publicRoot) current() *trustedRoot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.root != nil && p.now().Sub(p.fetched) < rootFresh {
		return p.root
	}
	return nil
}

// fetch gives the root, fetched now if it is not fresh. One that cannot be fetched
// again counts on for a week, and is not asked for again for a minute.
func (p *publicRoot) fetch(ctx context.Context) (*trustedRoot, error) {
	select {
	case <-p.fetching:
		defer func() { p.fetching <- struct{}{} }()
	case <-ctx.Done():
		return nil, p.explain(ctx.Err())
	}
	if known := p.current(); known != nil {
		return known, nil
	}
	if !p.due() {
		return p.stale()
	}
	read, err := p.ask(ctx)
	if ctx.Err() != nil {
		return nil, p.explain(ctx.Err()) // the caller gave up, which says nothing of the mirror
	}
	p.mu.Lock()
	if err != nil {
		p.problem, p.failed = p.explain(err), p.now()
	} else {
		p.root, p.fetched, p.problem = read, p.now(), nil
	}
	p.mu.Unlock()
	return p.stale()
}

func (p *publicRoot) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem == nil || p.now().Sub(p.failed) >= fetchPause
}

func (p *publicRoot) stale() (*trustedRoot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.root != nil && p.now().Sub(p.fetched) < rootStale {
		return p.root, nil
	}
	return nil, p.problem
}

func (p *publicRoot) explain(err error) error {
	return fmt.Errorf("fetching the trusted root from %s: %s", p.options.Mirror, clean(err.Error()))
}

func (p *publicRoot) ask(ctx context.Context) (*trustedRoot, error) {
	data, err := p.options.Target(ctx, rootTarget)
	if err != nil {
		return nil, err
	}
	return readRoot(data)
}

// Target fetches a file of the repository by TUF (https://theupdateframework.io),
// within 20 seconds.
func (o PublicRoot) Target(ctx context.Context, name string) ([]byte, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	cache := o.Cache
	if cache != "" { // what is kept there was checked with one root.json
		cache = filepath.Join(cache, rootID(o.Root)[:16])
	}
	if cache != "" && os.MkdirAll(cache, 0o700) != nil {
		cache = "" // a read-only file system, where keeping nothing is better than nothing
	}
	var data []byte
	err := guard(func() error {
		client, err := tuf.New(&tuf.Options{
			Root: o.Root, RepositoryBaseURL: o.Mirror, Context: ctx,
			CachePath: cache, DisableLocalCache: cache == "",
			Fetcher: fetcher{ctx: ctx, client: &http.Client{Transport: o.Transport}},
		})
		if err != nil {
			return err
		}
		data, err = client.GetTarget(name)
		return err
	})
	return data, err
}

// fetcher downloads for one refresh; go-tuf hands it no context.
type fetcher struct {
	ctx    context.Context //nolint:containedctx // lives as long as one call of ask
	client *http.Client
}

// DownloadFile implements go-tuf's Fetcher.
func (f fetcher) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: url}
	}
	limit = min(limit, maxRootBytes)
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s has more than the limit of %d bytes", url, limit)
	}
	return data, err
}
