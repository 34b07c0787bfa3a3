package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// RegistryOptions of an in-process registry. The zero value is an open one without the referrers API.
type RegistryOptions struct {
	// Referrers turns the referrers API on; without it clients fall back to the referrers tag.
	Referrers bool
	// User and Password are asked for by basic authentication. Empty: nobody is asked.
	User, Password string
	// Wrap stands in front of the registry, to count requests or answer some of them wrongly. May be nil.
	Wrap func(http.Handler) http.Handler
}

// Registry is an OCI registry in this process, its content in memory, behind plain HTTP.
type Registry struct {
	Host string // address and port, as in an image reference

	blobs  *blobs
	server *server
}

// NewRegistry listens on a free port.
func NewRegistry(options RegistryOptions) (*Registry, error) {
	r := &Registry{blobs: &blobs{content: map[v1.Hash][]byte{}}}
	handler := registry.New(
		registry.Logger(log.New(io.Discard, "", 0)),
		registry.WithReferrersSupport(options.Referrers),
		registry.WithBlobHandler(r.blobs),
	)
	if options.User != "" {
		handler = authenticate(handler, "registry", options.User, options.Password)
	}
	if options.Wrap != nil {
		handler = options.Wrap(handler)
	}
	server, err := serve(handler)
	if err != nil {
		return nil, fmt.Errorf("starting the registry: %w", err)
	}
	r.server, r.Host = server, server.address
	return r, nil
}

// Close stops listening and forgets the content.
func (r *Registry) Close() error { return r.server.Close() }

// Corrupt flips one bit in the middle of the blob with the given digest ("sha256:..."), in every
// repository. Doing it again flips the bit back.
func (r *Registry) Corrupt(digest string) error {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return err
	}
	return r.blobs.flip(hash)
}

// blobs keeps blobs in memory, for all repositories together.
type blobs struct {
	mu      sync.RWMutex
	content map[v1.Hash][]byte
}

func (b *blobs) find(hash v1.Hash) ([]byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	data, found := b.content[hash]
	if !found {
		return nil, registry.ErrNotFound
	}
	return data, nil
}

// Get, Stat, Put and Delete are pkg/registry's contract of a blob store.
func (b *blobs) Get(_ context.Context, _ string, hash v1.Hash) (io.ReadCloser, error) {
	data, err := b.find(hash)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (b *blobs) Stat(_ context.Context, _ string, hash v1.Hash) (int64, error) {
	data, err := b.find(hash)
	return int64(len(data)), err
}

func (b *blobs) Put(_ context.Context, _ string, hash v1.Hash, content io.ReadCloser) error {
	defer content.Close()
	data, err := io.ReadAll(content) // checks size and digest at its end
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content[hash] = data
	return nil
}

func (b *blobs) Delete(_ context.Context, _ string, hash v1.Hash) error {
	if _, err := b.find(hash); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.content, hash)
	return nil
}

func (b *blobs) flip(hash v1.Hash) error {
	data, err := b.find(hash)
	if err != nil {
		return fmt.Errorf("finding blob %s: %w", hash, err)
	}
	if len(data) == 0 {
		return fmt.Errorf("blob %s has no bit to flip", hash)
	}
	flipped := bytes.Clone(data) // a reader may still hold the old one
	flipped[len(flipped)/2] ^= 1
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content[hash] = flipped
	return nil
}

// server is an HTTP server on a free port of 127.0.0.1.
type server struct {
	http.Server
	address string
}

func serve(handler http.Handler) (*server, error) { return serveTLS(handler, nil) }

// serveTLS serves plain HTTP where config is nil.
func serveTLS(handler http.Handler, config *tls.Config) (*server, error) {
	return serveOn(nil, handler, config)
}

// serveOn is serveTLS with something around the listener, or nil.
func serveOn(around func(net.Listener) net.Listener, handler http.Handler, config *tls.Config) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{address: listener.Addr().String()}
	if around != nil {
		listener = around(listener)
	}
	s.Handler = handler
	s.ErrorLog = log.New(io.Discard, "", 0)
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	go s.Serve(listener) // ends with Close
	return s, nil
}

// authenticate asks for one user's password.
func authenticate(next http.Handler, realm, user, password string) http.Handler {
	want := sha256.Sum256([]byte(user + "\x00" + password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(name + "\x00" + secret))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", realm))
			http.Error(w, "authentication required", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
