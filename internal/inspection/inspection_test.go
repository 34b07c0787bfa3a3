package inspection

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

func leaf(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := asn1.MarshalWithParams("https://issuer.example.com", "utf8")
	if err != nil {
		t.Fatal(err)
	}
	who, err := url.Parse("https://example.com/workflow@refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{who},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func bundleOf(material, predicate string) string {
	payload := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"predicateType":%q}`, predicate))
	return fmt.Sprintf(`{"verificationMaterial":%s,"dsseEnvelope":{"payload":%q}}`, material, payload)
}

// TestRelease has signatures of every form, an attestation, and a stranger's things.
func TestRelease(t *testing.T) {
	for name, referrers := range map[string]bool{"referrers API": true, "referrers tag": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
			defer server.Close()
			r := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
			repository := artifact.Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "a"}
			ref := push(t, r, repository)
			attach := func(artifactType, content string) {
				if _, err := r.Attach(t.Context(), ref, artifactType, artifact.Blob{MediaType: artifactType, Data: []byte(content)}, nil); err != nil {
					t.Fatal(err)
				}
			}
			der := leaf(t)
			raw := base64.StdEncoding.EncodeToString(der)
			attach(verify.BundleType, bundleOf(`{"publicKey":{"hint":"abc"}}`, verify.PredicateType))
			attach(verify.BundleType, bundleOf(`{"certificate":{"rawBytes":"`+raw+`"}}`, verify.PredicateType))
			attach(verify.BundleType, bundleOf(`{"publicKey":{"hint":"abc"}}`, "https://slsa.dev/provenance/v1"))
			attach(verify.BundleType, "nonsense")
			attach("application/vnd.example.note", "hello")
			legacy(t, r, ref, der)
			report, err := Release(t.Context(), r, ref)
			if err != nil {
				t.Fatal(err)
			}
			check(t, report)
		})
	}
}

func check(t *testing.T, report Report) {
	t.Helper()
	seen := map[string]int{}
	for _, s := range report.Signatures {
		seen[fmt.Sprintf("%s %s %s %s %t", s.Format, s.KeyHint, s.Identity, s.Issuer, s.Problem != "")]++
	}
	const who = "https://example.com/workflow@refs/heads/main https://issuer.example.com"
	for _, want := range []string{"bundle abc   false", "bundle  " + who + " false", "bundle    true", "legacy  " + who + " false", "legacy    true"} {
		if seen[want] != 1 {
			t.Errorf("%q is missing in %v", want, seen)
		}
	}
	if len(report.Signatures) != 5 || len(report.Referrers) != 5 || len(report.Problems) != 0 || report.Verified {
		t.Errorf("got %+v", report)
	}
	provenance := 0
	for _, referrer := range report.Referrers {
		if referrer.PredicateType == "https://slsa.dev/provenance/v1" && referrer.ArtifactType == verify.BundleType {
			provenance++
		}
	}
	if provenance != 1 {
		t.Errorf("the attestation is missing in %+v", report.Referrers)
	}
}

func push(t *testing.T, r *artifact.Registry, repository artifact.Repository) artifact.Ref {
	t.Helper()
	return put(t, r, repository, "main", `"layers":[]`)
}

func put(t *testing.T, r *artifact.Registry, repository artifact.Repository, tag, layers string) artifact.Ref {
	t.Helper()
	config, err := r.PutBlob(context.Background(), repository, artifact.Blob{MediaType: ocispec.MediaTypeEmptyJSON, Data: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":2},%s}`,
		ocispec.MediaTypeImageManifest, config.MediaType, config.Digest, layers)
	ref, err := r.PutManifest(context.Background(), repository, tag, ocispec.MediaTypeImageManifest, []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func legacy(t *testing.T, r *artifact.Registry, ref artifact.Ref, der []byte) {
	t.Helper()
	layer := func(annotations string) string {
		return `{"mediaType":"m","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"annotations":{` + annotations + `}}`
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	put(t, r, ref.Repository, verify.LegacyTag(ref.Digest), fmt.Sprintf(`"layers":[%s,%s]`,
		layer(fmt.Sprintf(`%q:"c2ln","dev.sigstore.cosign/certificate":%q`, verify.SignatureNote, chain)), layer("")))
}
