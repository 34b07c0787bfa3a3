package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

const provenance = "https://slsa.dev/provenance/v1"

func attests(d digest.Digest, predicate string) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`, d.Encoded(), provenance, predicate)
}

// attachAs stores a bundle that is marked as of a predicate type.
func (w *world) attachAs(predicateType string, data []byte) {
	w.t.Helper()
	w.refer(ocispec.Manifest{ArtifactType: verify.BundleType, Annotations: map[string]string{verify.PredicateTypeNote: predicateType},
		Layers: []ocispec.Descriptor{w.blob(w.ref.Repository.Path, verify.BundleType, data)}})
}

func TestAttestations(t *testing.T) {
	i, key, stranger := newInstance(t), ecdsaKey(t), ecdsaKey(t)
	scanner := identity{issuer: "https://accounts.example.com", subject: "scanner@example.com", email: true}
	byKey := func(a *policy.Attestation) { a.Authorities = []policy.Attestor{{Name: "a"}} }
	byScanner := func(a *policy.Attestation) {
		a.Authorities = []policy.Attestor{{Name: "scanner", Keyless: &policy.Keyless{Issuer: scanner.issuer, Subject: scanner.subject}}}
	}
	young := func(a *policy.Attestation) { byScanner(a); a.MaxAge = &metav1.Duration{Duration: time.Hour} }
	youngByKey := func(a *policy.Attestation) { byKey(a); a.MaxAge = &metav1.Duration{Duration: time.Hour} }
	where := func(expression string) func(*policy.Attestation) {
		return func(a *policy.Attestation) {
			byKey(a)
			a.Conditions = []policy.Condition{{Expression: expression, Message: "the build is not hosted"}}
		}
	}
	const predicate = `{"builder":{"id":"hosted"},"n":3}`
	signed := func(w *world) []byte { return key.bundle(t, attests(w.ref.Digest, predicate)) }
	scanned := func(wit witnesses) func(w *world) []byte {
		return func(w *world) []byte {
			id := scanner
			if !wit.logged.IsZero() {
				id.from = wit.logged.Add(-time.Minute)
			}
			return i.sign(id, attests(w.ref.Digest, predicate), wit)
		}
	}
	edited := func(old, with string) func(w *world) []byte {
		return func(w *world) []byte {
			return key.bundle(t, strings.Replace(attests(w.ref.Digest, predicate), old, with, 1))
		}
	}
	tests := []struct {
		name    string
		policy  func(*policy.Attestation)
		made    func(w *world) []byte
		problem string // empty: it counts
	}{
		{"by the policy's key", byKey, signed, ""},
		{"old statement type", byKey, edited("Statement/v1", "Statement/v0.1"), ""},
		{"by an authority of its own", byScanner, scanned(witnesses{}), ""},
		{"young", young, scanned(witnesses{}), ""},
		{"young, by a key with a timestamp", youngByKey, func(w *world) []byte {
			return i.signKey(key, attests(w.ref.Digest, predicate), witnesses{unlogged: true, stamped: ago(time.Minute)})
		}, ""},
		{"condition holds", where(`predicate.builder.id == "hosted" && predicate.n < 4 && release.digest.startsWith("sha256:") && signer.authority == "a"`), signed, ""},
		{"a large number", where(`predicate.n == 12345678901234567`), edited(`"n":3`, `"n":12345678901234567`), ""},
		{"a large number's neighbour", where(`predicate.n == 12345678901234567`), edited(`"n":3`, `"n":12345678901234568`), "the build is not hosted"},
		{"by another key", byKey, func(w *world) []byte { return stranger.bundle(t, attests(w.ref.Digest, predicate)) }, "another key"},
		{"by who signs releases, where another attests", byScanner, signed, "made with a key, not with a certificate"},
		{"by another identity", byScanner, func(w *world) []byte { return i.sign(ci(), attests(w.ref.Digest, predicate), witnesses{}) }, `expects the issuer "https://accounts.example.com"`},
		{"of another artifact", byKey, func(*world) []byte { return key.bundle(t, attests("sha256:"+zeros, predicate)) }, "no attestation of the type"},
		{"two subjects", byKey, edited(`"subject":[`, `"subject":[{"digest":{"sha256":"`+zeros+`"}},`), "no attestation of the type"},
		{"another type", byKey, edited("provenance", "vsa"), "no attestation of the type"},
		{"a signature", byKey, func(w *world) []byte { return key.bundle(t, statementOf(w.ref.Digest)) }, "no attestation of the type"},
		{"too old", young, scanned(witnesses{logged: ago(2 * time.Hour)}), "is too old: it was made at"},
		{"from the far future", young, scanned(witnesses{logged: ago(-time.Hour)}), "is from the future"},
		{"without a time", youngByKey, signed, "has no time that a log or a timestamp authority vouches for"},
		{"condition does not hold", where(`predicate.builder.id == "local"`), signed, "the build is not hosted"},
		{"condition fails", where(`predicate.missing == "x"`), signed, "no such key"},
		{"condition costs too much", where(`[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, (string(a)+string(b)+string(c)+string(d)+predicate.builder.id).matches("^.*$")))))`), edited("hosted", strings.Repeat("x", 100_000)), "costs more than"},
		{"predicate deep", byKey, edited(`"n":3`, `"n":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)), "no attestation of the type"},
		{"too large", byKey, edited("hosted", strings.Repeat("x", 2<<20)), "no attestation of the type"},
	}
	for _, marked := range []bool{true, false} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s, marked %v", test.name, marked), func(t *testing.T) {
				w := newWorld(t, false)
				w.ref = w.release("shop", statement(w, nil))
				w.attach(key.bundle(t, statementOf(w.ref.Digest)))
				named := with(trust(t, key), func(p *policy.Policy) {
					p.Attestations = []policy.Attestation{{PredicateType: provenance}}
					test.policy(&p.Attestations[0])
				})
				_, err := w.judge(verify.Options{TrustedRoot: i.root()}, named)
				refused(t, err, verify.AttestationMissing, "no attestation of the type")

				for _, by := range []keypair{stranger, stranger} { // strangers' are skipped
					w.attachAs(provenance, by.bundle(t, attests(w.ref.Digest, `{}`)))
				}
				if marked {
					w.attachAs(provenance, test.made(w))
				} else {
					w.attach(test.made(w))
				}
				verified, err := w.judge(verify.Options{TrustedRoot: i.root()}, named)
				if test.problem != "" {
					refused(t, err, verify.AttestationMissing)
					if !strings.Contains(err.Error(), test.problem) {
						wantDetail(t, err, test.problem)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := verified.Verdicts()[0].Attestations; len(got) != 1 || got[0].PredicateType != provenance {
					t.Errorf("attestations %+v", got)
				}
				if hasAge := named.Policy.Attestations[0].MaxAge != nil; hasAge == verified.Until().IsZero() {
					t.Errorf("it holds until %v", verified.Until())
				}
			})
		}
	}
}

// An attestation is no signature, whoever made it, and a signature no attestation.
func TestAttestationIsNoSignature(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.attachAs(verify.PredicateType, key.bundle(t, attests(w.ref.Digest, `{}`)))
	w.attachAs(provenance, key.bundle(t, attests(w.ref.Digest, `{}`)))
	named := with(trust(t, key), func(p *policy.Policy) {
		p.Attestations = []policy.Attestation{{PredicateType: provenance, Authorities: []policy.Attestor{{Name: "a"}}}}
	})
	_, err := w.verify(named)
	refused(t, err, verify.NotSigned)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	if _, err := w.verify(named); err != nil {
		t.Error(err)
	}
}

func TestAttestedBy(t *testing.T) {
	w, key, other := newWorld(t, false), ecdsaKey(t), ecdsaKey(t)
	has := func(k keypair, predicateType string) bool {
		t.Helper()
		who := policy.Authority{Name: "me", Key: &policy.Key{Data: k.pem(t)}}
		got, err := verifier(t).AttestedBy(context.Background(), w.registry, w.ref, who, predicateType)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if has(key, provenance) {
		t.Error("there is none yet")
	}
	w.attachAs(provenance, key.bundle(t, attests(w.ref.Digest, `{}`)))
	if !has(key, provenance) || has(other, provenance) || has(key, "https://cyclonedx.org/bom") {
		t.Error("it is ours, and provenance")
	}
}

// Each attestation that is asked for has to be there: one stands for no other.
func TestEveryAttestationIsNeeded(t *testing.T) {
	w, key := newWorld(t, false), ecdsaKey(t)
	w.attach(key.bundle(t, statementOf(w.ref.Digest)))
	w.attachAs(provenance, key.bundle(t, attests(w.ref.Digest, `{}`)))
	const bill = "https://cyclonedx.org/bom"
	named := with(trust(t, key), func(p *policy.Policy) {
		for _, kind := range []string{provenance, bill} {
			p.Attestations = append(p.Attestations, policy.Attestation{PredicateType: kind, Authorities: []policy.Attestor{{Name: "a"}}})
		}
	})
	_, err := w.verify(named)
	refused(t, err, verify.AttestationMissing, `"`+bill+`" is there`)
	var refusal *verify.Refusal
	if !errors.As(err, &refusal) || refusal.Rule != "attestations[1]" {
		t.Errorf("rule %q", refusal.Rule)
	}
	w.attachAs(bill, key.bundle(t, strings.Replace(attests(w.ref.Digest, `{}`), provenance, bill, 1)))
	verified, err := w.verify(named)
	if err != nil || len(verified.Verdicts()[0].Attestations) != 2 {
		t.Errorf("%v, %v", verified.Verdicts(), err)
	}
}
