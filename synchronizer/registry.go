package synchronizer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sealift.dev/artifact"
)

const (
	// maxRegistries bounds the clients kept, one for each pull secret's content.
	maxRegistries = 1_000
	// maxPlaces bounds the repositories of which one client keeps a token.
	maxPlaces = 4_096
)

// reach is a client of registries, and what tells it from others: sources that are
// reached in the same way share one, with its connections and tokens.
type reach struct {
	*artifact.Registry
	key [sha256.Size]byte
	// used is when it was asked for last, in such events; places are the repositories
	// that it was asked for. The Synchronizer's lock guards both.
	used   int
	places map[artifact.Repository]bool

	mu    sync.Mutex
	busy  map[string]time.Time // by host, until when it wants to be left alone
	heard map[string]time.Time // by host, when it last gave what it was asked for
}

// busyError is a registry that wants to be left alone.
type busyError struct {
	host  string
	until time.Time
}

func (e *busyError) Error() string {
	return fmt.Sprintf("%v: %s asked to be left alone for a while", artifact.ErrUnavailable, e.host)
}
func (e *busyError) Unwrap() error { return artifact.ErrUnavailable }

// free is an error while host wants to be left alone.
func (r *reach) free(host string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.busy[host]; time.Now().Before(until) {
		return &busyError{host: host, until: until}
	}
	delete(r.busy, host)
	return nil
}

// heed remembers that host wants to be left alone, where err says so.
func (r *reach) heed(host string, err error) {
	if err == nil {
		r.hear(host)
		return
	}
	until := holdOf(err)
	var known *busyError
	if until.IsZero() || errors.As(err, &known) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.busy, func(_ string, until time.Time) bool { return !time.Now().Before(until) })
	r.busy[host] = until
}

// maxHeard bounds the hosts whose last answer is remembered.
const maxHeard = 1_000

func (r *reach) hear(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard == nil || len(r.heard) >= maxHeard {
		r.heard = map[string]time.Time{}
	}
	r.heard[host] = time.Now()
}

// silent is how long host has given nothing.
func (r *reach) silent(host string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.heard[host])
}

// queueing is how long who waits for a registry that answers others is not told so.
const queueing = 30 * time.Second

// unanswered is how long a registry has kept d waiting. One that answers others meanwhile is
// not slow: there are many who ask, and each would cost a write of its status.
func (s *Synchronizer) unanswered(d Delivery, waited time.Duration) time.Duration {
	if waited < patience/2 || waited >= queueing {
		return waited
	}
	registry, err := s.registry(d.Source)
	if err != nil {
		return waited
	}
	return max(min(waited, registry.silent(d.Source.Repository.Host)), 1)
}

// registry is the client for a source. The one that was asked for longest ago goes where
// there are too many.
func (s *Synchronizer) registry(source Source) (*reach, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fingerprint(source.Insecure, source.DockerConfig, source.CA, source.ClientCert, source.ClientKey)
	r, err := s.registries[key], error(nil)
	if r == nil || len(r.places) >= maxPlaces && !r.places[source.Repository] {
		if r, err = s.newReach(source, key, r); err != nil {
			return nil, err
		}
		s.registries[key] = r
	}
	s.clock++
	r.used, r.places[source.Repository] = s.clock, true
	if len(s.registries) > maxRegistries {
		oldest := slices.MinFunc(slices.Collect(maps.Values(s.registries)), func(a, b *reach) int { return a.used - b.used })
		delete(s.registries, oldest.key)
	}
	return r, nil
}

// newReach is a client without tokens; which hosts want to be left alone, it knows from
// the one before, if there is one.
func (s *Synchronizer) newReach(source Source, key [sha256.Size]byte, before *reach) (*reach, error) {
	transport, err := s.networks.Transport(s.networkOf(source))
	if err != nil {
		return nil, fmt.Errorf("reaching the registry: %w", err)
	}
	options := artifact.Options{
		PlainHTTP:    source.Insecure,
		Transport:    s.tracing(transport),
		TokenServers: s.options.TokenServers,
		Patience:     -1, // nobody sleeps where others wait for a place
		UserAgent:    s.options.UserAgent,
	}
	if source.DockerConfig != nil {
		credentials, err := artifact.DockerConfigCredentials(source.DockerConfig)
		if err != nil {
			return nil, fmt.Errorf("reading the pull secret: %w", err)
		}
		options.Credentials = credentials
	}
	r := &reach{Registry: artifact.NewRegistry(options), key: key, places: map[artifact.Repository]bool{}, busy: map[string]time.Time{}}
	if before != nil {
		before.mu.Lock()
		defer before.mu.Unlock()
		maps.Copy(r.busy, before.busy)
	}
	return r, nil
}

// networkOf is the network with the source's own authorities and certificate.
func (s *Synchronizer) networkOf(source Source) artifact.Network {
	network := s.options.Network
	if len(source.CA) > 0 {
		network.CA = slices.Concat(network.CA, []byte("\n"), source.CA)
	}
	if len(source.ClientCert) > 0 {
		network.ClientCert, network.ClientKey = source.ClientCert, source.ClientKey
	}
	return network
}
