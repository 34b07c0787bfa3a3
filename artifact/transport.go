package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/publicsuffix"
)

// pace is how long a registry may take.
type pace struct {
	header time.Duration // until an answer begins
	window time.Duration // in which a body brings bytes bytes at least, or ends
	bytes  int64
}

func defaultPace() pace {
	return pace{header: 30 * time.Second, window: 10 * time.Second, bytes: 16 << 10}
}

// newTransport is the transport where the caller has none of its own.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: refuseLinkLocal}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// refuseLinkLocal keeps a redirect or a name from reaching a cloud's metadata
// service; no registry has such an address.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && isMetadata(at.Addr()) {
		return fmt.Errorf("%s is a link-local address", at.Addr())
	}
	return nil
}

func isMetadata(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254") || a == netip.MustParseAddr("100.100.100.200")
}

// guard stands between a registry and its client: it asks for bodies as they
// are, refuses encoded ones, hangs up on slow ones, and lets no realm of another
// organisation be asked for a token.
type guard struct {
	base http.RoundTripper
	pace pace
}

func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	request = request.Clone(ctx)
	request.Header.Set("Accept-Encoding", "identity")
	late := time.AfterFunc(g.headerTime(request), func() { cancel(errSlow) })
	response, err := g.base.RoundTrip(request)
	late.Stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errSlow) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	if err := checkResponse(request, response); err != nil {
		_ = response.Body.Close()
		cancel(nil)
		return nil, err
	}
	response.Body = watch(ctx, cancel, response.Body, g.pace)
	return response, nil
}

// headerTime grows with what is sent first, at the slowest pace allowed.
func (g *guard) headerTime(request *http.Request) time.Duration {
	return g.pace.header + time.Duration(max(request.ContentLength, 0)/max(g.pace.bytes, 1))*g.pace.window
}

var errSlow = errors.New("the registry is too slow")

func checkResponse(request *http.Request, response *http.Response) error {
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("the answer has the content encoding %q, which was not asked for: %w", clip(encoding), ErrCorrupt)
	}
	if response.StatusCode != http.StatusUnauthorized {
		return nil
	}
	for _, challenge := range response.Header.Values("Www-Authenticate") {
		if err := checkChallenge(request.URL, challenge); err != nil {
			return err
		}
	}
	return nil
}

var realmPattern = regexp.MustCompile(`(?i)\brealm\s*=\s*(?:"([^"]*)"|([^\s,"]+))`)

// checkChallenge refuses a token server of another organisation than the
// registry's, and one by plain HTTP where the registry has TLS.
func checkChallenge(registry *url.URL, challenge string) error {
	if scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " "); !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	for _, m := range realmPattern.FindAllStringSubmatch(challenge, -1) {
		realm, err := url.Parse(m[1] + m[2])
		if err != nil || realm.Host == "" || realm.User != nil || realm.Scheme != "https" && realm.Scheme != registry.Scheme {
			return fmt.Errorf("the token server %q has no acceptable address: %w", clip(m[1]+m[2]), ErrUnauthorized)
		}
		if !sameOrganisation(registry.Hostname(), realm.Hostname()) {
			return fmt.Errorf("the token server is on another host, %q; no credentials are sent there: %w", clip(realm.Host), ErrUnauthorized)
		}
	}
	return nil
}

// sameOrganisation is true for one host, and for two below one registered domain,
// as registry-1.docker.io and auth.docker.io are.
func sameOrganisation(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b {
		return true
	}
	if isAddress(a) || isAddress(b) {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(a)
	if !icann && !strings.Contains(suffix, ".") {
		return false // a private name: nobody knows where organisations begin
	}
	x, err := publicsuffix.EffectiveTLDPlusOne(a)
	if err != nil {
		return false
	}
	y, err := publicsuffix.EffectiveTLDPlusOne(b)
	return err == nil && x == y
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// checkRedirect lets blobs come from another host, never from TLS to plain HTTP
// and never from a metadata service. oras-go drops the credentials on the way.
func checkRedirect(next *http.Request, via []*http.Request) error {
	const most = 5
	if len(via) >= most {
		return fmt.Errorf("more than %d redirects", most)
	}
	if next.URL.Scheme != "https" && next.URL.Scheme != via[0].URL.Scheme {
		return fmt.Errorf("a redirect from %s to %q", via[0].URL.Scheme, clip(next.URL.Scheme))
	}
	if addr, err := netip.ParseAddr(next.URL.Hostname()); err == nil && isMetadata(addr) {
		return fmt.Errorf("a redirect to the link-local address %s", addr)
	}
	return nil
}

// body hangs up when too little arrives in a window.
type body struct {
	io.ReadCloser
	ctx    context.Context // of the request, whose cause explains a failed read
	cancel context.CancelCauseFunc
	read   atomic.Int64
	done   chan struct{}
	closed atomic.Bool
}

func watch(ctx context.Context, cancel context.CancelCauseFunc, from io.ReadCloser, p pace) io.ReadCloser {
	b := &body{ReadCloser: from, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	go b.pace(p)
	return b
}

func (b *body) pace(p pace) {
	tick := time.NewTicker(p.window)
	defer tick.Stop()
	before := int64(0)
	for {
		select {
		case <-b.done:
			return
		case <-b.ctx.Done():
			return
		case <-tick.C:
		}
		now := b.read.Load()
		if now-before < p.bytes {
			b.cancel(errSlow)
			return
		}
		before = now
	}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), errSlow) {
		err = errSlow
	}
	return n, err
}

func (b *body) Close() error {
	if b.closed.CompareAndSwap(false, true) {
		close(b.done)
		defer b.cancel(nil)
	}
	return b.ReadCloser.Close()
}
