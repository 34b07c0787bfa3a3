package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sealift.dev/internal/httpx"
	"sealift.dev/internal/text"
)

// Where tokens are found.
const (
	// Audience is whom a token must be for.
	Audience = "sigstore"
	// EnvToken holds a token: GitLab's id_tokens, and any other source.
	EnvToken = "SIGSTORE_ID_TOKEN"
	// EnvRequestURL and EnvRequestToken are set in a job of GitHub Actions that has
	// the permission id-token: write.
	EnvRequestURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	EnvRequestToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
	// DefaultFile is where a pod has a projected service account token, as cosign
	// expects it.
	DefaultFile = "/var/run/sigstore/cosign/oidc-token"
)

// ErrNone means that no token was found anywhere.
var ErrNone = errors.New("no identity token was found")

// expiresSoon is how long a token must still be good for.
const expiresSoon = 5 * time.Second

// Source says where a token may be. Sources are asked in the order of the fields.
type Source struct {
	File        string              // asked alone where it is set
	Env         func(string) string // nil: os.Getenv
	DefaultFile string              // empty: DefaultFile
	UserAgent   string
}

// Token asks for a token that has not expired. Without any, the error wraps ErrNone
// and lists what was tried.
func (s Source) Token(ctx context.Context) (Token, error) {
	secret, origin, err := s.find(ctx)
	if err != nil {
		return Token{}, err
	}
	token, err := parse(secret, origin)
	if err != nil {
		return Token{}, fmt.Errorf("reading the identity token from %s: %w", origin, err)
	}
	if !token.Expires.IsZero() && time.Until(token.Expires) < expiresSoon {
		return Token{}, fmt.Errorf("the identity token from %s expired at %s; hint: ask for one right before signing",
			origin, token.Expires.UTC().Format(time.RFC3339))
	}
	return token, nil
}

func (s Source) find(ctx context.Context) (secret, origin string, err error) {
	if s.File != "" {
		secret, err = readFile(s.File)
		return secret, s.File, err
	}
	env := s.Env
	if env == nil {
		env = os.Getenv
	}
	if secret = env(EnvToken); secret != "" {
		return secret, EnvToken, nil
	}
	if env(EnvRequestURL) != "" && env(EnvRequestToken) != "" {
		secret, err = s.askGitHub(ctx, env(EnvRequestURL), env(EnvRequestToken))
		return secret, "GitHub Actions", err
	}
	path := s.DefaultFile
	if path == "" {
		path = DefaultFile
	}
	secret, err = readFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("%w: %s is not set; this is no job of GitHub Actions with the permission id-token: write (%s is not set); there is no file %s",
			ErrNone, EnvToken, EnvRequestURL, path)
	}
	return secret, path, err
}

// readFile is bounded, because it may be a pipe. Where cosign takes a file, it takes the
// token itself, too: that must not become a path in an error.
func readFile(path string) (string, error) {
	if strings.HasPrefix(path, "eyJ") && strings.Count(path, ".") == 2 && !strings.Contains(path, "/") {
		return "", fmt.Errorf("reading the identity token: a token is there in place of the name of its file; hint: give it in %s", EnvToken)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the identity token: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading the identity token: %w", err)
	}
	return string(data), nil
}

// patience is how long the runner may take to answer.
const patience = 30 * time.Second

// askGitHub asks the runner for a token, as GitHub's documentation has it:
// https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token.
func (s Source) askGitHub(ctx context.Context, address, bearer string) (string, error) {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.Scheme != "https" && !(at.Scheme == "http" && httpx.IsLoopback(at.Hostname())) {
		return "", fmt.Errorf("asking GitHub Actions for an identity token: %s is no https URL", EnvRequestURL)
	}
	query := at.Query()
	query.Set("audience", Audience)
	at.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secret, err := s.request(ctx, at, bearer)
	if err != nil {
		return "", fmt.Errorf("asking GitHub Actions at %s for an identity token: %w", at.Host, hide(err, bearer))
	}
	return secret, nil
}

func (s Source) request(ctx context.Context, at *url.URL, bearer string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "bearer "+bearer)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", s.UserAgent)
	response, err := client().Do(request)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err // without the URL, whose query may be confidential
	}
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenBytes+1))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d; hint: the job needs the permission id-token: write", response.StatusCode)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if len(body) > maxTokenBytes || json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", errors.New("the answer holds no token")
	}
	return answer.Value, nil
}

// client follows no redirect, so that the runner's token stays with the runner, and
// asks again while the runner is busy.
func client() *http.Client {
	return &http.Client{
		Transport: &httpx.Retry{Base: httpx.NewTransport(), Patience: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects, which is not followed")
		},
	}
}

// hide keeps a secret out of an error.
func hide(err error, secret string) error {
	if !strings.Contains(err.Error(), secret) {
		return err
	}
	return errors.New(text.Clip(strings.ReplaceAll(err.Error(), secret, "…"), 512))
}
