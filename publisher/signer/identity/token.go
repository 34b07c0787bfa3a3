// Package identity finds the identity token that the machine it runs on has, and
// says as whom Fulcio will know its holder. It verifies no token: Fulcio does.
package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"sealift.dev/internal/text"
)

// maxTokenBytes is the size of the largest token that is read.
const maxTokenBytes = 32 << 10

// Token is an OpenID Connect identity token. It prints without its secret.
type Token struct {
	secret  func() string // a function, so that no way of printing shows it
	Issuer  string        // the claim iss
	Subject string        // the subject alternative name that Fulcio makes of the token
	Commit  string        // of which the job that has the token is, in hex; empty: it does not say
	Expires time.Time     // zero: never
	Origin  string        // where it was found, for people
}

// Secret is the token itself. It goes to Fulcio, and nowhere else.
func (t Token) Secret() string { return t.secret() }

// String says whose token it is.
func (t Token) String() string {
	return fmt.Sprintf("%q of the issuer %q (%s)", text.Clip(t.Subject, 256), text.Clip(t.Issuer, 256), t.Origin)
}

// claims are those of which Fulcio makes a subject.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Expires  any    `json:"exp"`
	Email    string `json:"email"`
	Commit   string `json:"sha"`               // GitHub, GitLab
	Workflow string `json:"job_workflow_ref"`  // GitHub
	Pipeline string `json:"ci_config_ref_uri"` // GitLab

	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount struct {
			Name string `json:"name"`
		} `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// parse reads a token's claims. No error repeats any of it.
func parse(secret, origin string) (Token, error) {
	secret = strings.TrimSpace(secret)
	parts := strings.Split(secret, ".")
	switch {
	case secret == "":
		return Token{}, errors.New("it is empty")
	case len(secret) > maxTokenBytes:
		return Token{}, fmt.Errorf("it has more than the limit of %d bytes", maxTokenBytes)
	case len(parts) != 3:
		return Token{}, errors.New("it is no identity token: three parts with dots between them are wanted (RFC 7519)")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Token{}, errors.New("it is no identity token: its claims are not base64")
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return Token{}, errors.New("it is no identity token: its claims are not JSON")
	}
	t := Token{secret: func() string { return secret }, Issuer: c.Issuer, Subject: c.san(), Commit: c.Commit, Origin: origin}
	if seconds, ok := c.Expires.(float64); ok {
		t.Expires = time.Unix(int64(seconds), 0)
	}
	if t.Issuer == "" || t.Subject == "" {
		return Token{}, errors.New("it is no identity token: it names no issuer or no subject")
	}
	return t, nil
}

// san is the subject alternative name that Fulcio gives the holder, as its
// configuration of the public instance has it:
// https://github.com/sigstore/fulcio/blob/main/docs/oidc.md.
func (c claims) san() string {
	switch {
	case c.Workflow != "":
		return "https://github.com/" + c.Workflow
	case c.Pipeline != "":
		return "https://" + c.Pipeline
	case c.Kubernetes.ServiceAccount.Name != "" && c.Kubernetes.Namespace != "":
		return "https://kubernetes.io/namespaces/" + url.PathEscape(c.Kubernetes.Namespace) + "/serviceaccounts/" + url.PathEscape(c.Kubernetes.ServiceAccount.Name)
	case c.Email != "":
		return c.Email
	}
	return c.Subject
}
