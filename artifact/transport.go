package artifact

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"sealift.dev/internal/httpx"
)

// Network says how registries are reached: authorities, client certificate,
// proxy, and which addresses are refused.
type Network = httpx.Network

// NetworkPool makes transports for Options, and shares their connections between
// registries that are reached in the same way. The zero value is ready.
type NetworkPool = httpx.Pool

// NoProxy is a Network's Proxy that overrules the environment's.
const NoProxy = httpx.NoProxy

// DefaultPatience is how long a busy registry is asked again where Options say nothing.
const DefaultPatience = httpx.DefaultPatience

// pace is how long a registry may take.
type pace = httpx.Pace

func defaultPace() pace { return httpx.DefaultPace() }

// guard puts this package's sentinels under what an httpx.Guard refuses.
type guard struct{ inner http.RoundTripper }

func newGuard(o Options, p pace) *guard {
	base := o.Transport
	if base == nil {
		base = httpx.NewTransport()
	}
	inner := &httpx.Guard{Base: base, Pace: p, TokenServers: o.TokenServers}
	patience := o.Patience
	if patience == 0 {
		patience = DefaultPatience
	}
	return &guard{inner: &httpx.Retry{Base: inner, Patience: max(patience, 0)}}
}

func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := g.inner.RoundTrip(request)
	switch {
	case errors.Is(err, httpx.ErrEncoding):
		err = fmt.Errorf("%w: %w", err, ErrCorrupt)
	case errors.Is(err, httpx.ErrTokenServer):
		err = fmt.Errorf("%w: %w", err, ErrUnauthorized)
	}
	return response, err
}

// checkRedirect bounds redirects; oras-go drops the credentials on the way.
func checkRedirect(next *http.Request, via []*http.Request) error {
	return httpx.CheckRedirect(next, via)
}

// RetryAfter is how long the registry asked to wait in the answer under err; zero
// where it did not.
func RetryAfter(err error) time.Duration {
	var a *answer
	if errors.As(err, &a) {
		return a.retryAfter
	}
	return 0
}
