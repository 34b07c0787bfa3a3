package signer_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// overtaken is a registry in which another signer, who read before us, writes right
// after our first write.
type overtaken struct {
	signer.Registry
	other []byte // the manifest that the other writes
	left  int    // how often
}

func (o *overtaken) PutManifest(ctx context.Context, repository artifact.Repository, tag, mediaType string, manifest []byte) (artifact.Ref, error) {
	ref, err := o.Registry.PutManifest(ctx, repository, tag, mediaType, manifest)
	if err == nil && o.left > 0 {
		o.left--
		_, err = o.Registry.PutManifest(ctx, repository, tag, mediaType, o.other)
	}
	return ref, err
}

// TestTwoSignersAtOnce: the signature that another's write took away is added again,
// and the other's stays; one who always overtakes is named.
func TestTwoSignersAtOnce(t *testing.T) {
	for _, times := range []int{1, 3, 100} {
		client, ref := store(t, true)
		theirs := p256(t)
		if _, err := signer.New(theirs, client).Sign(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		at, err := client.Resolve(t.Context(), ref.Repository, verify.LegacyTag(ref.Digest))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := client.Manifest(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		ours := p256(t)
		_, err = signer.New(ours, &overtaken{Registry: client, other: manifest.Raw, left: times}).Sign(t.Context(), ref)
		if times == 100 {
			if err == nil || !strings.Contains(err.Error(), "10 times; hint") {
				t.Errorf("overtaken for ever: %v", err)
			}
			continue
		}
		for _, key := range []*signer.Key{ours, theirs} {
			if problem := check(t, client, ref, key, policy.Legacy); err != nil || problem != nil {
				t.Errorf("overtaken %d times: %v, %v", times, err, problem)
			}
		}
	}
}

// TestSigningConverges: wherever the registry gives up, signing again finishes what was
// left, and once more changes nothing.
func TestSigningConverges(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		for failing := 1; ; failing++ {
			handler := registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
			writes, armed := 0, false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet && r.Method != http.MethodHead && armed {
					if writes++; writes == failing {
						http.Error(w, "no", http.StatusInternalServerError)
						return
					}
				}
				handler.ServeHTTP(w, r)
			}))
			client, ref := storeAt(t, server.URL)
			s := signer.New(p256(t), client)
			armed = true
			_, err := s.Sign(t.Context(), ref)
			_, attestErr := s.Attest(t.Context(), ref, "https://example.com/statement/v1", map[string]string{"a": "b"})
			if writes < failing {
				server.Close()
				if failing < 8 {
					t.Errorf("only %d writes", writes)
				}
				break
			}
			if err == nil && attestErr == nil {
				t.Errorf("write %d fails, and nobody says so", failing)
			}
			converges(t, s, ref)
			server.Close()
		}
	}
}

func converges(t *testing.T, s *signer.Signer, ref artifact.Ref) {
	t.Helper()
	for _, want := range []bool{true, false} {
		signed, err := s.Sign(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		attested, err := s.Attest(t.Context(), ref, "https://example.com/statement/v1", map[string]string{"a": "b"})
		if err != nil {
			t.Fatal(err)
		}
		if !want && (signed || attested) {
			t.Errorf("the third time writes: signature %v, attestation %v", signed, attested)
		}
	}
	if err := s.Verify(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// TestAttest: an attestation is found by its author and type, and by nothing else.
func TestAttest(t *testing.T) {
	const one, two = "https://example.com/one/v1", "https://example.com/two/v1"
	for _, referrers := range []bool{true, false} {
		client, ref := store(t, referrers)
		ours, theirs := p256(t), p256(t)
		for i, test := range []struct {
			key   *signer.Key
			kind  string
			wrote bool
		}{{ours, one, true}, {ours, one, false}, {theirs, one, true}, {ours, two, true}, {ours, one, false}, {theirs, two, true}} {
			wrote, err := signer.New(test.key, client).Attest(t.Context(), ref, test.kind, map[string]int{"n": i})
			if err != nil || wrote != test.wrote {
				t.Errorf("attestation %d: %v, %v", i, wrote, err)
			}
		}
		if err := check(t, client, ref, ours, policy.Bundle); err == nil {
			t.Error("an attestation counts as a signature")
		}
		if _, err := signer.New(ours, client).Attest(t.Context(), ref, "https://example.com/big/v1", strings.Repeat("a", 1<<20)); err == nil || !strings.Contains(err.Error(), "limit of 1048576") {
			t.Errorf("an attestation that nobody would read: %v", err)
		}
	}
}
