package artifact

import (
	"errors"
	"fmt"
	"net/http"

	"sealift.dev/internal/httpx"
)

// pace is how long a registry may take.
type pace = httpx.Pace

func defaultPace() pace { return httpx.DefaultPace() }

// newTransport is the transport where the caller has none of its own.
func newTransport() *http.Transport { return httpx.NewTransport() }

// guard puts this package's sentinels under what an httpx.Guard refuses.
type guard struct{ inner httpx.Guard }

func newGuard(base http.RoundTripper, p pace) *guard {
	return &guard{inner: httpx.Guard{Base: base, Pace: p}}
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
