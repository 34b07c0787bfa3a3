package hostile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
	"sealift.dev/verify"
)

// repository is where every release of these tests lies.
const repository = "deploy/shop"

// good is a manifest that everybody takes.
const good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

// world is a scripted registry with one release in it, which is put there by
// publish: what is changed before changes the release, what is changed after
// changes what the registry says of it.
type world struct {
	t           *testing.T
	s           *stage.Scripted
	layer       []byte
	annotations map[string]string
	edit        func(manifest string) string // of the manifest's text, before it is signed
	signer      keypair
	formats     string
	policies    string
	password    string

	ref       artifact.Ref
	manifest  []byte
	referrers []any // descriptors
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := stage.NewScripted(stage.ScriptedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, signer: ours(), formats: "bundle", layer: zipped(t, archive(t, file("prod/objects.yaml", good)))}
	w.use(s)
	w.policies = trust(ours())
	return w
}

// use makes s the registry.
func (w *world) use(s *stage.Scripted) {
	w.s = s
	w.annotations = artifact.Statement{
		Source: "https://git.example.com/acme/deploy", Revision: "main@sha1:2f2dd1b0a3f4a6e6a9c6b0c7a1d7a3a0b1c2d3e4", Version: "1.0.0",
		Repository: s.Host + "/" + repository, Epoch: 1, Sequence: 7, Ref: "refs/heads/main",
	}.Annotations()
	s.On("", "/v2/", stage.Answer{})
}

// useTLS makes the registry one behind TLS.
func (w *world) useTLS() {
	w.t.Helper()
	s, err := stage.NewScripted(stage.ScriptedOptions{TLSDir: w.t.TempDir()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	w.use(s)
}

// publish stores the release, tagged main, with a signature.
func (w *world) publish() {
	w.t.Helper()
	w.referrers = nil
	config := w.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	layer := w.blob(ocispec.MediaTypeImageLayerGzip, w.layer)
	text := encode(w.t, ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifact.TypeRelease, Config: config, Layers: []ocispec.Descriptor{layer}, Annotations: w.annotations})
	if w.edit != nil {
		before := text
		if text = w.edit(text); text == before {
			w.t.Fatalf("the edit of %s changes nothing", text)
		}
	}
	w.manifest = []byte(text)
	d := w.s.Manifest(repository, ocispec.MediaTypeImageManifest, w.manifest, "main")
	w.ref = artifact.Repository{Host: w.s.Host, Path: repository}.At(d)
	w.attach(w.signer.bundle(w.t, statementOf(d)))
}

// attach stores a bundle as a referrer of the release.
func (w *world) attach(data []byte) {
	w.t.Helper()
	layer := w.blob(verify.BundleType, data)
	w.refer(ocispec.Manifest{ArtifactType: verify.BundleType, Layers: []ocispec.Descriptor{layer}})
}

func (w *world) refer(m ocispec.Manifest) {
	w.t.Helper()
	if m.Subject == nil {
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: int64(len(w.manifest))}
	}
	w.list(w.store(m))
}

// store stores a manifest without a tag, and gives its descriptor.
func (w *world) store(m ocispec.Manifest, tags ...string) ocispec.Descriptor {
	w.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	if m.Config.Digest == "" {
		m.Config = w.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	}
	text := encode(w.t, m)
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: w.s.Manifest(repository, m.MediaType, []byte(text), tags...),
		Size: int64(len(text)), ArtifactType: m.ArtifactType, Annotations: m.Annotations}
}

// list makes the referrers API name one more descriptor.
func (w *world) list(more ...ocispec.Descriptor) {
	w.t.Helper()
	for _, d := range more {
		w.referrers = append(w.referrers, d)
	}
	if err := w.s.Index(repository, w.ref.Digest, w.referrers...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) blob(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: w.s.Blob(repository, data), Size: int64(len(data))}
}

// legacy stores payloads, each with its signature in an annotation, under the tag
// of the legacy format.
func (w *world) legacy(layers ...ocispec.Descriptor) {
	w.t.Helper()
	w.store(ocispec.Manifest{Layers: layers}, verify.LegacyTag(w.ref.Digest))
}

func (w *world) payload(key keypair, text string) ocispec.Descriptor {
	w.t.Helper()
	d := w.blob(verify.SimpleSigningType, []byte(text))
	d.Annotations = map[string]string{verify.SignatureNote: base64.StdEncoding.EncodeToString(key.sign(w.t, text))}
	return d
}

func (w *world) manifestPath(reference string) string {
	return "/v2/" + repository + "/manifests/" + reference
}

func (w *world) blobPath(data []byte) string {
	return "/v2/" + repository + "/blobs/" + digest.FromBytes(data).String()
}

func (w *world) referrersPath() string {
	return "/v2/" + repository + "/referrers/" + w.ref.Digest.String()
}

// canary is another host, which must not be told a secret; forbidden says that it
// must not be asked at all.
func (w *world) canary(forbidden bool) *stage.Scripted {
	w.t.Helper()
	c, err := stage.NewScripted(stage.ScriptedOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	c.Host = strings.Replace(c.Host, "127.0.0.1", "localhost", 1) // another host to everybody who looks
	w.t.Cleanup(func() {
		c.Close()
		if c.Told("") || c.Told(secret) || c.Told(base64.StdEncoding.EncodeToString([]byte("u:"+secret))) {
			w.t.Errorf("the other host was told a secret: %+v", c.Asked())
		}
		if asked := c.Asked(); forbidden && len(asked) > 0 {
			w.t.Errorf("the other host was asked: %+v", asked)
		}
	})
	return c
}

// secret is a password that no canary may hear.
const secret = "hunter2"

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// keypair signs as cosign does.
type keypair struct{ *sign.EphemeralKeypair }

var ours = sync.OnceValue(func() keypair { return newKey(pb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256) })

var strangers = sync.OnceValue(func() keypair { return newKey(pb.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256) })

func newKey(algorithm pb.PublicKeyDetails) keypair {
	k, err := sign.NewEphemeralKeypair(&sign.EphemeralKeypairOptions{Algorithm: algorithm})
	if err != nil {
		panic(err) // of a test's own key
	}
	return keypair{k}
}

func (k keypair) pem() string {
	text, err := k.GetPublicKeyPem()
	if err != nil {
		panic(err)
	}
	return text
}

func (k keypair) sign(t *testing.T, data string) []byte {
	t.Helper()
	signature, _, err := k.SignData(context.Background(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func (k keypair) bundle(t *testing.T, statement string) []byte {
	t.Helper()
	made, err := sign.Bundle(&sign.DSSEData{Data: []byte(statement), PayloadType: verify.PayloadType}, k, sign.BundleOptions{})
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

// trust is a policy of keys, each an authority named in order: a, b, c …
func trust(keys ...keypair) string {
	var b strings.Builder
	b.WriteString("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: shop}\nspec:\n  authorities:\n")
	for i, k := range keys {
		fmt.Fprintf(&b, "  - {name: %c, key: {data: %q}}\n", 'a'+i, k.pem())
	}
	return b.String()
}

// zipped is one gzip member.
func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	return zip(t, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// zip is one gzip member of what write writes.
func zip(t *testing.T, write func(w io.Writer) error) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// entry is a header and its content.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

// archive is a tar that begins with a good file.
func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	writeTar(t, &out, entries...)
	return out.Bytes()
}

func writeTar(t *testing.T, out io.Writer, entries ...entry) {
	t.Helper()
	w := tar.NewWriter(out)
	for _, e := range entries {
		if e.Typeflag == tar.TypeReg {
			e.Size = int64(len(e.content))
		}
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
