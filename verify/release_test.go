package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

func bothFormats(p *policy.Policy) { p.Formats = []policy.Format{policy.Bundle, policy.Legacy} }
func legacyOnly(p *policy.Policy)  { p.Formats = []policy.Format{policy.Legacy} }
func audit(p *policy.Policy)       { p.Mode = policy.Audit }

// refused checks the reason and the text of a refusal.
func refused(t *testing.T, err error, reason verify.Reason, texts ...string) {
	t.Helper()
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v, want a refusal", err)
	}
	if refusal.Reason != reason {
		t.Errorf("reason %s (%v), want %s", refusal.Reason, err, reason)
	}
	for _, text := range append(texts, refusal.Ref.String()) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q, want one with %q", err, text)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
		t.Errorf("error %q holds control characters", err)
	}
}

func TestEveryKindOfKeyInBothFormats(t *testing.T) {
	kinds := map[string]pb.PublicKeyDetails{
		"P-256":           pb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		"P-384":           pb.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		"P-384, SHA-256":  pb.PublicKeyDetails_PKIX_ECDSA_P384_SHA_256, //nolint:staticcheck // older clients sign so
		"RSA 3072":        pb.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		"Ed25519":         pb.PublicKeyDetails_PKIX_ED25519,
		"Ed25519, hashed": pb.PublicKeyDetails_PKIX_ED25519_PH,
	}
	for _, fallback := range []bool{false, true} {
		for name, kind := range kinds {
			t.Run(name, func(t *testing.T) {
				w, key := newWorld(t, fallback), newKey(t, kind)
				w.attach(key.bundle(t, statementOf(w.ref.Digest)))
				w.note(w.legacy(key, payloadOf(w.ref)))
				for _, format := range []policy.Format{policy.Bundle, policy.Legacy} {
					verified, err := w.verify(with(trust(t, key), func(p *policy.Policy) { p.Formats = []policy.Format{format} }))
					if err != nil {
						t.Fatal(err)
					}
					if signers := verified.Signers(); verified.Ref() != w.ref || len(signers) != 1 || signers[0].Format != format || signers[0].Authority != "a" {
						t.Errorf("verified %v by %v", verified.Ref(), signers)
					}
				}
				_, err := w.verify(with(trust(t, newKey(t, kind)), bothFormats))
				refused(t, err, verify.Untrusted, "another key")
			})
		}
	}
}

func TestNotSigned(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	_, err := w.verify(trust(t, key))
	refused(t, err, verify.NotSigned, "format bundle", `policy "shop"`, "hint: sign it")

	w.note(w.legacy(key, payloadOf(w.ref)))
	_, err = w.verify(trust(t, key))
	refused(t, err, verify.NotSigned, "only one in the format legacy")

	other := newWorld(t, false)
	other.attach(key.bundle(t, statementOf(other.ref.Digest)))
	_, err = other.verify(with(trust(t, key), legacyOnly))
	refused(t, err, verify.NotSigned, "only one in the format bundle")
}

func TestThreshold(t *testing.T) {
	w := newWorld(t, false)
	a, b, stranger := ecdsaKey(t), ecdsaKey(t), ecdsaKey(t)
	two := func(p *policy.Policy) { p.Require.AtLeast = 2; bothFormats(p) }
	for range 3 {
		w.attach(a.bundle(t, statementOf(w.ref.Digest)))
	}
	w.note(w.legacy(a, payloadOf(w.ref)))
	w.attach(stranger.bundle(t, statementOf(w.ref.Digest)))
	_, err := w.verify(with(trust(t, a, b), two))
	refused(t, err, verify.Untrusted, `1 of the 2 authorities`)

	// A second authority with the first one's key makes it no second signer.
	_, err = w.verify(with(trust(t, a, a, b), two))
	refused(t, err, verify.Untrusted, `1 of the 2 authorities`)

	w.attach(b.bundle(t, statementOf(w.ref.Digest)))
	verified, err := w.verify(with(trust(t, a, a, b), two))
	if err != nil {
		t.Fatal(err)
	}
	if signers := verified.Signers(); len(signers) != 2 || signers[0].Authority != "a" || signers[1].Authority != "c" {
		t.Errorf("signers %v", signers)
	}
}

func TestEveryPolicyMustPass(t *testing.T) {
	w := newWorld(t, false)
	a, b := ecdsaKey(t), ecdsaKey(t)
	w.attach(a.bundle(t, statementOf(w.ref.Digest)))
	ours, theirs := trust(t, a), trust(t, b)
	theirs.Name = "platform"

	_, err := w.verify(ours, theirs)
	refused(t, err, verify.Untrusted, `policy "platform"`)

	elsewhere := with(theirs, func(p *policy.Policy) { p.Match.Repositories = []string{"*/other"} })
	if _, err := w.verify(ours, elsewhere); err != nil {
		t.Errorf("a policy that does not match: %v", err)
	}

	verified, err := w.verify(ours, with(theirs, audit))
	if err != nil {
		t.Fatal(err)
	}
	if findings := verified.Findings(); len(findings) != 1 || !strings.Contains(findings[0], `"platform" (Audit): none of its signatures counts`) {
		t.Errorf("findings %q", findings)
	}
	if len(verified.Signers()) != 1 || verified.IsZero() || !(verify.Verified{}).IsZero() {
		t.Errorf("verified %+v", verified)
	}

	w.attach(b.bundle(t, statementOf(w.ref.Digest)))
	if _, err := w.verify(ours, theirs); err != nil {
		t.Errorf("signed for both: %v", err)
	}
}

// A signature found for the sake of one policy does not count for another.
func TestFormatsArePerPolicy(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.note(w.legacy(key, payloadOf(w.ref)))
	legacy := with(trust(t, key), legacyOnly)
	legacy.Name = "legacy"
	_, err := w.verify(legacy, trust(t, key))
	refused(t, err, verify.NotSigned, `policy "shop"`, "only one in the format legacy")
	if _, err := w.verify(legacy, with(trust(t, key), bothFormats)); err != nil {
		t.Error(err)
	}
}

func TestNoPolicy(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	_, err := w.verify()
	refused(t, err, verify.NoPolicy, "hint: write a TrustPolicy")

	named := with(trust(t, key), func(p *policy.Policy) { p.Match.Namespaces = []string{"shop"} })
	policies := []verify.NamedPolicy{named}
	_, err = verifier(t).Release(context.Background(), w.registry, w.ref, policies, verify.Claim{Namespace: "other"})
	refused(t, err, verify.NoPolicy)
	for _, namespace := range []string{"shop", ""} {
		if _, err := verifier(t).Release(context.Background(), w.registry, w.ref, policies, verify.Claim{Namespace: namespace}); err != nil {
			t.Errorf("namespace %q: %v", namespace, err)
		}
	}

	_, err = w.verify(with(trust(t, key), func(p *policy.Policy) { p.Require.AtLeast = 2; p.Mode = policy.Audit }))
	refused(t, err, verify.InvalidPolicy, `policy "shop"`, "atLeast")
}

func TestStatement(t *testing.T) {
	key := ecdsaKey(t)
	source := func(p *policy.Policy) {
		p.Source = policy.Source{Repositories: []string{"https://git.example.com/acme/deploy"}, Refs: []string{"refs/heads/main"}}
	}
	open := func(*policy.Policy) {}
	tests := []struct {
		name    string
		foreign bool
		edits   map[string]string
		policy  func(*policy.Policy)
		reason  verify.Reason
		text    string
	}{
		{"ours", false, nil, source, "", ""},
		{"ours, source open", false, nil, open, "", ""},
		{"foreign, source open", true, nil, open, "", ""},
		{"foreign", true, nil, source, verify.StatementMismatch, `repository ""`},
		{"published elsewhere", false, map[string]string{"dev.sealift.repository": "r.example.com/other"}, open, verify.StatementMismatch, `published to "r.example.com/other"`},
		{"published elsewhere, audited", false, map[string]string{"dev.sealift.repository": "r.example.com/other"}, audit, verify.StatementMismatch, "published to"},
		{"other source", false, map[string]string{"org.opencontainers.image.source": "https://evil.example.com/\x1b[2J"}, source, verify.StatementMismatch, `\x1b[2J`},
		{"other ref", false, map[string]string{"dev.sealift.ref": "refs/heads/feature"}, source, verify.StatementMismatch, "source.refs"},
		{"other ref, audited", false, map[string]string{"dev.sealift.ref": "refs/heads/feature"}, func(p *policy.Policy) { source(p); audit(p) }, "", ""},
		{"bad sequence", false, map[string]string{"dev.sealift.sequence": " 7"}, open, verify.Malformed, "statement"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, false)
			if !test.foreign {
				w.ref = w.release("shop", statement(w, test.edits))
			}
			named := with(trust(t, key), test.policy)
			_, err := w.verify(named)
			if named.Policy.Mode != policy.Audit {
				refused(t, err, verify.NotSigned)
			}
			w.attach(key.bundle(t, statementOf(w.ref.Digest)))
			verified, err := w.verify(named)
			if test.reason != "" {
				refused(t, err, test.reason, test.text)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !test.foreign && verified.Statement().Sequence != 7 {
				t.Errorf("statement %+v", verified.Statement())
			}
		})
	}
}

func TestUnavailableIsNotUnsigned(t *testing.T) {
	key := ecdsaKey(t)
	for _, part := range []string{"/referrers/", "/manifests/", "/blobs/", ".sig"} {
		t.Run(part, func(t *testing.T) {
			w := newWorld(t, false)
			format := bothFormats
			if part == ".sig" {
				w.note(w.legacy(key, payloadOf(w.ref)))
				format = legacyOnly
			} else {
				w.attach(key.bundle(t, statementOf(w.ref.Digest)))
			}
			named := with(trust(t, key), format)
			if _, err := w.verify(named); err != nil {
				t.Fatal(err)
			}
			w.breaks(part)
			_, err := w.verify(named)
			refused(t, err, verify.Unavailable)
			if !errors.Is(err, artifact.ErrUnavailable) {
				t.Errorf("error %v does not say ErrUnavailable", err)
			}
		})
	}
}

func TestMissingRelease(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.ref.Digest = "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	_, err := w.verify(trust(t, key))
	refused(t, err, verify.NotFound)
	if !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("error %v does not say ErrNotFound", err)
	}
}

func TestJSON(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.ref = w.release("shop", statement(w, nil))
	_, err := w.verify(trust(t, key))
	data, marshalError := json.Marshal(err)
	if marshalError != nil || !strings.Contains(string(data), `"reason":"NotSigned"`) {
		t.Errorf("refusal %s, %v", data, marshalError)
	}
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	verified, err := w.verify(trust(t, key))
	if err != nil {
		t.Fatal(err)
	}
	data, err = json.Marshal(verified)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Reference, Digest string
		Policies          []struct {
			Name, Mode string
			Passed     bool
			Signers    []verify.Signer
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Reference != w.ref.String() || got.Digest != w.ref.Digest.String() || len(got.Policies) != 1 || !got.Policies[0].Passed ||
		got.Policies[0].Mode != "Enforce" || len(got.Policies[0].Signers) != 1 || len(got.Policies[0].Signers[0].KeyID) != 64 {
		t.Errorf("JSON %s", data)
	}
}

func TestSignedBy(t *testing.T) {
	w, key, other := newWorld(t, false), ecdsaKey(t), ecdsaKey(t)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	for _, test := range []struct {
		key    keypair
		format policy.Format
		want   bool
	}{{key, policy.Bundle, true}, {key, policy.Legacy, false}, {other, policy.Bundle, false}} {
		who := policy.Authority{Name: "me", Key: &policy.Key{Data: test.key.pem(t)}}
		got, err := verifier(t).SignedBy(context.Background(), w.registry, w.ref, who, test.format)
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v, want %v", test.format, got, err, test.want)
		}
	}
}

// docs/trust.md has a line for every reason.
func TestReasonsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(` Reason = "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(reasons) < 10 {
		t.Errorf("%d reasons are too few to be all", len(reasons))
	}
	for _, reason := range reasons {
		if !strings.Contains(string(page), "\n| `"+reason[1]+"` | ") {
			t.Errorf("the page does not explain %s", reason[1])
		}
	}
}
