// Package registry asks registries about container images: which tags there are, what digest
// a tag has, which platforms are behind it. It is the only package that uses
// go-containerregistry, and bounds what it reads.
package registry

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"sealift.dev/internal/cloud"
	"sealift.dev/internal/httpx"
)

// maxRepositories is how many repositories and hosts a Client remembers.
const maxRepositories = 4096

// patience is how long a request waits altogether for a host that is busy.
const patience = 15 * time.Second

// ErrNotFound says that a registry does not have the repository, the tag or the digest.
var ErrNotFound = errors.New("the registry does not have it")

// Keychain finds credentials for registries.
type Keychain = authn.Keychain

// Options say how registries are reached. The zero value is ready.
type Options struct {
	// Keychain authenticates. Nil: Docker's configuration and its helpers.
	Keychain Keychain
	// Clouds are asked where Keychain knows nothing. Nil: none is.
	Clouds *cloud.Clouds
	// Transport carries every request. Nil: one with time-outs of its own.
	Transport http.RoundTripper
	// PlainHTTP allows http:// to registries on other machines.
	PlainHTTP bool
	// TokenServers are HOST[:PORT] that may be asked for tokens beside those below the
	// registry's own domain.
	TokenServers []string
	// Rate is how many requests a second one host gets on average, those of five seconds
	// in a row where it had none before; AtOnce is how many at a time.
	// Zero: 50 and 8.
	Rate   float64
	AtOnce int
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Client asks registries. It is safe for concurrent use, and made once for a process: what it
// learns about hosts and repositories makes later questions cheaper.
type Client struct {
	keychain  Keychain
	clouds    *cloud.Clouds
	transport http.RoundTripper
	hosts     *hosts
	naming    []name.Option
	now       func() time.Time
	pages     *pageCache
	platforms *platformCache
	asking    chan struct{} // holds one value while the keychain is asked

	mu           sync.Mutex
	repositories map[string]*repository
	challenges   map[string]*challenge
}

// New makes a client. It asks nobody yet.
func New(opts Options) (*Client, error) {
	if opts.Rate < 0 || opts.AtOnce < 0 {
		return nil, errors.New("a host's budget is not negative")
	}
	if opts.Keychain == nil {
		opts.Keychain = authn.DefaultKeychain
	}
	if opts.Transport == nil {
		opts.Transport = httpx.NewTransport()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	guard := &httpx.Guard{
		Base: &bounded{inner: opts.Transport, limit: maxPageBytes, plainHTTP: opts.PlainHTTP},
		Pace: httpx.DefaultPace(), TokenServers: opts.TokenServers,
	}
	c := &Client{
		keychain: opts.Keychain, clouds: opts.Clouds, now: opts.Now,
		hosts:        newHosts(guard, cmp.Or(opts.Rate, 50), cmp.Or(opts.AtOnce, 8), opts.Now),
		pages:        newPageCache(maxCachedBytes),
		platforms:    newPlatformCache(maxPlatforms),
		repositories: map[string]*repository{},
		challenges:   map[string]*challenge{},
		asking:       make(chan struct{}, 1),
	}
	c.transport = &httpx.Retry{Base: c.hosts, Patience: patience}
	if opts.PlainHTTP {
		c.naming = append(c.naming, name.Insecure)
	}
	return c, nil
}

// Hosts are the hosts that were asked, by name.
func (c *Client) Hosts() []Host { return c.hosts.all() }

// Hint says that a webhook spoke about a repository: the next list is asked for as a whole,
// without relying on what is known of the last one.
func (c *Client) Hint(repo string) {
	if r, err := c.repository(repo); err == nil {
		r.forget()
		c.pages.forget(r.ref.Name())
	}
}

// Same says that two spellings name one repository: nginx is docker.io/library/nginx.
func Same(a, b string) bool {
	x, err := name.NewRepository(a)
	if err != nil {
		return false
	}
	y, err := name.NewRepository(b)
	return err == nil && strings.EqualFold(x.Name(), y.Name())
}

// repository is what a Client knows about one.
type repository struct {
	ref  name.Repository
	turn chan struct{} // holds one value while a list is made

	mu      sync.Mutex
	order   order
	session *session
}

// repository finds what is known about a repository. Spellings of one share it.
func (c *Client) repository(repo string) (*repository, error) {
	ref, err := name.NewRepository(repo, c.naming...)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.repositories[ref.Name()]
	if r == nil {
		if len(c.repositories) >= maxRepositories {
			clear(c.repositories) // what was learned costs requests to learn again, and nothing else
		}
		r = &repository{ref: ref, turn: make(chan struct{}, 1)}
		c.repositories[ref.Name()] = r
	}
	return r, nil
}

func (r *repository) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = order{}
}

func (r *repository) known() order {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.order
}

func (r *repository) learn(o order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = o
}
