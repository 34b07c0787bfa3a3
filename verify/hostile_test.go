package verify_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"sealift.dev/verify"
)

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// vector is a hostile input: make stores it, or its benign twin, which differs in
// the hostile bit only and must be let in.
type vector struct {
	name   string
	make   func(w *world, key keypair, hostile bool)
	reason verify.Reason
	detail string
}

func run(t *testing.T, vectors []vector, edit func(named verify.NamedPolicy) verify.NamedPolicy) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			for _, hostile := range []bool{true, false} {
				w, key := newWorld(t, false), ecdsaKey(t)
				v.make(w, key, hostile)
				start := time.Now()
				_, err := w.verify(edit(trust(t, key)))
				if took := time.Since(start); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				if !hostile {
					if err != nil {
						t.Errorf("the benign twin is refused: %v", err)
					}
					continue
				}
				refused(t, err, v.reason)
				wantDetail(t, err, v.detail)
			}
		})
	}
}

func wantDetail(t *testing.T, err error, want string) {
	t.Helper()
	refusal, ok := err.(*verify.Refusal)
	if !ok || want == "" {
		return
	}
	for _, d := range refusal.Details() {
		if strings.Contains(d.Problem, want) {
			return
		}
	}
	t.Errorf("details %+v, want one with %q", refusal.Details(), want)
}

func pick(hostile bool, bad, good string) string {
	if hostile {
		return bad
	}
	return good
}

// statements makes a vector of a statement that differs in old and new.
func statements(name, old, with, detail string, reason verify.Reason) vector {
	return vector{name, func(w *world, key keypair, hostile bool) {
		good := statementOf(w.ref.Digest)
		bad := strings.Replace(good, old, with, 1)
		if bad == good {
			w.t.Fatalf("%q is not in %s", old, good)
		}
		w.attach(key.bundle(w.t, pick(hostile, bad, good)))
	}, reason, detail}
}

func TestHostileBundles(t *testing.T) {
	const subject = `"subject":[`
	other := `{"digest":{"sha256":"` + zeros + `"}}`
	run(t, []vector{
		{"signs another digest", func(w *world, key keypair, hostile bool) {
			w.attach(key.bundle(t, pick(hostile, statementOf("sha256:"+zeros), statementOf(w.ref.Digest))))
		}, verify.Untrusted, "another digest"},
		{"copied from another artifact", func(w *world, key keypair, hostile bool) {
			from := w.ref
			if hostile {
				from = w.release("shop", map[string]string{"org.opencontainers.image.version": "2"})
			}
			w.attach(key.bundle(t, statementOf(from.Digest)))
		}, verify.Untrusted, "another digest"},
		{"wrong key", func(w *world, key keypair, hostile bool) {
			if hostile {
				key = ecdsaKey(t)
			}
			w.attach(key.bundle(t, statementOf(w.ref.Digest)))
		}, verify.Untrusted, "another key"},
		{"key of another algorithm", func(w *world, key keypair, hostile bool) {
			if hostile {
				key = newKey(t, pb.PublicKeyDetails_PKIX_ED25519)
			}
			w.attach(key.bundle(t, statementOf(w.ref.Digest)))
		}, verify.Untrusted, "another key"},
		{"broken signature", func(w *world, key keypair, hostile bool) {
			data := key.bundle(t, statementOf(w.ref.Digest))
			if hostile {
				data = bytes.Replace(data, []byte(`"sig":"`), []byte(`"sig":"AAAA`), 1)
			}
			w.attach(data)
		}, verify.Untrusted, "another key"},
		{"payload of another type", func(w *world, key keypair, hostile bool) {
			w.attach(key.bundle(t, statementOf(w.ref.Digest), pick(hostile, "application/json", verify.PayloadType)))
		}, verify.Untrusted, "payload of type"},
		statements("attestation", "cosign/sign/v1", "attestation/v1", "is no signature but an attestation", verify.NotSigned),
		statements("FAILED", "https://sigstore.dev/cosign/sign/v1", "https://waybill.dev/FAILED", "FAILED", verify.NotSigned),
		statements("statement of another type", "in-toto.io/Statement/v1", "in-toto.io/Statement/v0.1", "statement of type", verify.Untrusted),
		statements("two subjects", subject, subject+other+",", "2 subjects", verify.Untrusted),
		statements("null subject", subject, subject+"null,", "subject", verify.Untrusted),
		statements("no subject", `"subject"`, `"subjects"`, "", verify.Untrusted),
		statements("duplicate subjects", subject, `"subject":[`+other+`],`+subject, "there twice", verify.Untrusted),
		statements("duplicate digest", `"sha256"`, `"sha256":"`+zeros+`","sha256"`, "there twice", verify.Untrusted),
		statements("key in another case", `"predicate":{}`, `"predicate":{},"PredicateType":"x"`, "case only", verify.Untrusted),
		statements("20,000 levels", `"predicate":{}`, `"predicate":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500), "levels deep", verify.Untrusted),
		statements("trailing bytes", `"predicate":{}}`, `"predicate":{}}{}`, "bytes follow", verify.Untrusted),
		statements("escape codes", `cosign/sign/v1`, `cosign/sign/v1\u001b[2J`, `\x1b[2J`, verify.NotSigned),
		statements("too large", `"predicate":{}`, `"predicate":"`+strings.Repeat("x", 70_000)+`"`, "limit of 65536", verify.Untrusted),
		statements("upper case digest", `"sha256":"`, `"sha256":"A`, "another digest", verify.Untrusted),
	}, func(n verify.NamedPolicy) verify.NamedPolicy { return n })
}

// bundles makes a vector of a bundle's JSON that differs in old and new.
func bundles(name, old, with, detail string) vector {
	return vector{name, func(w *world, key keypair, hostile bool) {
		good := string(key.bundle(w.t, statementOf(w.ref.Digest)))
		bad := strings.Replace(good, old, with, 1)
		if bad == good {
			w.t.Fatalf("%q is not in %s", old, good)
		}
		w.attach([]byte(pick(hostile, bad, good)))
	}, verify.Untrusted, detail}
}

func TestHostileBundleJSON(t *testing.T) {
	certificate := base64.StdEncoding.EncodeToString([]byte("no certificate"))
	hint := regexp.MustCompile(`"publicKey":{[^}]*}`)
	run(t, []vector{
		{"certificate for a key", func(w *world, key keypair, hostile bool) {
			data := key.bundle(t, statementOf(w.ref.Digest))
			if hostile {
				data = hint.ReplaceAll(data, []byte(`"certificate":{"rawBytes":"`+certificate+`"}`))
			}
			w.attach(data)
		}, verify.Untrusted, "made with a certificate"},
		bundles("not JSON", "{", "[", "malformed"),
		bundles("duplicate keys", `"dsseEnvelope":`, `"dsseEnvelope":{},"dsseEnvelope":`, "there twice"),
		bundles("both names of a key", `"dsseEnvelope":`, `"dsse_envelope":{},"dsseEnvelope":`, "no Sigstore bundle"),
		bundles("key in another case", `"dsseEnvelope":`, `"DsseEnvelope":{},"dsseEnvelope":`, "no Sigstore bundle"),
		bundles("other version", "bundle.v0.3", "bundle.v0.2", "not v0.3"),
		bundles("no version", "bundle.v0.3+json", "json", "no Sigstore bundle"),
		bundles("no envelope", `"dsseEnvelope":`, `"x":`, "no Sigstore bundle"),
		bundles("null envelope", `"dsseEnvelope":{`, `"dsseEnvelope":null,"messageSignature":{"x":{`, ""),
		bundles("message signature", `"dsseEnvelope":`, `"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AA=="},"signature":"AA=="}}`, "malformed"),
		bundles("null log entry", `"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[null],`, ""),
		bundles("empty log entry", `"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[{}],`, ""),
		bundles("certificate of blanks", `"publicKey":{`, `"certificate":{"rawBytes":"`+certificate+`"},"x":{`, ""),
		bundles("no key hint", `"publicKey":{`, `"publicKeys":{`, ""),
		bundles("two signatures", `"signatures":[`, `"signatures":[{"sig":"AAAA"},`, "2 signatures"),
		bundles("null signature", `"signatures":[`, `"signatures":[null,`, ""),
		bundles("deep", `{`, `{"x":`+strings.Repeat("[", 50_000)+strings.Repeat("]", 50_000)+`,`, "levels deep"),
		bundles("large", `{`, `{"x":"`+strings.Repeat("x", 300_000)+`",`, "limit of 262144"),
		bundles("trailing bytes", `"}]}}`, `"}]}} {}`, "malformed"),
	}, func(n verify.NamedPolicy) verify.NamedPolicy { return n })
}

func TestHostileReferrers(t *testing.T) {
	referrer := func(edit func(w *world, key keypair, m *ocispec.Manifest)) func(w *world, key keypair, hostile bool) {
		return func(w *world, key keypair, hostile bool) {
			m := ocispec.Manifest{ArtifactType: verify.BundleType, Layers: []ocispec.Descriptor{
				w.blob("shop", verify.BundleType, key.bundle(t, statementOf(w.ref.Digest)))}}
			if hostile {
				edit(w, key, &m)
			}
			w.refer(m)
		}
	}
	run(t, []vector{
		{"two layers", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), verify.Untrusted, "2 layers"},
		{"no layer", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{} }), verify.Untrusted, "0 layers"},
		{"other layer type", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers[0].MediaType = "text/plain" }), verify.Untrusted, "layer of type"},
		{"other artifact type", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.ArtifactType = "text/plain" }), verify.NotSigned, ""},
		{"says attestation", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) {
			m.Annotations = map[string]string{verify.PredicateTypeNote: "https://slsa.dev/provenance/v1"}
		}), verify.NotSigned, "an attestation"},
		{"layer claims a huge size", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers[0].Size = 1 << 62 }), verify.Untrusted, "size of 4611686018427387904"},
		{"layer over the limit", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers[0].Size = 300_000 }), verify.Untrusted, "limit of 262144"},
		{"layer claims a negative size", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers[0].Size = -1 }), verify.Untrusted, ""},
		{"layer claims another size", referrer(func(_ *world, _ keypair, m *ocispec.Manifest) { m.Layers[0].Size++ }), verify.Untrusted, ""},
		{"gzip bomb", referrer(func(w *world, _ keypair, m *ocispec.Manifest) {
			m.Layers[0] = w.blob("shop", verify.BundleType, bomb(t))
		}), verify.Untrusted, ""},
	}, func(n verify.NamedPolicy) verify.NamedPolicy { return n })
}

// A tag index may list what the referrers API would not: a manifest about another
// artifact, whose bundle is about ours.
func TestReferrerOfAnotherSubject(t *testing.T) {
	for _, subject := range []string{"another", "none", "ours"} {
		w, key := newWorld(t, true), ecdsaKey(t)
		m := ocispec.Manifest{ArtifactType: verify.BundleType, Layers: []ocispec.Descriptor{
			w.blob("shop", verify.BundleType, key.bundle(t, statementOf(w.ref.Digest)))}}
		switch subject {
		case "another":
			m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 1, Digest: "sha256:" + zeros}
		case "ours":
			m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 1, Digest: w.ref.Digest}
		}
		w.index(w.manifest("shop", "", m))
		_, err := w.verify(trust(t, key))
		if subject == "ours" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refused(t, err, verify.NotSigned)
		wantDetail(t, err, "its subject is another")
	}
}

// bomb is 64 MiB of zeros, compressed to 64 KiB.
func bomb(t *testing.T) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, zero{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// payloads makes a vector of a legacy payload that differs in old and new.
func payloads(name, old, with, detail string) vector {
	return vector{name, func(w *world, key keypair, hostile bool) {
		good := payloadOf(w.ref)
		bad := strings.Replace(good, old, with, 1)
		if bad == good {
			w.t.Fatalf("%q is not in %s", old, good)
		}
		w.note(w.legacy(key, pick(hostile, bad, good)))
	}, verify.Untrusted, detail}
}

// layers makes a vector of a legacy layer's descriptor.
func layers(name, detail string, edit func(d *ocispec.Descriptor)) vector {
	return vector{name, func(w *world, key keypair, hostile bool) {
		d := w.legacy(key, payloadOf(w.ref))
		if hostile {
			edit(&d)
		}
		w.note(d)
	}, verify.Untrusted, detail}
}

func TestHostileLegacy(t *testing.T) {
	const dig = `"docker-manifest-digest":`
	run(t, []vector{
		payloads("signs another digest", dig, dig+`"sha256:`+zeros+`","x":`, "another digest"),
		payloads("duplicate digests", dig, dig+`"sha256:`+zeros+`",`+dig, "there twice"),
		payloads("digest in another case", dig, `"Docker-Manifest-Digest":"sha256:`+zeros+`",`+dig, "case only"),
		payloads("no type", `"type":`, `"x":`, "claims to be"),
		payloads("other type", `cosign container`, `atomic container`, "claims to be"),
		payloads("trailing bytes", `"optional":null}`, `"optional":null}{}`, "bytes follow"),
		payloads("not JSON", `{`, `[`, "malformed"),
		payloads("deep", `"optional":null`, `"optional":{"x":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}`, "levels deep"),
		payloads("large", `"optional":null`, `"optional":{"x":"`+strings.Repeat("x", 70_000)+`"}`, "limit of 65536"),
		{"copied from another artifact", func(w *world, key keypair, hostile bool) {
			from := w.ref
			if hostile {
				from = w.release("shop", map[string]string{"org.opencontainers.image.version": "2"})
			}
			w.note(w.legacy(key, payloadOf(from)))
		}, verify.Untrusted, "another digest"},
		{"wrong key", func(w *world, key keypair, hostile bool) {
			if hostile {
				key = ecdsaKey(t)
			}
			w.note(w.legacy(key, payloadOf(w.ref)))
		}, verify.Untrusted, "another key"},
		layers("other media type", "payload of type", func(d *ocispec.Descriptor) { d.MediaType = "text/plain" }),
		layers("no signature", "no annotation", func(d *ocispec.Descriptor) { delete(d.Annotations, verify.SignatureNote) }),
		layers("signature not base64", "", func(d *ocispec.Descriptor) { d.Annotations[verify.SignatureNote] = "%%%" }),
		layers("signature too large", "limit of 8192", func(d *ocispec.Descriptor) { d.Annotations[verify.SignatureNote] = strings.Repeat("A", 9000) }),
		layers("another's signature", "another key", func(d *ocispec.Descriptor) { d.Annotations[verify.SignatureNote] = "AAAA" }),
		layers("huge size", "size of 4611686018427387904", func(d *ocispec.Descriptor) { d.Size = 1 << 62 }),
		layers("over the limit", "limit of 65536", func(d *ocispec.Descriptor) { d.Size = 70_000 }),
	}, func(n verify.NamedPolicy) verify.NamedPolicy { return with(n, legacyOnly) })
}

// Annotations that have no part in verifying with a key change nothing, whatever they hold.
func TestHostileAnnotationsAreIgnored(t *testing.T) {
	for name, annotation := range map[string][2]string{
		"certificate of blanks":  {"dev.sigstore.cosign/certificate", " \n"},
		"bundle body a number":   {"dev.sigstore.cosign/bundle", `{"SignedEntryTimestamp":"","Payload":{"body":1}}`},
		"bundle body null":       {"dev.sigstore.cosign/bundle", `{"SignedEntryTimestamp":"","Payload":{"body":null}}`},
		"timestamp that is none": {"dev.sigstore.cosign/rfc3161timestamp", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			w, key := newWorld(t, false), ecdsaKey(t)
			w.note(w.legacy(key, payloadOf(w.ref), func(d *ocispec.Descriptor) { d.Annotations[annotation[0]] = annotation[1] }))
			if _, err := w.verify(with(trust(t, key), legacyOnly)); err != nil {
				t.Error(err)
			}
		})
	}
}
