package forge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswer   = 8 << 20 // bytes of one answer, unpacked
	maxWait     = 30 * time.Second
	maxKept     = 64      // answers that are asked for again by their ETag
	maxKeptSize = 1 << 20 // bytes of one of them
)

// transport sends requests to one API and nowhere else: with the token, bounded, and with
// every refusal turned into an *Error. It asks for what it has seen before by its ETag,
// which GitHub does not count.
type transport struct {
	base  http.RoundTripper
	api   *url.URL
	token func(context.Context) (string, error)
	agent string

	mu   sync.Mutex
	kept map[string]kept
	busy *Error // says until when not to ask
}

// kept is an answer that the forge may call unchanged.
type kept struct {
	etag   string
	header http.Header
	body   []byte
}

func newClient(o Options, api *url.URL) *http.Client {
	t := &transport{base: o.Transport, api: api, token: o.Token, agent: o.UserAgent, kept: map[string]kept{}}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	if t.agent == "" {
		t.agent = "sealift"
	}
	return &http.Client{Transport: t, CheckRedirect: checkRedirect, Timeout: 2 * maxWait}
}

// checkRedirect follows a renamed repository on the same host, for reading only: a
// redirected POST becomes a GET.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) >= 3:
		return errors.New("more than three redirects")
	case next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme:
		return fmt.Errorf("a redirect to another host, %s, which gets no credentials; hint: has the repository moved?", next.URL.Host)
	case first.Method != http.MethodGet:
		return errors.New("a redirect; hint: the repository has been renamed, write its new URL")
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Host != t.api.Host || request.URL.Scheme != t.api.Scheme {
		return nil, fmt.Errorf("a request to %s, which is not the forge", request.URL.Host)
	}
	request, known, err := t.prepare(request)
	if err != nil {
		return nil, err
	}
	if busy := t.resting(); busy != nil {
		return nil, busy
	}
	ctx, cancel := context.WithTimeoutCause(request.Context(), maxWait, fmt.Errorf("no answer of %s within %s", t.api.Host, maxWait))
	defer cancel()
	response, err := t.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, because(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of %s: %w", t.api.Host, because(ctx, err))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", t.api.Host, maxAnswer)
	case response.StatusCode == http.StatusNotModified && known.etag != "":
		response.StatusCode, response.Header, body = http.StatusOK, known.header, known.body
	case response.StatusCode >= http.StatusBadRequest:
		return nil, t.refused(newError(response, body))
	case response.StatusCode < http.StatusMultipleChoices && isPage(response, body):
		return nil, &Error{Status: response.StatusCode, Host: t.api.Host, Message: "the answer is a web page, not JSON", Hint: "check the API's url"}
	}
	t.keep(request, response, body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	return response, nil
}

// refused remembers until when a forge is not to be asked: asking all the same makes it longer.
func (t *transport) refused(e *Error) *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !e.Until.IsZero() {
		t.busy = e
	}
	return e
}

func (t *transport) resting() *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy != nil && time.Now().Before(t.busy.Until) {
		return t.busy
	}
	return nil
}

// because prefers the reason for which a request was given up.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func (t *transport) prepare(request *http.Request) (*http.Request, kept, error) {
	request = request.Clone(request.Context())
	request.Header.Del("Private-Token") // of GitLab's client, which is given none
	request.Header.Set("User-Agent", t.agent)
	if t.token != nil {
		token, err := t.token(request.Context())
		if err != nil {
			return nil, kept{}, err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}
	if request.Method != http.MethodGet {
		return request, kept{}, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.kept[request.URL.String()]
	if known.etag != "" {
		request.Header.Set("If-None-Match", known.etag)
	}
	return request, known, nil
}

// keep remembers a listing; where there are too many, all are forgotten: they are asked for
// again, which costs a request.
func (t *transport) keep(request *http.Request, response *http.Response, body []byte) {
	etag := response.Header.Get("ETag")
	if request.Method != http.MethodGet || response.StatusCode != http.StatusOK || etag == "" || len(body) > maxKeptSize {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) >= maxKept {
		clear(t.kept)
	}
	t.kept[request.URL.String()] = kept{etag: etag, header: response.Header, body: body}
}

func isPage(response *http.Response, body []byte) bool {
	return strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}
