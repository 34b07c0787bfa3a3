package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// SigstoreParts are the parts that StartSigstore needs.
func SigstoreParts() []string { return []string{"rekor", "sigstack"} }

// Sigstore is a private Sigstore instance, a program of its own: Fulcio, a certificate transparency
// log, a timestamp authority, Rekor v2 and issuers of identity tokens. Each has keys of its own: to
// one instance the other is a stranger.
type Sigstore struct {
	Fulcio    string            `json:"fulcio"`    // URL
	Rekor     string            `json:"rekor"`     // URL
	Timestamp string            `json:"timestamp"` // URL, path included
	Issuers   map[string]string `json:"issuers"`   // by name: github, gitlab, kubernetes, email; as in certificates
	TokenURL  string            `json:"token"`

	TrustedRoot   string `json:"-"` // path of trusted_root.json
	SigningConfig string `json:"-"` // path of signing_config.json

	group   *group
	process *process
}

// StartSigstore starts the program "sigstack" of the folder bin on free ports, with its data, its
// files for clients and its logs in dir.
func StartSigstore(ctx context.Context, bin, dir string) (*Sigstore, error) {
	s := &Sigstore{TrustedRoot: filepath.Join(dir, "trusted_root.json"), SigningConfig: filepath.Join(dir, "signing_config.json")}
	if err := s.start(ctx, bin, dir); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting sigstack in %s: %w", dir, err)
	}
	return s, nil
}

// Stop ends the program and its children; the files stay.
func (s *Sigstore) Stop() {
	if s.process != nil {
		s.process.stop()
	}
	if s.group != nil {
		s.group.close()
		s.group = nil
	}
}

func (s *Sigstore) start(ctx context.Context, bin, dir string) (err error) {
	state := filepath.Join(dir, "state.json")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.Remove(state); err != nil && !os.IsNotExist(err) {
		return err
	}
	if s.group, err = newGroup(); err != nil {
		return err
	}
	if s.process, err = s.group.start(dir, filepath.Join(bin, "sigstack"), "-rekor", filepath.Join(bin, "rekor"), dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return until(ctx, []*process{s.process}, "it is there", func(context.Context) error {
		data, err := os.ReadFile(state)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, s)
	})
}

// Token returns an identity token of the issuer with that name in Issuers: by default one that a
// push to main of acme/deploy gets. The claims replace its own, nil removes one: with "exp" (Unix
// seconds), "aud" or "iss" a token is expired or somebody else's.
func (s *Sigstore) Token(ctx context.Context, issuer string, claims map[string]any) (string, error) {
	if claims == nil {
		claims = map[string]any{}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.TokenURL+"?issuer="+issuer, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, bytes.TrimSpace(answer))
	}
	if err != nil {
		return "", fmt.Errorf("asking for a token of %q: %w", issuer, err)
	}
	return string(answer), nil
}
