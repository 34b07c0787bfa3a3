package signer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sealift.dev/internal/httpx"
	"sealift.dev/internal/text"
)

const (
	maxAnswerBytes = 1 << 20 // of one answer of a Sigstore service
	maxWordsBytes  = 512     // of what a service says about a failure
	maxAttempts    = 4
	attemptTime    = 30 * time.Second
	longestPause   = 30 * time.Second
)

// courier carries requests to one service of Sigstore. It bounds time and answers, asks
// again where the service is busy or away, and turns every failure into an error that
// names the service. It keeps the context of the one act that it was made for: some
// of Sigstore's clients send requests without any.
type courier struct {
	ctx     context.Context
	service string // for people
	base    http.RoundTripper
	pause   time.Duration // before the second attempt; doubled each time
}

func newCourier(ctx context.Context, service string) *courier {
	return &courier{ctx: ctx, service: service, base: httpx.NewTransport(), pause: 500 * time.Millisecond}
}

// RoundTrip implements http.RoundTripper.
func (c *courier) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := requestBody(request)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		response, err := c.once(request, body)
		if err == nil {
			return response, nil
		}
		var busy *busyError
		again := errors.As(err, &busy) && attempt < maxAttempts && c.ctx.Err() == nil
		if !again {
			act := fmt.Sprintf("asking %s at %s", c.service, request.URL.Redacted())
			if attempt > 1 {
				act += fmt.Sprintf(" (%d attempts)", attempt)
			}
			return nil, fmt.Errorf("%s: %w", act, hide(err, request.Header.Get("Authorization")))
		}
		if err := wait(c.ctx, max(busy.after, c.pause<<attempt/2+rand.N(c.pause))); err != nil {
			return nil, err
		}
	}
}

// busyError may go away.
type busyError struct {
	cause error
	after time.Duration // what the service asked to wait
}

func (b *busyError) Error() string { return b.cause.Error() }
func (b *busyError) Unwrap() error { return b.cause }

// once sends the request once and reads the whole answer.
func (c *courier) once(request *http.Request, body []byte) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(c.ctx, attemptTime)
	defer cancel()
	sent := request.Clone(ctx)
	if body != nil {
		sent.Body = io.NopCloser(bytes.NewReader(body))
		sent.ContentLength = int64(len(body))
	}
	response, err := c.base.RoundTrip(sent)
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return nil, err
	}
	if err != nil {
		return nil, &busyError{cause: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, &busyError{cause: fmt.Errorf("reading its answer: %w", err)}
	case len(answer) > maxAnswerBytes:
		return nil, fmt.Errorf("its answer has more than the limit of %d bytes", maxAnswerBytes)
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	response.ContentLength = int64(len(answer))
	return response, judge(response, answer)
}

// judge lets pass what the clients understand: success, and Rekor's answer that it
// has the entry already.
func judge(response *http.Response, answer []byte) error {
	status := response.StatusCode
	if status >= 200 && status < 300 || status == http.StatusConflict && response.Header.Get("Location") != "" {
		return nil
	}
	err := &statusError{status: status, words: text.Clip(string(answer), maxWordsBytes)}
	if status >= 500 || status == http.StatusTooManyRequests {
		if after := httpx.RetryAfter(response); after <= longestPause {
			return &busyError{cause: err, after: after}
		}
	}
	return err
}

// statusError is an answer that is no success, with the service's own words.
type statusError struct {
	status int
	words  string // a stranger's
}

func (e *statusError) Error() string {
	return fmt.Sprintf("status %d %s: %q", e.status, http.StatusText(e.status), e.words)
}

func requestBody(request *http.Request) ([]byte, error) {
	if request.Body == nil {
		return nil, nil
	}
	defer request.Body.Close()
	return io.ReadAll(request.Body)
}

// hide takes what authorizes a request out of what its answer said.
func hide(err error, authorization string) error {
	_, secret, _ := strings.Cut(authorization, " ")
	if secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), secret, "…"))
}

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// plain drops the method and address that net/http puts before a courier's error.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
