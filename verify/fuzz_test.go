package verify

import (
	"fmt"
	"strings"
	"testing"

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

func forged(f *testing.F) func(t *testing.T, s *signature, err error) {
	key, err := policy.Key{Data: fuzzedKey}.Public()
	if err != nil {
		f.Fatal(err)
	}
	return func(t *testing.T, s *signature, err error) {
		switch {
		case err != nil && strings.ContainsFunc(clean(err.Error()), func(r rune) bool { return r < ' ' }):
			t.Errorf("%q holds control characters", err)
		case err == nil && s.by(key):
			t.Error("forged")
		}
	}
}

func FuzzBundle(f *testing.F) {
	check := forged(f)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AAAA"}]}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"tlogEntries":[null]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s *signature
		err := guard(func() (err error) { s, err = readBundle(data, fuzzedRef()); return err })
		check(t, s, err)
	})
}

func FuzzStatement(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q}`, StatementType, fuzzedRef().Digest.Encoded(), PredicateType)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if readSigned(data, fuzzedRef()) == nil && !strings.Contains(string(data), fuzzedRef().Digest.Encoded()[:4]) && !strings.Contains(string(data), `\u`) {
			t.Errorf("%q does not name the digest", data)
		}
	})
}

func FuzzLegacy(f *testing.F) {
	check := forged(f)
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"r"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, fuzzedRef().Digest, ClaimType)
	f.Add([]byte(payload), "AAAA")
	f.Add([]byte(payload), "%")
	f.Fuzz(func(t *testing.T, data []byte, encoded string) {
		s, err := readLegacy(data, encoded, fuzzedRef())
		check(t, s, err)
	})
}
