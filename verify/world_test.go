package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// world is a registry with one release in it.
type world struct {
	t        testing.TB
	host     string
	fallback bool // no referrers API: the tag index is ours to write
	broken   sync.Map
	ref      artifact.Ref
	registry *artifact.Registry
}

func newWorld(t testing.TB, fallback bool) *world {
	t.Helper()
	w := &world{t: t, fallback: fallback, registry: artifact.NewRegistry(artifact.Options{PlainHTTP: true})}
	handler := registry.New(registry.WithReferrersSupport(!fallback), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		w.broken.Range(func(part, _ any) bool {
			if req.Method == http.MethodPut || !strings.Contains(req.URL.Path, part.(string)) {
				return true
			}
			http.Error(rw, "broken", http.StatusInternalServerError)
			rw = nil
			return false
		})
		if rw != nil {
			handler.ServeHTTP(rw, req)
		}
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	w.ref = w.release("shop", nil)
	return w
}

// breaks makes reading from every path that contains part fail with status 500.
func (w *world) breaks(part string) { w.broken.Store(part, true) }

func (w *world) put(path, mediaType string, data []byte) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+w.host+"/v2/"+path, bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		body, _ := io.ReadAll(res.Body)
		w.t.Fatalf("PUT %s: %s %s", path, res.Status, body)
	}
}

func (w *world) blob(repository, mediaType string, data []byte) ocispec.Descriptor {
	w.t.Helper()
	d := digest.FromBytes(data)
	res, err := http.Post("http://"+w.host+"/v2/"+repository+"/blobs/uploads/", "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	location := strings.TrimPrefix(res.Header.Get("Location"), "/v2/")
	w.put(location+"?digest="+d.String(), "application/octet-stream", data)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (w *world) manifest(repository, tag string, m ocispec.Manifest) ocispec.Descriptor {
	w.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	if m.Config.Digest == "" {
		m.Config = w.blob(repository, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	}
	data, err := json.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	d := digest.FromBytes(data)
	if tag == "" {
		tag = d.String()
	}
	w.put(repository+"/manifests/"+tag, m.MediaType, data)
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(data)), ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

// release pushes an artifact with annotations.
func (w *world) release(repository string, annotations map[string]string) artifact.Ref {
	w.t.Helper()
	layer := w.blob(repository, ocispec.MediaTypeImageLayerGzip, []byte("not looked at"))
	d := w.manifest(repository, "", ocispec.Manifest{Layers: []ocispec.Descriptor{layer}, Annotations: annotations})
	return artifact.Repository{Host: w.host, Path: repository}.At(d.Digest)
}

// refer stores a referrer of w.ref, in the way of registries without the API too.
func (w *world) refer(m ocispec.Manifest) ocispec.Descriptor {
	w.t.Helper()
	if m.Subject == nil {
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: 1}
	}
	d := w.manifest(w.ref.Repository.Path, "", m)
	if w.fallback {
		w.index(d)
	}
	return d
}

// index adds d to the tag index of w.ref.
func (w *world) index(d ...ocispec.Descriptor) {
	w.t.Helper()
	tag := strings.Replace(w.ref.Digest.String(), ":", "-", 1)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	res, err := http.Get("http://" + w.host + "/v2/" + w.ref.Repository.Path + "/manifests/" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(res.Body).Decode(&index); err != nil {
			w.t.Fatal(err)
		}
	}
	index.Manifests = append(index.Manifests, d...)
	data, err := json.Marshal(index)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(w.ref.Repository.Path+"/manifests/"+tag, index.MediaType, data)
}

// attach stores a bundle as cosign does.
func (w *world) attach(data []byte) {
	w.t.Helper()
	w.refer(ocispec.Manifest{ArtifactType: verify.BundleType,
		Layers: []ocispec.Descriptor{w.blob(w.ref.Repository.Path, verify.BundleType, data)}})
}

// note stores signatures in the legacy format, each a payload and its annotations.
func (w *world) note(layers ...ocispec.Descriptor) {
	w.t.Helper()
	w.manifest(w.ref.Repository.Path, verify.LegacyTag(w.ref.Digest), ocispec.Manifest{Layers: layers})
}

func (w *world) legacy(key keypair, payload string, edits ...func(*ocispec.Descriptor)) ocispec.Descriptor {
	w.t.Helper()
	d := w.blob(w.ref.Repository.Path, verify.SimpleSigningType, []byte(payload))
	d.Annotations = map[string]string{verify.SignatureNote: base64.StdEncoding.EncodeToString(key.sign(w.t, payload))}
	for _, edit := range edits {
		edit(&d)
	}
	return d
}

// verifier trusts nothing besides policies.
func verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *world) verify(policies ...verify.NamedPolicy) (verify.Verified, error) {
	return verifier(w.t).Release(context.Background(), w.registry, w.ref, policies, verify.Claim{})
}

// keypair signs as cosign does with a key of its kind.
type keypair struct{ *sign.EphemeralKeypair }

func newKey(t testing.TB, algorithm pb.PublicKeyDetails) keypair {
	t.Helper()
	k, err := sign.NewEphemeralKeypair(&sign.EphemeralKeypairOptions{Algorithm: algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return keypair{k}
}

func ecdsaKey(t testing.TB) keypair { return newKey(t, pb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256) }

func (k keypair) pem(t testing.TB) string {
	t.Helper()
	text, err := k.GetPublicKeyPem()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (k keypair) sign(t testing.TB, data string) []byte {
	t.Helper()
	signature, _, err := k.SignData(context.Background(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// bundle signs a statement; its type is that of an in-toto payload unless given.
func (k keypair) bundle(t testing.TB, statement string, payloadType ...string) []byte {
	t.Helper()
	payloadType = append(payloadType, verify.PayloadType)
	made, err := sign.Bundle(&sign.DSSEData{Data: []byte(statement), PayloadType: payloadType[0]}, k, sign.BundleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := bundle.NewBundle(made)
	if err != nil {
		t.Fatal(err)
	}
	data, err := wrapped.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func statementOf(d digest.Digest) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`, d.Encoded())
}

func payloadOf(ref artifact.Ref) string {
	return fmt.Sprintf(`{"critical":{"identity":{"docker-reference":%q},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, ref.Repository, ref.Digest)
}

// trust is a policy of the keys, each an authority named in order: a, b, c …
func trust(t testing.TB, keys ...keypair) verify.NamedPolicy {
	t.Helper()
	named := verify.NamedPolicy{Name: "shop"}
	for i, k := range keys {
		named.Policy.Authorities = append(named.Policy.Authorities,
			policy.Authority{Name: string(rune('a' + i)), Key: &policy.Key{Data: k.pem(t)}})
	}
	return named
}

func with(named verify.NamedPolicy, edit func(*policy.Policy)) verify.NamedPolicy {
	edit(&named.Policy)
	return named
}

func statement(w *world, edits map[string]string) map[string]string {
	s := artifact.Statement{
		Source: "https://git.example.com/acme/deploy", Revision: "main@sha1:2f2dd1b0a3f4a6e6a9c6b0c7a1d7a3a0b1c2d3e4", Version: "1.0.0",
		Repository: w.host + "/shop", Epoch: 1, Sequence: 7, Ref: "refs/heads/main",
	}
	annotations := s.Annotations()
	maps.Copy(annotations, edits)
	return annotations
}
