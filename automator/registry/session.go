package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"sealift.dev/internal/httpx"
	"sealift.dev/internal/text"
)

// How long what is known about a registry's way to authenticate is relied on.
const (
	challengeFor = time.Hour
	sessionFor   = 5 * time.Minute // credentials are looked up again after it
	leeway       = 10 * time.Second
	helperTime   = 30 * time.Second // for one look-up
)

// session is an authenticated way to one repository.
type session struct {
	client *http.Client
	base   string // https://HOST/v2/REPOSITORY/
	made   time.Time
	until  time.Time
}

// challenge is how a registry authenticates. turn holds one value while it is asked.
type challenge struct {
	turn  chan struct{}
	known *transport.Challenge
	until time.Time
}

// session finds or makes a session. A registry is asked how it authenticates once for all its
// repositories; a token is of one repository.
func (c *Client) session(ctx context.Context, r *repository) (*session, error) {
	r.mu.Lock()
	s := r.session
	r.mu.Unlock()
	if s != nil && s.until.After(c.now()) {
		return s, nil
	}
	how, err := c.challenge(ctx, r.ref.Registry)
	if err != nil {
		return nil, c.explain(err)
	}
	auth, err := c.credentials(ctx, r.ref)
	if err != nil {
		return nil, fmt.Errorf("finding credentials: %w", err)
	}
	s, err = c.newSession(ctx, r.ref, how, auth)
	if err != nil {
		return nil, c.explain(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = s
	return s, nil
}

// credentials are those of the keychain, else a cloud's.
func (c *Client) credentials(ctx context.Context, ref name.Repository) (authn.Authenticator, error) {
	known, err := c.resolve(ctx, ref)
	if err != nil || known != authn.Anonymous || c.clouds == nil {
		return known, err
	}
	found, ok, err := c.clouds.Login(ctx, ref.RegistryStr())
	if err != nil || !ok {
		return known, err
	}
	return &authn.Basic{Username: found.Username, Password: found.Password}, nil
}

// resolve asks the keychain, whose helpers are programs that know no deadline: one that hangs
// keeps a goroutine, and not the pass or the end of the process.
func (c *Client) resolve(ctx context.Context, ref name.Repository) (authn.Authenticator, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, helperTime, errors.New("a helper of Docker's configuration does not answer; hint: run docker-credential-NAME get by hand"))
	defer cancel()
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var known authn.Authenticator
	answered := make(chan error, 1)
	go func() {
		defer func() { <-c.asking }()
		var err error
		known, err = authn.Resolve(ctx, c.keychain, ref)
		answered <- err
	}()
	select {
	case err := <-answered:
		return known, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *Client) newSession(ctx context.Context, ref name.Repository, how *transport.Challenge, auth authn.Authenticator) (*session, error) {
	token, lasts, err := c.token(ctx, ref, how, auth)
	if err != nil {
		return nil, err
	}
	authenticated, err := transport.FromToken(ref.Registry, auth, c.transport, how, token)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if how.Insecure {
		scheme = "http"
	}
	return &session{
		client: &http.Client{Transport: authenticated, CheckRedirect: httpx.CheckRedirect},
		base:   fmt.Sprintf("%s://%s/v2/%s/", scheme, ref.RegistryStr(), ref.RepositoryStr()),
		made:   c.now(),
		until:  c.now().Add(lasts),
	}, nil
}

// token gets one where the registry wants one, and says how long the session with it lasts.
func (c *Client) token(ctx context.Context, ref name.Repository, how *transport.Challenge, auth authn.Authenticator) (*transport.Token, time.Duration, error) {
	if !isBearer(how) {
		return &transport.Token{}, sessionFor, nil
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return nil, 0, fmt.Errorf("finding credentials: %w", err)
	}
	if config.RegistryToken != "" {
		return &transport.Token{Token: config.RegistryToken}, sessionFor, nil
	}
	token, err := transport.Exchange(ctx, ref.Registry, auth, c.transport, []string{ref.Scope(transport.PullScope)}, how)
	if err != nil {
		return nil, 0, err
	}
	token.Token = cmp.Or(token.AccessToken, token.Token)
	lasts := time.Minute // what the specification says where the server does not
	if token.ExpiresIn > 0 {
		lasts = time.Duration(min(token.ExpiresIn, int(sessionFor/time.Second))) * time.Second
	}
	return token, lasts - min(leeway, lasts/2), nil
}

// challenge asks a registry how it authenticates, or remembers it.
func (c *Client) challenge(ctx context.Context, reg name.Registry) (*transport.Challenge, error) {
	at := c.challengeOf(reg.RegistryStr())
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if at.known != nil && at.until.After(c.now()) {
		return at.known, nil
	}
	how, err := transport.Ping(ctx, reg, c.transport)
	if err != nil {
		return nil, err
	}
	at.known, at.until = how, c.now().Add(challengeFor)
	return how, nil
}

func (c *Client) challengeOf(host string) *challenge {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.challenges[host]
	if at == nil {
		if len(c.challenges) >= maxRepositories {
			clear(c.challenges)
		}
		at = &challenge{turn: make(chan struct{}, 1)}
		c.challenges[host] = at
	}
	return at
}

// forgetSession drops what is known about how to authenticate: it did not help.
func (c *Client) forgetSession(r *repository) {
	r.mu.Lock()
	r.session = nil
	r.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.challenges, r.ref.RegistryStr())
}

// ask sends a request for path below the repository. Any answer but those with a status in
// want becomes an error.
func (c *Client) ask(ctx context.Context, r *repository, method, path string, header http.Header, want ...int) (*http.Response, error) {
	began := c.now()
	for {
		s, err := c.session(ctx, r)
		if err != nil {
			return nil, err
		}
		response, err := s.send(ctx, method, path, header)
		if err != nil {
			return nil, c.explain(err)
		}
		if slices.Contains(want, response.StatusCode) {
			return response, nil
		}
		err = c.refusal(response)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			return nil, err
		}
		c.forgetSession(r)
		if !s.made.Before(began) {
			return nil, err
		}
		// The credentials may be others by now: once more, with a new session.
	}
}

func (s *session) send(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, header)
	return s.client.Do(request)
}

// maxRefusal is how much of an error's text is read.
const maxRefusal = 64 << 10

// StatusError is an answer that says no.
type StatusError struct {
	Host   string
	Status int
	Text   string // what the registry says about it, fit for a terminal; may be empty
}

func (e *StatusError) Error() string {
	message := fmt.Sprintf("%s answers %d %s", e.Host, e.Status, http.StatusText(e.Status))
	if e.Text != "" {
		message += " (" + e.Text + ")"
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		message += "; hint: docker login, or check the name of the image"
	case http.StatusNotFound:
		message += "; hint: check the name of the image"
	}
	return message
}

// Is says that a 404 is an ErrNotFound.
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound
}

// refusal reads an answer that was not wanted.
func (c *Client) refusal(response *http.Response) error {
	var told transport.Error
	if body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal)); err == nil {
		_ = json.Unmarshal(body, &told) // other text than JSON is a page for people
	}
	return c.statusError(response.Request.URL.Host, response.StatusCode, told.Errors)
}

func (c *Client) statusError(host string, status int, told []transport.Diagnostic) error {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		if until := c.hosts.rest(host); !until.IsZero() {
			return &RestError{Host: host, Until: until}
		}
	}
	e := &StatusError{Host: host, Status: status}
	if len(told) > 0 {
		e.Text = text.Line(fmt.Sprintf("%s: %s", told[0].Code, told[0].Message), 200)
	}
	return e
}

// explain says in this package's words what the library's errors mean.
func (c *Client) explain(err error) error {
	var rest *RestError
	if errors.As(err, &rest) {
		return rest
	}
	var told *transport.Error
	if errors.As(err, &told) && told.Request != nil {
		return c.statusError(told.Request.URL.Host, told.StatusCode, told.Errors)
	}
	return &foreignError{err}
}

// foreignError may repeat what a stranger wrote: it is made fit for a terminal.
type foreignError struct{ error }

func (e *foreignError) Error() string { return text.Line(e.error.Error(), 1000) }
func (e *foreignError) Unwrap() error { return e.error }

func isBearer(how *transport.Challenge) bool { return strings.EqualFold(how.Scheme, "bearer") }
