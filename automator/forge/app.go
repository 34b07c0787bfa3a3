package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bradleyfalzon/ghinstallation/v2"

	"sealift.dev/internal/text"
)

// App is an installation of a GitHub App.
type App struct {
	ID, Installation int64
	// Key is the App's private key, in PEM.
	Key []byte
	// Repo is the Git URL of a repository of the installation, and URL the API's. Empty:
	// https://api.github.com, or that of Repo's host.
	Repo, URL string
	// Transport carries the requests.
	Transport http.RoundTripper
	// PlainHTTP allows http:// to hosts other than this machine.
	PlainHTTP bool
	// UserAgent names the program. Empty: sealift.
	UserAgent string
}

// Tokens gives the tokens of an App's installation. Each is good for an hour; a new one is
// asked for in the last minute of the old.
type Tokens struct {
	installation *ghinstallation.Transport
	id           int64
}

// NewTokens checks the key; it sends nothing.
func NewTokens(a App) (*Tokens, error) {
	if a.ID <= 0 || a.Installation <= 0 {
		return nil, errors.New("a GitHub App has an ID and an installation ID, both numbers above 0; hint: both are in the address of its settings pages")
	}
	if a.Repo == "" {
		a.Repo = "https://github.com/OWNER/NAME"
	}
	o := Options{Provider: GitHub, Repo: a.Repo, URL: a.URL, Transport: a.Transport, PlainHTTP: a.PlainHTTP, UserAgent: a.UserAgent}
	at, err := locate(o)
	if err != nil {
		return nil, fmt.Errorf("the GitHub App %d: %w", a.ID, err)
	}
	inner := newClient(o, at.api)
	signed, err := ghinstallation.NewAppsTransport(inner.Transport, a.ID, a.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the private key of the GitHub App %d: it is no RSA key in PEM; hint: GitHub makes it on the App's settings page", a.ID)
	}
	signed.BaseURL = strings.TrimSuffix(at.api.String(), "/")
	installation := ghinstallation.NewFromAppsTransport(signed, a.Installation)
	installation.Client = &http.Client{Transport: inner.Transport, CheckRedirect: checkRedirect, Timeout: inner.Timeout}
	return &Tokens{installation: installation, id: a.Installation}, nil
}

// Token is a token for the API, for Options.Token.
func (t *Tokens) Token(ctx context.Context) (string, error) {
	token, err := t.installation.Token(ctx)
	if err != nil {
		if problem, ok := errors.AsType[*Error](err); ok {
			err = problem
		}
		return "", fmt.Errorf("getting a token of the GitHub App's installation %d: %w", t.id, clipped(err))
	}
	if token == "" {
		return "", fmt.Errorf("getting a token of the GitHub App's installation %d: there is none in the answer", t.id)
	}
	return token, nil
}

// Credentials are a token as Git's user name and password.
func (t *Tokens) Credentials(ctx context.Context) (user, password string, err error) {
	token, err := t.Token(ctx)
	return "x-access-token", token, err
}

// clipped keeps an error's text short and printable.
func clipped(err error) error {
	if problem, ok := errors.AsType[*Error](err); ok {
		return problem
	}
	return errors.New(text.Line(err.Error(), maxMessage))
}
