package kms_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/publisher/signer/kms"
)

func newKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RSA 3072":
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case "RSA 2048":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// vault speaks as much of Vault's transit engine as signing needs, with a real key:
// https://developer.hashicorp.com/vault/api-docs/secret/transit.
func vault(t *testing.T, key crypto.Signer) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "hvs.secret" {
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/v1/transit/keys/ci":
			answer(w, map[string]any{"data": map[string]any{"latest_version": 1, "keys": map[string]any{"1": transitKey(t, key.Public())}}})
		case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v1/transit/sign/ci"):
			var asked struct {
				Input     []byte `json:"input"`
				Prehashed bool   `json:"prehashed"`
			}
			must(t, json.NewDecoder(r.Body).Decode(&asked))
			how := crypto.SignerOpts(crypto.Hash(0))
			if asked.Prehashed {
				how = crypto.SHA256
			}
			signature, err := key.Sign(rand.Reader, asked.Input, how)
			must(t, err)
			answer(w, map[string]any{"data": map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(signature)}})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "hvs.secret")
	t.Setenv("VAULT_MAX_RETRIES", "0")
}

func transitKey(t *testing.T, public crypto.PublicKey) map[string]any {
	if raw, ok := public.(ed25519.PublicKey); ok {
		return map[string]any{"name": "ed25519", "public_key": base64.StdEncoding.EncodeToString(raw)}
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	return map[string]any{"name": "other", "public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

const awsKey = "1234abcd-12ab-34cd-56ef-1234567890ab"

// awsService speaks as much of AWS KMS as signing needs, with a real key:
// https://docs.aws.amazon.com/kms/latest/APIReference.
func awsService(t *testing.T, key crypto.Signer) (uri string) {
	t.Helper()
	algorithm, hash := "ECDSA_SHA_256", crypto.SHA256
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = "RSASSA_PKCS1_V1_5_SHA_256"
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			algorithm, hash = "ECDSA_SHA_384", crypto.SHA384
		}
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			KeyId, MessageType, SigningAlgorithm string
			Message                              []byte
		}
		must(t, json.NewDecoder(r.Body).Decode(&asked))
		if asked.KeyId != awsKey || !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]any{"__type": "NotFoundException", "message": "no such key"})
			return
		}
		switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.") {
		case "GetPublicKey":
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			must(t, err)
			answer(w, map[string]any{"KeyId": awsKey, "PublicKey": der, "SigningAlgorithms": []string{algorithm}})
		case "DescribeKey":
			answer(w, map[string]any{"KeyMetadata": map[string]any{"KeyId": awsKey, "SigningAlgorithms": []string{algorithm}}})
		case "Sign":
			if asked.MessageType != "DIGEST" || asked.SigningAlgorithm != algorithm {
				t.Errorf("asked for %+v", asked)
			}
			signature, err := key.Sign(rand.Reader, asked.Message, hash)
			must(t, err)
			answer(w, map[string]any{"KeyId": awsKey, "Signature": signature, "SigningAlgorithm": algorithm})
		}
	}))
	t.Cleanup(server.Close)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1",
		"AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return "awskms://" + server.Listener.Addr().String() + "/" + awsKey
}

func answer(w http.ResponseWriter, value any) { _ = json.NewEncoder(w).Encode(value) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is a registry with one artifact.
func store(t *testing.T) (*artifact.Registry, artifact.Ref) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	client := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	repository := artifact.Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "shop"}
	config, err := client.PutBlob(t.Context(), repository, artifact.Blob{MediaType: ocispec.MediaTypeEmptyJSON, Data: []byte("{}")})
	must(t, err)
	manifest, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{config}})
	must(t, err)
	ref, err := client.PutManifest(t.Context(), repository, "v1", ocispec.MediaTypeImageManifest, manifest)
	must(t, err)
	return client, ref
}

func TestSigning(t *testing.T) {
	for _, test := range []struct{ service, kind string }{
		{"vault", "P-256"}, {"vault", "P-384"}, {"vault", "RSA 3072"}, {"vault", "Ed25519"},
		{"aws", "P-256"}, {"aws", "P-384"}, {"aws", "RSA 3072"},
	} {
		t.Run(test.service+" "+test.kind, func(t *testing.T) {
			held, uri := newKey(t, test.kind), "hashivault://ci"
			if test.service == "aws" {
				uri = awsService(t, held)
			} else {
				vault(t, held)
			}
			key, err := kms.Open(t.Context(), uri)
			must(t, err)
			client, ref := store(t)
			s := signer.New(key, client)
			wrote, err := s.Sign(t.Context(), ref)
			if err != nil || !wrote {
				t.Fatal(wrote, err)
			}
			must(t, s.Verify(t.Context(), ref))
			if wrote, err := s.Sign(t.Context(), ref); err != nil || wrote {
				t.Errorf("signing again: %v, %v", wrote, err)
			}
			stranger, _, err := signer.Generate("ecdsa-p256", nil)
			must(t, err)
			if err := signer.New(stranger, client).Verify(t.Context(), ref); err == nil {
				t.Error("a stranger's key verifies it")
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	vault(t, newKey(t, "RSA 2048"))
	for name, test := range map[string]struct {
		uri, token string
		want       []string
	}{
		"weak key":     {"hashivault://ci", "hvs.secret", []string{`"hashivault://ci" in Vault`, "2048 bits"}},
		"wrong token":  {"hashivault://ci", "hvs.wrong", []string{`"hashivault://ci" in Vault`, "permission denied"}},
		"no such key":  {"hashivault://other", "hvs.secret", []string{`"hashivault://other" in Vault`}},
		"bad name":     {"hashivault://../../sys", "hvs.secret", []string{"in Vault"}},
		"unknown":      {"s3kms://ci", "hvs.secret", []string{"no key management service", "awskms:// gcpkms:// azurekms:// hashivault:// openbao://"}},
		"AWS spelling": {"awskms://ci", "hvs.secret", []string{`"awskms://ci" in AWS KMS`}},
		"GCP spelling": {"gcpkms://ci", "hvs.secret", []string{`"gcpkms://ci" in Google Cloud KMS`}},
		"Azure":        {"azurekms://ci", "hvs.secret", []string{`"azurekms://ci" in Azure Key Vault`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VAULT_TOKEN", test.token)
			_, err := kms.Open(t.Context(), test.uri)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), test.token) {
				t.Errorf("the token is told: %v", err)
			}
		})
	}
	t.Setenv("VAULT_ADDR", "")
	if _, err := kms.Open(t.Context(), "hashivault://ci"); err == nil || !strings.Contains(err.Error(), "hint: set VAULT_ADDR") {
		t.Error(err)
	}
}

// TestSilentService: a service that never answers ends with the context.
func TestSilentService(t *testing.T) {
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-done }))
	t.Cleanup(func() { close(done); server.Close() })
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", "hvs.secret")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := kms.Open(ctx, "hashivault://ci"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "in Vault") {
		t.Error(err)
	}
}
