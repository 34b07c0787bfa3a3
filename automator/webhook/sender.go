package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// sender is a kind of registry or Git server.
type sender struct {
	// signatures are headers with an HMAC-SHA256 of the body, in hex.
	signatures []string
	// tokens are headers with the secret itself, which may follow "Bearer ".
	tokens []string
	// path takes the secret from the path: the sender can do no better.
	path bool
	// hints reads the payload.
	hints func(header http.Header, body []byte) ([]Hint, error)
}

// senders by their names in paths.
func senders() map[string]sender {
	return map[string]sender{
		"acr":          {tokens: []string{"Authorization"}, hints: acr},
		"artifactory":  {tokens: []string{"X-JFrog-Event-Auth"}, hints: artifactory},
		"bitbucket":    {signatures: []string{"X-Hub-Signature"}, hints: bitbucket},
		"distribution": {tokens: []string{"Authorization"}, hints: distribution},
		"dockerhub":    {path: true, hints: dockerHub},
		"forgejo":      {signatures: []string{"X-Forgejo-Signature", "X-Gitea-Signature"}, hints: gitea},
		"generic":      {signatures: []string{"X-Hub-Signature-256"}, tokens: []string{"Authorization"}, path: true, hints: generic},
		"gitea":        {signatures: []string{"X-Gitea-Signature"}, hints: gitea},
		"github":       {signatures: []string{"X-Hub-Signature-256"}, hints: gitHub},
		"gitlab":       {tokens: []string{"X-Gitlab-Token"}, hints: gitLab},
		"google":       {path: true, hints: google},
		"harbor":       {tokens: []string{"Authorization"}, hints: harbor},
		"quay":         {path: true, hints: quay},
	}
}

// signs says that the sender's signature counts: it has no other way, or it sent one.
func (s sender) signs(r *http.Request) bool {
	return len(s.signatures) > 0 && (s.signature(r) != "" || len(s.tokens) == 0 && !s.path)
}

func (s sender) signature(r *http.Request) string { return first(r.Header, s.signatures) }

// secret is what the sender shows; empty: nothing.
func (s sender) secret(r *http.Request) string {
	if s.path && r.PathValue("secret") != "" {
		return r.PathValue("secret")
	}
	shown := first(r.Header, s.tokens)
	if scheme, token, ok := strings.Cut(shown, " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return shown
}

func first(header http.Header, names []string) string {
	for _, name := range names {
		if value := header.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// digests make secrets of different lengths take the same time to compare.
func digests(secrets []string) [][32]byte {
	var all [][32]byte
	for _, secret := range secrets {
		all = append(all, sha256.Sum256([]byte(secret)))
	}
	return all
}

// knows takes the same time whichever secret it is, or none.
func (h *handler) knows(shown string) bool {
	got, found := sha256.Sum256([]byte(shown)), 0
	for _, want := range h.secrets {
		found |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return found == 1
}

// signed says that a signature is an HMAC of body with one of the secrets.
func (h *handler) signed(body []byte, signature string) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(signature, "sha256="))
	if err != nil {
		return false
	}
	found := 0
	for _, key := range h.keys {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		found |= subtle.ConstantTimeCompare(got, mac.Sum(nil))
	}
	return found == 1
}
