package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer/identity"
	"sealift.dev/verify"
)

const (
	issuer   = "https://issuer.example.com"
	workflow = "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main"
)

// issue is a certificate for a key, as Fulcio writes one, without a log's promise.
func issue(t *testing.T, key crypto.PublicKey, san string) []byte {
	t.Helper()
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	value, err := asn1.Marshal(issuer)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(10 * time.Minute),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: value}}}
	if san != "" {
		at, err := url.Parse(san)
		must(t, err)
		template.URIs = []*url.URL{at}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, authority)
	must(t, err)
	return der
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fulcio gives the certificate that give makes, and counts how often it is asked.
func fulcio(t *testing.T, give func(key crypto.PublicKey) []byte) (author *holder, asked *int) {
	t.Helper()
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		var request struct {
			PublicKeyRequest struct{ PublicKey struct{ Content string } }
		}
		must(t, json.NewDecoder(r.Body).Decode(&request))
		block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		must(t, err)
		chain := map[string]any{"certificates": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: give(key)}))}}
		json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": chain}})
	}))
	t.Cleanup(server.Close)
	instance, err := ParseInstance(fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":[{"url":%q,"majorApiVersion":1}],"rekorTlogUrls":[{"url":"https://log.example.com","majorApiVersion":1}],"rekorTlogConfig":{"selector":"ANY"}}`, server.URL))
	must(t, err)
	claims, err := json.Marshal(map[string]any{"iss": issuer, "sub": "1", "job_workflow_ref": strings.TrimPrefix(workflow, "https://github.com/"),
		"exp": time.Now().Add(time.Hour).Unix(), "sha": strings.Repeat("a", 40)})
	must(t, err)
	token := "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2VjcmV0"
	verifier, err := verify.New(verify.Options{})
	must(t, err)
	return &holder{Keyless: Keyless{
		Token: identity.Source{Env: func(name string) string {
			if name == identity.EnvToken {
				return token
			}
			return ""
		}}.Token,
		Instance: func(context.Context) (*Instance, error) { return instance, nil },
		Verifier: verifier,
	}}, asked
}

// TestCertificates: one is enough for some minutes, and what it says counts.
func TestCertificates(t *testing.T) {
	for _, san := range []string{workflow, "https://ghe.example.com/acme/deploy/x.yml@refs/heads/main"} {
		author, asked := fulcio(t, func(key crypto.PublicKey) []byte { return issue(t, key, san) })
		who, err := author.known(t.Context())
		if err != nil || who.Keyless.Subject != workflow || who.Keyless.Issuer != issuer || *asked != 0 {
			t.Errorf("before: %+v, %v; asked %d times", who.Keyless, err, *asked)
		}
		for i := range 3 {
			_, renamed, err := author.pick(t.Context())
			if err != nil || *asked != 1 || renamed != (i == 0 && san != workflow) {
				t.Errorf("time %d: asked %d times, renamed %v: %v", i, *asked, renamed, err)
			}
		}
		if who, err = author.known(t.Context()); err != nil || who.Keyless.Subject != san {
			t.Errorf("after: %+v, %v", who.Keyless, err)
		}
		author.until = time.Now().Add(time.Minute)
		if _, _, err := author.pick(t.Context()); err != nil || *asked != 2 {
			t.Errorf("near its end: asked %d times, %v", *asked, err)
		}
	}
}

func TestBadCertificates(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	for name, test := range map[string]struct {
		give func(key crypto.PublicKey) []byte
		want string
	}{
		"for another key": {func(crypto.PublicKey) []byte { return issue(t, other.Public(), workflow) }, "another key"},
		"for nobody":      {func(key crypto.PublicKey) []byte { return issue(t, key, "") }, "Subject Alternative Name"},
		"garbage":         {func(crypto.PublicKey) []byte { return []byte("x") }, "reading the certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			author, _ := fulcio(t, test.give)
			if _, _, err := author.pick(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Error(err)
			}
		})
	}
}

func TestSuits(t *testing.T) {
	author, _ := fulcio(t, nil)
	for revision, suits := range map[string]bool{"main@sha1:" + strings.Repeat("a", 40): true, "main@sha1:" + strings.Repeat("b", 40): false, "": true} {
		err := author.suits(t.Context(), func() (artifact.Statement, error) { return artifact.Statement{Revision: revision}, nil })
		if (err == nil) != suits {
			t.Errorf("%s: %v", revision, err)
		}
	}
}
