package remote

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"sealift.dev/internal/httpx"
)

// maxRedirects is how often the address of a repository may lead elsewhere.
const maxRedirects = 5

// errStatus is an answer that is no success.
type errStatus struct {
	code int
	text string // of the answer, where it is meant for people
}

func (e *errStatus) Error() string {
	message := fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code))
	if e.text != "" {
		message += ": " + e.text
	}
	return message
}

// httpWire speaks Git's smart protocol over HTTP.
type httpWire struct {
	transport   http.RoundTripper
	credentials Credentials
	plainHTTP   bool
	pace        func(service string) httpx.Pace
	limit       int64 // bytes of one answer
	traffic     *traffic

	first *url.URL // where credentials may go
	mu    sync.Mutex
	base  *url.URL // where redirects have led
}

// paceOf leaves a server time to count objects, and to run its hooks.
func paceOf(service string) httpx.Pace {
	if service == receivePack {
		return httpx.Pace{Header: 2 * time.Minute, Window: 2 * time.Minute, Bytes: 4 << 10}
	}
	return httpx.Pace{Header: time.Minute, Window: 30 * time.Second, Bytes: 4 << 10}
}

func newHTTPWire(address *url.URL, o Options, t *traffic) *httpWire {
	transport := o.Transport
	if transport == nil {
		transport = httpx.NewTransport()
	}
	return &httpWire{
		transport: transport, credentials: o.Credentials, plainHTTP: o.PlainHTTP, pace: paceOf,
		limit: o.Limits.Transfer, traffic: t, first: address, base: address,
	}
}

func (w *httpWire) stateless() bool { return true }

func (w *httpWire) close() {
	if closer, ok := w.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

func (w *httpWire) at() *url.URL {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// hello follows redirects; later requests go where they led, as Git's own client does it.
func (w *httpWire) hello(ctx context.Context, service string) (io.ReadCloser, error) {
	const behind = "/info/refs"
	at := w.first
	for range maxRedirects + 1 {
		ask := at.JoinPath(behind)
		ask.RawQuery = "service=" + service
		response, err := w.send(ctx, http.MethodGet, ask, service, nil)
		if err != nil {
			return nil, err
		}
		if location := response.Header.Get("Location"); response.StatusCode/100 == 3 && location != "" {
			_ = response.Body.Close()
			if at, err = redirected(ask, location, behind); err != nil {
				return nil, err
			}
			continue
		}
		answer, err := w.check(response, "application/x-"+service+"-advertisement")
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.base = at
		w.mu.Unlock()
		return answer, nil
	}
	return nil, fmt.Errorf("more than %d redirects", maxRedirects)
}

// redirected is the repository that a redirect from one of its pages leads to.
func redirected(from *url.URL, location, behind string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil || to.Host == "":
		return nil, errors.New("a redirect to an address that does not parse")
	case to.Scheme != "https" && to.Scheme != from.Scheme:
		return nil, fmt.Errorf("a redirect from %s to %q", from.Scheme, oneLine(to.Scheme))
	case !strings.HasSuffix(to.Path, behind):
		return nil, fmt.Errorf("a redirect to %s, which is no Git repository; hint: check the URL and the credentials", oneLine(to.Redacted()))
	}
	to.User, to.RawQuery, to.Fragment = nil, "", ""
	to.Path, to.RawPath = strings.TrimSuffix(to.Path, behind), ""
	return to, nil
}

func (w *httpWire) ask(ctx context.Context, service string, request []byte) (io.ReadCloser, error) {
	response, err := w.send(ctx, http.MethodPost, w.at().JoinPath(service), service, request)
	if err != nil {
		return nil, err
	}
	return w.check(response, "application/x-"+service+"-result")
}

// send asks once, or twice where the credentials were refused and there are newer ones.
func (w *httpWire) send(ctx context.Context, method string, to *url.URL, service string, body []byte) (*http.Response, error) {
	user, password, err := w.ourselves(ctx, to)
	if err != nil {
		return nil, err
	}
	response, err := w.sendAs(ctx, user, password, method, to, service, body)
	if err != nil || response.StatusCode != http.StatusUnauthorized || user+password == "" {
		return response, err
	}
	newUser, newPassword, err := w.ourselves(ctx, to)
	if err != nil || newUser == user && newPassword == password {
		return response, err
	}
	_ = response.Body.Close()
	return w.sendAs(ctx, newUser, newPassword, method, to, service, body)
}

// ourselves are the credentials for an address: none for other hosts than the repository's.
func (w *httpWire) ourselves(ctx context.Context, to *url.URL) (user, password string, err error) {
	if w.credentials == nil || to.Scheme != w.first.Scheme || !strings.EqualFold(to.Host, w.first.Host) {
		return "", "", nil
	}
	if user, password, err = w.credentials(ctx); err != nil {
		return "", "", fmt.Errorf("asking for credentials: %w", err)
	}
	return user, password, nil
}

func (w *httpWire) sendAs(ctx context.Context, user, password, method string, to *url.URL, service string, body []byte) (*http.Response, error) {
	if to.Scheme != "https" && !w.plainHTTP && !httpx.IsLoopback(to.Hostname()) {
		return nil, fmt.Errorf("%s is not encrypted; hint: use https, or allow plain HTTP", to.Host)
	}
	request, err := newRequest(ctx, method, to, service, body)
	if err != nil {
		return nil, err
	}
	switch {
	case user != "":
		request.SetBasicAuth(user, password)
	case password != "":
		request.Header.Set("Authorization", "Bearer "+password)
	}
	w.traffic.requests.Add(1)
	w.traffic.sent.Add(max(request.ContentLength, 0))
	response, err := w.pace(service).Send(w.transport, request)
	if err != nil {
		return nil, err
	}
	response.Body = &counted{ReadCloser: response.Body, left: w.limit, limit: w.limit, total: &w.traffic.received}
	return response, nil
}

func newRequest(ctx context.Context, method string, to *url.URL, service string, body []byte) (*http.Request, error) {
	const worthwhile = 1 << 10 // bytes, as Git's own client has it
	packed := service == uploadPack && len(body) > worthwhile
	if packed {
		var err error
		if body, err = zipped(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address does not parse")
	}
	if packed {
		request.Header.Set("Content-Encoding", "gzip")
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-"+service+"-request")
		request.Header.Set("Accept", "application/x-"+service+"-result")
	}
	if service == uploadPack {
		request.Header.Set("Git-Protocol", "version=2")
	}
	request.Header.Set("User-Agent", "git/2.0 ("+agent+")") // some servers answer git's clients only
	return request, nil
}

func zipped(body []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	err := z.Close()
	return out.Bytes(), err
}

// check makes errors of answers that are not what was asked for.
func (w *httpWire) check(response *http.Response, want string) (io.ReadCloser, error) {
	got, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	if response.StatusCode == http.StatusOK && got == want {
		return response.Body, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil, fmt.Errorf("the answer is %q, not Git's smart protocol; hint: check that the URL is a repository's, and that its server is no dumb one", oneLine(got))
	}
	status := &errStatus{code: response.StatusCode}
	if got == "text/plain" {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid)) // what there is of it
		status.text = oneLine(string(text))
	}
	return nil, status
}

// counted ends an answer that is larger than limit with an error.
type counted struct {
	io.ReadCloser
	left, limit int64
	total       interface{ Add(int64) int64 }
}

func (c *counted) Read(to []byte) (int, error) {
	if int64(len(to)) > c.left+1 {
		to = to[:c.left+1]
	}
	n, err := c.ReadCloser.Read(to)
	c.total.Add(int64(n))
	if c.left -= int64(n); c.left < 0 {
		return 0, &limitError{fmt.Sprintf("the answer is larger than %d bytes", c.limit)}
	}
	return n, err
}
