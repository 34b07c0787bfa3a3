package signer_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

func pkcs8(t *testing.T, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func block(kind string, data []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
}

func ecdsaPrivate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func noPassword() ([]byte, error) { return nil, errors.New("nobody to ask") }

func load(t *testing.T, data []byte) *signer.Key {
	t.Helper()
	key, err := signer.Load(data, noPassword)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func p256(t *testing.T) *signer.Key { return load(t, pkcs8(t, ecdsaPrivate(t, elliptic.P256()))) }

func TestLoadRefuses(t *testing.T) {
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key := p256(t)
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":    {nil, "not PEM"},
		"public key": {key.Public(), "public key; hint"},
		"P-224":      {pkcs8(t, ecdsaPrivate(t, elliptic.P224())), "P-224"},
		"RSA 2048":   {pkcs8(t, rsa2048), "2048 bits"},
		"broken":     {block("PRIVATE KEY", []byte("x")), "asn1"},
		"PKCS #1":    {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa2048)), "2048 bits"},
		"encrypted":  {block("ENCRYPTED PRIVATE KEY", []byte("x")), "import-key-pair"},
		"DEK-Info": {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x"),
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}}), "import-key-pair"},
		"certificate": {block("CERTIFICATE", []byte("x")), `a "CERTIFICATE" block; hint`},
		"huge":        {make([]byte, 1<<20), "limit of 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := signer.Load(test.data, noPassword); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestLoadEveryForm: openssl and Go write one key in several forms.
func TestLoadEveryForm(t *testing.T) {
	ec := ecdsaPrivate(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data  []byte
		plain any
	}{
		"SEC 1":                 {block("EC PRIVATE KEY", sec1), ec},
		"SEC 1 with parameters": {append(block("EC PARAMETERS", []byte("x")), block("EC PRIVATE KEY", sec1)...), ec},
		"PKCS #1":               {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(big)), big},
	} {
		t.Run(name, func(t *testing.T) {
			if got, want := load(t, test.data).Public(), load(t, pkcs8(t, test.plain)).Public(); !bytes.Equal(got, want) {
				t.Errorf("public key\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	for _, kind := range signer.KeyTypes() {
		key, sealed, err := signer.Generate(kind, []byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := signer.Load(sealed, func() ([]byte, error) { return []byte("secret"), nil })
		if err != nil || !bytes.Equal(again.Public(), key.Public()) || again.ID() != key.ID() {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := signer.Load(sealed, func() ([]byte, error) { return nil, nil }); err == nil {
			t.Errorf("%s: an empty password opens it", kind)
		}
	}
	if _, _, err := signer.Generate("dsa", nil); err == nil || !strings.Contains(err.Error(), "ecdsa-p256, ecdsa-p384, ed25519") {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestLoadCosignKey(t *testing.T) {
	pair, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	key, err := signer.Load(pair.PrivateBytes, func() ([]byte, error) { return []byte("secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.Public(), pair.PublicBytes) {
		t.Errorf("public key\n%s, want\n%s", key.Public(), pair.PublicBytes)
	}
	if _, err := signer.Load(pair.PrivateBytes, func() ([]byte, error) { return []byte("guess"), nil }); err == nil || !strings.Contains(err.Error(), "hint: set COSIGN_PASSWORD") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := signer.Load(pair.PrivateBytes, noPassword); err == nil || !strings.Contains(err.Error(), "nobody to ask") {
		t.Errorf("no password: %v", err)
	}
}

// store is a registry with one artifact.
func store(t *testing.T, referrers bool) (*artifact.Registry, artifact.Ref) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return storeAt(t, server.URL)
}

func storeAt(t *testing.T, url string) (*artifact.Registry, artifact.Ref) {
	t.Helper()
	client := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	repository := artifact.Repository{Host: strings.TrimPrefix(url, "http://"), Path: "shop"}
	config, err := client.PutBlob(context.Background(), repository, artifact.Blob{MediaType: ocispec.MediaTypeEmptyJSON, Data: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{config}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := client.PutManifest(context.Background(), repository, "v1", ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		t.Fatal(err)
	}
	return client, ref
}

// check verifies ref with a key in one format.
func check(t *testing.T, client *artifact.Registry, ref artifact.Ref, key *signer.Key, format policy.Format) error {
	t.Helper()
	named, err := policy.OfKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	named.Policy.Formats = []policy.Format{format}
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Release(context.Background(), client, ref, []verify.NamedPolicy{named}, verify.Claim{})
	return err
}

func TestSignWithEveryKindOfKey(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]crypto.PrivateKey{"P-256": ecdsaPrivate(t, elliptic.P256()), "P-384": ecdsaPrivate(t, elliptic.P384()), "RSA": big, "Ed25519": ed}
	for name, private := range kinds {
		for _, referrers := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				client, ref := store(t, referrers)
				key := load(t, pkcs8(t, private))
				if _, err := signer.New(key, client).Sign(context.Background(), ref); err != nil {
					t.Fatal(err)
				}
				for _, format := range []policy.Format{policy.Bundle, policy.Legacy} {
					if err := check(t, client, ref, key, format); err != nil {
						t.Error(err)
					}
					if err := check(t, client, ref, p256(t), format); err == nil {
						t.Errorf("another key verifies the format %s", format)
					}
				}
			})
		}
	}
}

// state is what the registry holds beside the release.
func state(t *testing.T, client *artifact.Registry, ref artifact.Ref) (string, int) {
	t.Helper()
	referrers, err := client.Referrers(context.Background(), ref, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	at, err := client.Resolve(context.Background(), ref.Repository, verify.LegacyTag(ref.Digest))
	if err != nil {
		t.Fatal(err)
	}
	return at.Digest.String(), len(referrers)
}

func TestSigningTwiceChangesNothing(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		client, ref := store(t, referrers)
		s := signer.New(p256(t), client)
		if wrote, err := s.Sign(context.Background(), ref); err != nil || !wrote {
			t.Fatal(wrote, err)
		}
		legacy, bundles := state(t, client, ref)
		if wrote, err := s.Sign(context.Background(), ref); err != nil || wrote {
			t.Fatal(wrote, err)
		}
		if again, count := state(t, client, ref); again != legacy || count != bundles || bundles != 1 {
			t.Errorf("%s and %d bundles after the first, %s and %d after the second", legacy, bundles, again, count)
		}
	}
}

func TestSigningKeepsOthersSignatures(t *testing.T) {
	client, ref := store(t, true)
	keys := []*signer.Key{p256(t), p256(t), p256(t)}
	for _, key := range keys {
		if _, err := signer.New(key, client).Sign(context.Background(), ref); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys {
		for _, format := range []policy.Format{policy.Bundle, policy.Legacy} {
			if err := check(t, client, ref, key, format); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSigningRefusesAFullManifest(t *testing.T) {
	for _, count := range []int{0, verify.MaxSignatures - 1, verify.MaxSignatures} {
		client, ref := store(t, true)
		config, err := client.PutBlob(context.Background(), ref.Repository, artifact.Blob{MediaType: ocispec.MediaTypeEmptyJSON, Data: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		layers := make([]ocispec.Descriptor, count)
		for i := range layers {
			layers[i] = config
		}
		manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.PutManifest(context.Background(), ref.Repository, verify.LegacyTag(ref.Digest), ocispec.MediaTypeImageManifest, manifest); err != nil {
			t.Fatal(err)
		}
		before, _ := state(t, client, ref)
		_, err = signer.New(p256(t), client).Sign(context.Background(), ref)
		after, _ := state(t, client, ref)
		if full := count != verify.MaxSignatures-1; full != (err != nil) || full != (before == after) {
			t.Errorf("%d layers: %v", count, err)
		}
	}
}

func TestSigningAnUnreachableRegistry(t *testing.T) {
	client, ref := store(t, true)
	ref.Repository.Host = "127.0.0.1:1"
	_, err := signer.New(p256(t), client).Sign(context.Background(), ref)
	if !errors.Is(err, artifact.ErrUnavailable) || !strings.Contains(err.Error(), ref.String()) {
		t.Errorf("error %v", err)
	}
}
