package artifact

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// What a registry answered, for callers that choose by it (errors.Is).
var (
	ErrNotFound     = errors.New("not found")
	ErrUnauthorized = errors.New("the registry refuses access")
	ErrUnavailable  = errors.New("the registry is unavailable")
	ErrCorrupt      = errors.New("the content is corrupt") // it has another digest, or is not what it says it is
)

const hintLogin = "; hint: log in to the registry (docker login HOST), or check the pull secret and its rights"

// answer is an HTTP status that is no success, with the registry's own words.
type answer struct {
	status     int
	words      string // a stranger's
	retryAfter time.Duration
}

func (a *answer) Error() string {
	text := fmt.Sprintf("status %d", a.status)
	if name := http.StatusText(a.status); name != "" {
		text += " " + name
	}
	if a.words != "" {
		text += fmt.Sprintf(" (%q)", clip(a.words))
	}
	return text
}

// explain puts the sentinel for err under act, which names the object. What a
// registry says is quoted.
func explain(act string, err error) error {
	if err == nil {
		return nil
	}
	hideQuery(err)
	var known *classified
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %w", act, err)
	}
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		err = &answer{status: response.StatusCode, words: wordsOf(response.Errors)}
	}
	var status *answer
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrLimit), errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s: %w", act, err)
	case errors.As(err, &status):
		return fmt.Errorf("%s: %w%s", act, &classified{sentinel(status.status), status}, hintFor(status.status))
	case errors.Is(err, ErrUnauthorized), errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%s: %w%s", act, &classified{ErrUnauthorized, err}, hintLogin)
	case errors.Is(err, errdef.ErrNotFound):
		return fmt.Errorf("%s: %w", act, &classified{ErrNotFound, err})
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", act, err)
	}
	return fmt.Errorf("%s: %w%s", act, &classified{ErrUnavailable, err}, hintTransport(err))
}

// hideQuery takes out of err what an address holds behind its path: where blobs lie
// in a cloud's storage, that is who may read them, and errors are read by others.
func hideQuery(err error) {
	var told *url.Error
	if !errors.As(err, &told) {
		return
	}
	if at, err := url.Parse(told.URL); err == nil && at.RawQuery != "" {
		at.RawQuery = "..."
		told.URL = at.String()
	}
}

// corrupt puts ErrCorrupt over err, unless the matter is its size.
func corrupt(err error) error {
	if errors.Is(err, ErrLimit) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// classified is a cause under one of the sentinels.
type classified struct{ class, cause error }

func (c *classified) Error() string {
	if c.class == nil || errors.Is(c.cause, c.class) {
		return c.cause.Error()
	}
	return c.class.Error() + ": " + c.cause.Error()
}

func (c *classified) Unwrap() []error {
	if c.class == nil {
		return []error{c.cause}
	}
	return []error{c.class, c.cause}
}

// sentinel is nil for a status that says the request was wrong.
func sentinel(status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ErrUnauthorized
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return ErrUnavailable
	}
	return nil
}

func hintFor(status int) string {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return hintLogin
	}
	return ""
}

func hintTransport(err error) string {
	var unknown x509.UnknownAuthorityError
	switch {
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "; hint: the registry speaks plain HTTP; allow it with --plain-http (copy: --from-plain-http, --to-plain-http), or insecure: true in a Delivery"
	case errors.As(err, &unknown):
		return "; hint: trust the registry's certificate authority with --registry-ca FILE, or certSecretRef in a Delivery"
	}
	return ""
}

func wordsOf(list errcode.Errors) string {
	var words []string
	for _, e := range list {
		words = append(words, strings.TrimSpace(e.Code+" "+e.Message))
	}
	return strings.Join(words, ", ")
}
