package stage_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

func sigstores(t *testing.T, count int) []*stage.Sigstore {
	t.Helper()
	bin, err := parts.Ensure(t.Context(), os.Stderr, stage.SigstoreParts()...)
	if err != nil {
		t.Fatal(err)
	}
	var started []*stage.Sigstore
	for range count {
		s, err := stage.StartSigstore(t.Context(), bin, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		started = append(started, s)
	}
	return started
}

// signBlob signs with everything that the instance has.
func signBlob(t *testing.T, s *stage.Sigstore, content, token string) (*bundle.Bundle, error) {
	t.Helper()
	keypair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := sign.Bundle(&sign.PlainData{Data: []byte(content)}, keypair, sign.BundleOptions{
		Context:             t.Context(),
		CertificateProvider: sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.Fulcio}), CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
		TimestampAuthorities: []*sign.TimestampAuthority{sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.Timestamp})},
		TransparencyLogs:     []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: s.Rekor, Version: 2})},
	})
	if err != nil {
		return nil, err
	}
	return bundle.NewBundle(made)
}

// check verifies with the trusted root of s.
func check(t *testing.T, s *stage.Sigstore, b *bundle.Bundle, content, issuer, san string) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromPath(s.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.NewVerifier(trusted, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := verify.NewShortCertificateIdentity(issuer, "", san, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithArtifact(strings.NewReader(content)), verify.WithCertificateIdentity(identity)))
	return err
}

// TestSigstore signs with tokens of every issuer; a second instance does not trust the first.
func TestSigstore(t *testing.T) {
	both := sigstores(t, 2)
	s, foreign := both[0], both[1]
	for issuer, san := range map[string]string{
		"github":     "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main",
		"gitlab":     "https://gitlab.com/acme/deploy//.gitlab-ci.yml@refs/heads/main",
		"kubernetes": "https://kubernetes.io/namespaces/ci/serviceaccounts/publisher",
		"email":      "ann@example.com",
	} {
		t.Run(issuer, func(t *testing.T) {
			token, err := s.Token(t.Context(), issuer, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := signBlob(t, s, "release", token)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(t, s, b, "release", s.Issuers[issuer], san); err != nil {
				t.Error(err)
			}
			if err := check(t, s, b, "release", s.Issuers[issuer], san+"x"); err == nil {
				t.Error("another identity passes")
			}
			if err := check(t, foreign, b, "release", s.Issuers[issuer], san); err == nil {
				t.Error("another instance trusts it")
			}
		})
	}
}

// TestSigstoreRefusesTokens that Fulcio has to refuse, beside one that it does not.
func TestSigstoreRefusesTokens(t *testing.T) {
	both := sigstores(t, 2)
	s, foreign := both[0], both[1]
	for name, test := range map[string]struct {
		from   *stage.Sigstore
		claims map[string]any
		good   bool
	}{
		"a pull request's":       {s, map[string]any{"event_name": "pull_request", "ref": "refs/pull/1/merge"}, true},
		"expired":                {s, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, false},
		"for another audience":   {s, map[string]any{"aud": "registry"}, false},
		"without a repository":   {s, map[string]any{"repository": nil}, false},
		"of an unknown issuer":   {s, map[string]any{"iss": "https://token.example.com"}, false},
		"of another instance":    {foreign, nil, false},
		"in the name of this":    {foreign, map[string]any{"iss": s.Issuers["github"]}, false},
		"the same, but this one": {s, map[string]any{"iss": s.Issuers["github"]}, true},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := test.from.Token(t.Context(), "github", test.claims)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signBlob(t, s, "release", token); (err == nil) != test.good {
				t.Errorf("signing: %v, want success %t", err, test.good)
			}
		})
	}
	if _, err := s.Token(t.Context(), "nobody", nil); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("an issuer that is not there: %v", err)
	}
}

// TestSigstoreFiles: both files are what Sigstore's clients read.
func TestSigstoreFiles(t *testing.T) {
	s := sigstores(t, 1)[0]
	config, err := root.NewSigningConfigFromPath(s.SigningConfig)
	if err != nil {
		t.Fatal(err)
	}
	if logs := config.RekorLogURLs(); len(logs) != 1 || logs[0].URL != s.Rekor || logs[0].MajorAPIVersion != 2 {
		t.Errorf("logs %+v, want %s", logs, s.Rekor)
	}
	data, err := os.ReadFile(s.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) || !bytes.Contains(data, []byte("trustedroot")) {
		t.Errorf("trusted_root.json is %.200s", data)
	}
}

// TestSigstoreStops: nothing of it answers any more, and a second start in its folder is a new one.
func TestSigstoreStops(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, stage.SigstoreParts()...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 {
		s, err := stage.StartSigstore(t.Context(), bin, dir)
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.Token(t.Context(), "github", nil)
		if err == nil {
			_, err = signBlob(t, s, "release", token)
		}
		s.Stop()
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{s.Fulcio, s.Rekor, s.TokenURL} {
			if response, err := http.Get(url); err == nil {
				response.Body.Close()
				t.Errorf("%s still answers", url)
			}
		}
	}
}
