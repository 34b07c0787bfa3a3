package synchronizer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sealift.dev/artifact"
)

// maxRegistries bounds the clients kept, one for each pull secret's content.
const maxRegistries = 1_000

// reach is a client of registries, and what tells it from others: sources that are
// reached in the same way share one, with its connections and tokens.
type reach struct {
	*artifact.Registry
	key [sha256.Size]byte

	mu   sync.Mutex
	busy map[string]time.Time // by host, until when it wants to be left alone
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
	until := holdOf(err)
	var known *busyError
	if until.IsZero() || errors.As(err, &known) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[host] = until
}

// registry is the client for a source.
func (s *Synchronizer) registry(source Source) (*reach, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fingerprint(source.Insecure, source.DockerConfig, source.CA, source.ClientCert, source.ClientKey)
	if s.registries[key] != nil {
		return s.registries[key], nil
	}
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
	if len(s.registries) >= maxRegistries {
		clear(s.registries)
	}
	s.registries[key] = &reach{Registry: artifact.NewRegistry(options), key: key, busy: map[string]time.Time{}}
	return s.registries[key], nil
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
