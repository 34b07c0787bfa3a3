package verify

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

func fuzzedRef() artifact.Ref {
	return artifact.Repository{Host: "r.example.com", Path: "shop"}.At("sha256:" + "1b98e3970442da52aca7ec75c59c233e5ba5d5b11425087c88e25444722cea4d")
}

// fuzzedKey has signed nothing: whatever counts as signed by it is a forgery.
const fuzzedKey = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`

// fuzzedType is an attestation that is wanted.
const fuzzedType = "https://slsa.dev/provenance/v1"

func signedBy(s *signature, key *keyed) bool {
	_, err := s.byKey(key, nil)
	return err == nil
}

func forged(f *testing.F) func(t *testing.T, s *signature, err error) {
	key, err := newKeyed(policy.Key{Data: fuzzedKey})
	if err != nil {
		f.Fatal(err)
	}
	return func(t *testing.T, s *signature, err error) {
		switch {
		case err != nil && strings.ContainsFunc(clean(err.Error()), func(r rune) bool { return r < ' ' }):
			t.Errorf("%q holds control characters", err)
		case err == nil && signedBy(s, key):
			t.Error("forged")
		}
	}
}

// FuzzBundle: nothing counts as signed by a key that signed nothing.
func FuzzBundle(f *testing.F) {
	check := forged(f)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"tlogEntries":[null]}}`))
	whole := strangersBundle(f)
	f.Add([]byte(whole))
	for _, edit := range [][2]string{{`"dsseEnvelope":`, `"dsse_envelope":`}, {`"publicKey":`, `"certificate":{"rawBytes":"AAAA"},"publicKey":`}, {`"signatures":[`, `"signatures":[null,`},
		{`"verificationMaterial":{`, `"verificationMaterial":{"tlogEntries":[{"logIndex":"1","canonicalizedBody":"e30="}],"timestampVerificationData":{"rfc3161Timestamps":[{"signedTimestamp":"AAAA"}]},`}} {
		f.Add([]byte(strings.Replace(whole, edit[0], edit[1], 1)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s *signature
		err := guard(func() (err error) { s, err = readBundle(data, fuzzedRef(), []string{fuzzedType}); return err })
		check(t, s, err)
	})
}

// strangersBundle is a good signature of the fuzzed release, by a key that nobody trusts.
func strangersBundle(f *testing.F) string {
	f.Helper()
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		f.Fatal(err)
	}
	statement := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`, StatementType, fuzzedRef().Digest.Encoded(), PredicateType)
	made, err := sign.Bundle(&sign.DSSEData{Data: []byte(statement), PayloadType: PayloadType}, key, sign.BundleOptions{})
	if err != nil {
		f.Fatal(err)
	}
	data, err := protojson.Marshal(made)
	if err != nil {
		f.Fatal(err)
	}
	return string(data)
}

// FuzzInTotoStatement: what counts as a signature of ref is one to sigstore-go's
// reader too, of the same digest and no other.
func FuzzInTotoStatement(f *testing.F) {
	good := fmt.Sprintf(`{"_type":%q,"subject":[{"name":"","digest":{"sha256":%q},"annotations":{}}],"predicateType":%q,"predicate":{}}`, StatementType, fuzzedRef().Digest.Encoded(), PredicateType)
	for _, edit := range [][2]string{
		{"", ""}, {`"predicateType"`, `"predicate_type":"x","predicateType"`}, {`"predicateType"`, `"predicate_type"`}, {`"subject":[`, `"subject":[null,`},
		{`"sha256"`, `"sha512":"00","sha256"`}, {`"sha256"`, `"SHA256"`}, {`"_type"`, `"type"`}, {`"predicate":{}`, `"predicate":null`}, {"cosign/sign", `cosign\/si\u0067n`},
	} {
		f.Add([]byte(strings.Replace(good, edit[0], edit[1], 1)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := readSigned(data, fuzzedRef(), nil); err != nil {
			return
		}
		var theirs intoto.Statement
		if err := protojson.Unmarshal(data, &theirs); err != nil {
			return // they refuse it later
		}
		if theirs.GetPredicateType() != PredicateType || theirs.GetType() != StatementType || len(theirs.GetSubject()) != 1 ||
			theirs.GetSubject()[0].GetDigest()["sha256"] != fuzzedRef().Digest.Encoded() {
			t.Errorf("another reader sees %v in %q", &theirs, data)
		}
	})
}

// FuzzLegacyPayload: nothing counts as signed by a key that signed nothing.
func FuzzLegacyPayload(f *testing.F) {
	check := forged(f)
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, fuzzedRef().Digest, ClaimType)
	f.Add([]byte(payload), "AAAA")
	f.Add([]byte(payload), "%")
	f.Add([]byte(strings.Replace(payload, `"type"`, `"Type":"x","type"`, 1)), " AAAA\n")
	f.Add([]byte(strings.Replace(payload, `null}`, `{"a":[{}]}}{}`, 1)), "")
	f.Fuzz(func(t *testing.T, data []byte, encoded string) {
		s, err := readLegacy(data, encoded, fuzzedRef())
		check(t, s, err)
	})
}

// FuzzNotes: annotations never panic, and make no bundle of another payload or
// signature than those they are beside.
func FuzzNotes(f *testing.F) {
	const payload, encoded = "{}", "AAAA"
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", `{"SignedEntryTimestamp":"AAAA","Payload":{"body":"eyJraW5kIjoiaGFzaGVkcmVrb3JkIiwiYXBpVmVyc2lvbiI6IjAuMC4xIn0=","integratedTime":1,"logIndex":1,"logID":"00"}}`, `{"SignedRFC3161Timestamp":"AAAA"}`)
	f.Add(" \n", `{"SignedEntryTimestamp":"","Payload":{"body":1}}`, `{}`)
	f.Add("", `{"Payload":{"body":null}}`, `null`)
	f.Fuzz(func(t *testing.T, certificate, log, stamp string) {
		l, err := readNotes([]byte(payload), encoded, map[string]string{CertificateNote: certificate, LogNote: log, TimestampNote: stamp})
		if err != nil {
			return
		}
		content, err := l.SignatureContent()
		sum := sha256.Sum256([]byte(payload))
		if err != nil || !bytes.Equal(content.Signature(), []byte{0, 0, 0}) || !bytes.Equal(content.MessageSignatureContent().Digest(), sum[:]) {
			t.Errorf("a bundle of something else: %v, %v", content, err)
		}
		if l.certified() != (certificate != "") {
			t.Errorf("certified %v by %q", l.certified(), certificate)
		}
	})
}
