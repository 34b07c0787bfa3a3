// Package httpx guards HTTP clients against the registries they speak to: no
// credentials for strangers, no metadata services, no endless waits.
package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// What a Guard refuses, for callers that choose by it (errors.Is).
var (
	ErrSlow        = errors.New("the server is too slow")
	ErrEncoding    = errors.New("the content encoding was not asked for")
	ErrTokenServer = errors.New("no credentials are sent there")
	ErrAddress     = errors.New("no registry has such an address")
)

// Guard stands between a registry and its client: it asks for bodies as they
// are, refuses encoded ones, hangs up on slow ones, follows no redirect that
// CheckRedirect forbids, and lets no realm of another organisation be asked for
// a token, unless TokenServers lists its HOST[:PORT]. Base carries the requests.
type Guard struct {
	Base         http.RoundTripper
	Pace         Pace
	TokenServers []string
}

// RoundTrip implements http.RoundTripper.
func (g *Guard) RoundTrip(request *http.Request) (*http.Response, error) {
	first := origin(request)
	if err := checkTarget(first, request.URL); err != nil {
		return nil, err
	}
	if at, is := tokenServerBehind(request.URL); is {
		return g.askTokenServer(request, at)
	}
	return g.send(first, request)
}

func (g *Guard) send(first *url.URL, request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Accept-Encoding", "identity")
	response, err := g.Pace.Send(g.Base, request)
	if err != nil {
		return nil, err
	}
	if err := g.checkResponse(first, response); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

// origin is the address that was asked before any redirect: the credentials are
// for that one.
func origin(request *http.Request) *url.URL {
	for request.Response != nil && request.Response.Request != nil {
		request = request.Response.Request
	}
	return request.URL
}

func (g *Guard) checkResponse(first *url.URL, response *http.Response) error {
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("the answer has the content encoding %q: %w", clip(encoding), ErrEncoding)
	}
	if response.StatusCode != http.StatusUnauthorized {
		return nil
	}
	headers := response.Header.Values("Www-Authenticate")
	for i, header := range headers {
		told, err := g.checkChallenges(first, header)
		if err != nil {
			return err
		}
		headers[i] = told
	}
	return nil
}

// CheckRedirect is for http.Client. It lets blobs come from another host, never
// from TLS to plain HTTP and never from a metadata service, at most five times.
func CheckRedirect(next *http.Request, via []*http.Request) error {
	const most = 5
	if len(via) >= most {
		return fmt.Errorf("more than %d redirects", most)
	}
	return checkTarget(via[0].URL, next.URL)
}

func checkTarget(first, next *url.URL) error {
	if next.Host == "" {
		return fmt.Errorf("the address %q has no host: %w", clip(next.Redacted()), ErrTokenServer) // of a challenge without a realm
	}
	if next.Scheme != "https" && next.Scheme != first.Scheme {
		return fmt.Errorf("a redirect from %s to %q", first.Scheme, clip(next.Scheme))
	}
	if addr, err := netip.ParseAddr(asciiHost(next.Hostname())); err == nil && isMetadata(addr) {
		return fmt.Errorf("a request to the link-local address %s, or a cloud's metadata service: %w", addr, ErrAddress)
	}
	return nil
}

// clip shortens what a stranger wrote, for an error.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
