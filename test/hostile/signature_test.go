package hostile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
	"sealift.dev/verify"
)

const zeroDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// signed is a vector of a statement that our key signs, which differs in old and new.
func signed(name, old, new, reason, text string) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		statement := statementOf(w.ref.Digest)
		if hostile {
			before := statement
			if statement = strings.Replace(statement, old, new, 1); statement == before {
				w.t.Fatalf("%q is not in %s", old, statement)
			}
		}
		w.referrers = nil
		w.attach(w.signer.bundle(w.t, statement))
	}, "verify", reason, text, false, ""}
}

// rebundled is a vector of our bundle's JSON, which differs in old and new.
func rebundled(name, old, new, reason, text string) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		data := string(w.signer.bundle(w.t, statementOf(w.ref.Digest)))
		if hostile {
			before := data
			if data = strings.Replace(data, old, new, 1); data == before {
				w.t.Fatalf("%q is not in %s", old, data)
			}
		}
		w.referrers = nil
		w.attach([]byte(data))
	}, "verify", reason, text, false, ""}
}

// claimed is a vector of a legacy payload that our key signs, and of its annotations.
func claimed(name, old, new, reason, text string, annotations map[string]string) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		w.onlyLegacy()
		payload := payloadOf(w.ref)
		if hostile {
			payload = strings.Replace(payload, old, new, 1)
		}
		d := w.payload(w.signer, payload)
		for key, value := range annotations {
			if hostile {
				d.Annotations[key] = value
			}
		}
		w.legacy(d)
	}, "verify", reason, text, false, ""}
}

// onlyLegacy takes the bundle away, and lets the legacy format count.
func (w *world) onlyLegacy() {
	w.referrers = nil
	w.list()
	w.policies = strings.Replace(w.policies, "spec:\n", "spec:\n  formats: [legacy]\n", 1)
}

// ignored makes a vector one that is delivered all the same.
func ignored(v vector) vector { v.step, v.reason, v.text = "", "", ""; return v }

// keyed is a vector of a policy's key.
func keyed(name, text string, bad func(t *testing.T) crypto.PublicKey) vector {
	return vector{name, func(w *world, hostile bool) {
		if hostile {
			der, err := x509.MarshalPKIXPublicKey(bad(w.t))
			if err != nil {
				w.t.Fatal(err)
			}
			key := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			w.policies = fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: shop}\nspec:\n  authorities:\n  - {name: a, key: {data: %q}}\n", key)
		}
		w.publish()
	}, "policy", "Invalid", text, false, ""}
}

// twoOf makes the policy ask for two authorities.
func (w *world) twoOf(keys ...keypair) {
	w.policies = trust(keys...) + "  require: {atLeast: 2}\n"
}

func TestSignatures(t *testing.T) {
	const subject = `"subject":[`
	other := `{"digest":{"sha256":"` + strings.TrimPrefix(zeroDigest, "sha256:") + `"}}`
	type note = map[string]string
	runAll(t, Signatures, []vector{
		signed("statement of another digest", `"sha256":"`, `"sha256":"0`, "Untrusted", "another digest"),
		claimed("payload of another digest", `"docker-manifest-digest":"`, `"docker-manifest-digest":"`+zeroDigest+`","x":"`, "Untrusted", "another digest", nil),
		{"bundle copied from another artifact", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				stolen := w.signer.bundle(w.t, statementOf(w.ref.Digest))
				w.annotations[ocispec.AnnotationVersion] = "2.0.0"
				w.signer = strangers()
				w.publish()
				w.referrers = nil
				w.attach(stolen)
			}
		}, "verify", "Untrusted", "another digest", false, ""},
		{"legacy signature copied from another artifact", func(w *world, hostile bool) {
			w.publish()
			payload := payloadOf(w.ref)
			if hostile {
				w.annotations[ocispec.AnnotationVersion] = "2.0.0"
				w.publish()
			}
			w.onlyLegacy()
			w.legacy(w.payload(w.signer, payload))
		}, "verify", "Untrusted", "another digest", false, ""},
		{"same digest under another repository name", func(w *world, hostile bool) {
			if hostile {
				w.annotations[artifact.AnnotationRepository] = w.s.Host + "/deploy/other"
			}
			w.publish()
		}, "verify", "StatementMismatch", "it was published to", false, ""},
		{"wrong key", func(w *world, hostile bool) {
			w.signer = pick(hostile, strangers(), ours())
			w.publish()
		}, "verify", "Untrusted", "another key", false, ""},
		{"key of another algorithm", func(w *world, hostile bool) {
			if hostile {
				w.signer = newKey(pb.PublicKeyDetails_PKIX_ED25519)
			}
			w.publish()
		}, "verify", "Untrusted", "another key", false, ""},
		keyed("RSA 1024", "RSA key has 1024 bits", func(t *testing.T) crypto.PublicKey { return weakRSA(t) }),
		keyed("P-224", "curve P-224", func(t *testing.T) crypto.PublicKey {
			key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return &key.PublicKey
		}),
		{"same signature three times where two are required", func(w *world, hostile bool) {
			w.twoOf(ours(), strangers())
			w.publish()
			for range 2 {
				w.attach(ours().bundle(w.t, statementOf(w.ref.Digest)))
			}
			w.attach(pick(hostile, ours(), strangers()).bundle(w.t, statementOf(w.ref.Digest)))
		}, "verify", "Untrusted", "1 of the 2 authorities", false, ""},
		{"two authorities of one key where two are required", func(w *world, hostile bool) {
			w.twoOf(ours(), ours(), strangers())
			w.publish()
			w.attach(pick(hostile, ours(), strangers()).bundle(w.t, statementOf(w.ref.Digest)))
		}, "verify", "Untrusted", "1 of the 2 authorities", false, ""},
		{"100,000 signature layers", func(w *world, hostile bool) {
			w.publish()
			w.onlyLegacy()
			n := pick(hostile, 100_000, 10)
			layers := make([]ocispec.Descriptor, n)
			for i := range layers {
				layers[i] = ocispec.Descriptor{MediaType: verify.SimpleSigningType, Digest: zeroDigest, Size: 1}
			}
			layers[n-1] = w.payload(w.signer, payloadOf(w.ref))
			w.legacy(layers...)
		}, "verify", "Untrusted", "more than 4194304 bytes", false, ""},
		{"10,000 signature layers", func(w *world, hostile bool) {
			w.publish()
			w.onlyLegacy()
			theirs := w.payload(strangers(), payloadOf(w.ref))
			n := pick(hostile, 10_000, 1_000)
			layers := make([]ocispec.Descriptor, n)
			for i := range layers {
				layers[i] = theirs
			}
			layers[n-1] = w.payload(w.signer, payloadOf(w.ref))
			w.legacy(layers...)
		}, "verify", "Untrusted", "the limit of 1024 signatures", false, ""},
		ignored(claimed("certificate annotation of blanks", "", "", "", "", note{"dev.sigstore.cosign/certificate": " \n", "dev.sigstore.cosign/chain": " "})),
		ignored(claimed("bundle annotation whose body is a number", "", "", "", "", note{"dev.sigstore.cosign/bundle": `{"SignedEntryTimestamp":"","Payload":{"body":1}}`})),
		ignored(claimed("bundle annotation whose body is null", "", "", "", "", note{"dev.sigstore.cosign/bundle": `{"SignedEntryTimestamp":"","Payload":{"body":null}}`})),
		claimed("payload with duplicate keys", `"docker-manifest-digest":`, `"docker-manifest-digest":"`+zeroDigest+`","docker-manifest-digest":`, "Untrusted", "there twice", nil),
		claimed("payload without type", `"type":`, `"x":`, "Untrusted", "claims to be", nil),
		claimed("payload with trailing bytes", `"optional":null}`, `"optional":null}{}`, "Untrusted", "bytes follow", nil),
		signed("statement with two subjects", subject, subject+other+",", "Untrusted", "2 subjects"),
		signed("statement of another type", "in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1", "Untrusted", "statement of type"),
		signed("statement 20,000 levels deep", `"predicate":{}`, `"predicate":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000), "Untrusted", "levels deep"),
		signed("statement with duplicate keys", subject, `"subject":[`+other+`],`+subject, "Untrusted", "there twice"),
		signed(`attestation "FAILED" as the signature`, "https://sigstore.dev/cosign/sign/v1", "https://example.com/FAILED", "NotSigned", "is no signature but an attestation"),
		rebundled("bundle without an envelope", `"dsseEnvelope":`, `"x":`, "Untrusted", "no Sigstore bundle"),
		rebundled("bundle with two signatures", `"signatures":[`, `"signatures":[{"sig":"AAAA"},`, "Untrusted", "2 signatures"),
		rebundled("bundle with a null log entry", `"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[null],`, "Untrusted", ""),
		rebundled("bundle 50,000 levels deep", "{", `{"x":`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+",", "Untrusted", "levels deep"),
		{"only .sig where the policy says bundle", func(w *world, hostile bool) {
			w.publish()
			w.legacy(w.payload(w.signer, payloadOf(w.ref)))
			if hostile {
				w.referrers = nil
				w.list()
			}
		}, "verify", "NotSigned", "only one in the format legacy", false, ""},
		{"no signature at all", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				w.referrers = nil
				w.list()
				w.s.On("", w.manifestPath(verify.LegacyTag(w.ref.Digest)), stage.Answer{Status: 404})
			}
		}, "verify", "NotSigned", "it is not signed", false, ""},
	})
}

// weakRSA is a key of 1,024 bits that signs nothing.
func weakRSA(t *testing.T) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: n, E: 65537}
}
