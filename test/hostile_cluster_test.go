package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/test/stage/keys"
	"sealift.dev/verify"
)

// upload stores bytes in the world's registry as they are.
func (w *world) upload(path, mediaType string, data []byte) {
	w.t.Helper()
	request, err := http.NewRequest(http.MethodPut, "http://"+w.registry.Host+"/v2/deploy/"+w.name+"/"+path, bytes.NewReader(data))
	must(w.t, err)
	request.Header.Set("Content-Type", mediaType)
	response, err := http.DefaultClient.Do(request)
	must(w.t, err)
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		w.t.Fatalf("PUT %s: %s", path, response.Status)
	}
}

func (w *world) uploadBlob(mediaType string, data []byte) ocispec.Descriptor {
	w.t.Helper()
	d := digest.FromBytes(data)
	response, err := http.Post("http://"+w.registry.Host+"/v2/deploy/"+w.name+"/blobs/uploads/", "", nil)
	must(w.t, err)
	response.Body.Close()
	_, id, _ := strings.Cut(response.Header.Get("Location"), "/blobs/")
	w.upload("blobs/"+id+"?digest="+d.String(), "application/octet-stream", data)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func (w *world) uploadManifest(m ocispec.Manifest, tags ...string) artifact.Ref {
	w.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config = w.uploadBlob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	data, err := json.Marshal(m)
	must(w.t, err)
	ref := artifact.Repository{Host: w.registry.Host, Path: "deploy/" + w.name}.At(digest.FromBytes(data))
	for _, reference := range append(tags, ref.Digest.String()) {
		w.upload("manifests/"+reference, m.MediaType, data)
	}
	return ref
}

// forged is a release that a publisher would not make: whatever layer and
// statement, signed by key or, where sign says so, otherwise.
type forged struct {
	layer   []byte
	edit    map[string]string // of the statement
	layers  int               // how often the layer is listed
	sign    func(w *world, ref artifact.Ref)
	reason  string
	message string
}

// forge pushes f with good's statement, tagged main, and gives its digest.
func (w *world) forge(f forged, good map[string]string) string {
	w.t.Helper()
	if f.layer == nil {
		f.layer = tarball(w.t, "prod/objects.yaml", configMap("a", "hostile"))
	}
	annotations := maps.Clone(good)
	maps.Copy(annotations, f.edit)
	annotations["hostile"] = w.t.Name() // no two have one digest
	layer := w.uploadBlob(ocispec.MediaTypeImageLayerGzip, f.layer)
	m := ocispec.Manifest{ArtifactType: artifact.TypeRelease, Layers: []ocispec.Descriptor{layer}, Annotations: annotations}
	for range f.layers {
		m.Layers = append(m.Layers, layer)
	}
	ref := w.uploadManifest(m)
	if f.sign == nil {
		f.sign = signedBy(w.ci)
	}
	f.sign(w, ref)
	w.uploadManifest(m, "main")
	return ref.Digest.String()
}

func signedBy(pair keys.Pair) func(*world, artifact.Ref) {
	return func(w *world, ref artifact.Ref) {
		w.t.Helper()
		_, err := w.signer(pair).Sign(w.t.Context(), ref)
		must(w.t, err)
	}
}

func (w *world) signer(pair keys.Pair) *signer.Signer {
	w.t.Helper()
	data, err := os.ReadFile(pair.Private)
	must(w.t, err)
	key, err := signer.Load(data, func() ([]byte, error) { return nil, nil })
	must(w.t, err)
	return signer.New(key, artifact.NewRegistry(artifact.Options{PlainHTTP: true}))
}

// swapped attaches the bundle of another artifact to ref.
func swapped(w *world, ref artifact.Ref) {
	w.t.Helper()
	other := w.uploadManifest(ocispec.Manifest{Annotations: map[string]string{"other": w.t.Name()}})
	signedBy(w.ci)(w, other)
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	found, err := registry.Referrers(w.t.Context(), other, verify.BundleType, 10)
	must(w.t, err)
	m, err := registry.Manifest(w.t.Context(), other.Repository.At(found[0].Digest))
	must(w.t, err)
	m.Manifest.Subject.Digest = ref.Digest
	w.uploadManifest(m.Manifest)
}

// attested signs another statement than "this is a release" about ref.
func attested(w *world, ref artifact.Ref) {
	w.t.Helper()
	_, err := w.signer(w.ci).Attest(w.t.Context(), ref, "https://example.com/FAILED", map[string]string{"result": "FAILED"})
	must(w.t, err)
}

// tarball is a layer of one file of that name.
func tarball(t *testing.T, name, content string, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o644}))
	_, err := io.WriteString(w, content)
	must(t, err)
	for _, h := range headers {
		must(t, w.WriteHeader(&h))
		_, err := io.CopyN(w, zeros{}, h.Size)
		must(t, err)
	}
	must(t, w.Close())
	must(t, zip.Close())
	return out.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHostileReleases pushes hostile releases to the tag that a Delivery follows: each is
// refused by name, and what runs stays as it is, down to its resource versions.
func TestHostileReleases(t *testing.T) {
	w := onSync(t)
	older := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(older)
	good := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "2")})
	w.delivered(good)
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	repository := artifact.Repository{Host: w.registry.Host, Path: "deploy/" + w.name}
	runs, err := registry.Manifest(t.Context(), repository.At(digest.Digest(good.Digest)))
	must(t, err)
	before := w.versions()

	laughs := configMap("a", "x") + "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		laughs += fmt.Sprintf("l%d: &l%d [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 9), i-1)
	}
	objects := func(text string) []byte { return tarball(t, "prod/objects.yaml", text) }
	for name, f := range map[string]forged{
		"tar bomb":               {layer: tarball(t, "prod/objects.yaml", configMap("a", "x"), tar.Header{Typeflag: tar.TypeReg, Name: "zeros", Size: 1 << 30}), reason: "LimitExceeded", message: "more than 16777216"},
		"traversal":              {layer: tarball(t, "../../prod/objects.yaml", configMap("a", "x")), reason: "InvalidRelease", message: "not a plain path"},
		"link":                   {layer: tarball(t, "prod/objects.yaml", configMap("a", "x"), tar.Header{Typeflag: tar.TypeSymlink, Name: "prod/x.yaml", Linkname: "/etc/passwd"}), reason: "InvalidRelease", message: "is a link"},
		"no gzip":                {layer: []byte("not gzip"), reason: "InvalidRelease", message: "gzip"},
		"YAML bomb":              {layer: objects(laughs), reason: "LimitExceeded", message: "aliases are expanded"},
		"duplicate keys":         {layer: objects(configMap("a", "x") + "data: {value: y}\n"), reason: "InvalidRelease", message: "is there twice"},
		"merge key":              {layer: objects("x: &x {namespace: kube-system}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, <<: *x}\n"), reason: "InvalidRelease", message: "merge key"},
		"owner references":       {layer: objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, ownerReferences: [{apiVersion: v1, kind: Pod, name: x, uid: y}]}\n"), reason: "InvalidRelease", message: "ownerReferences"},
		"two layers":             {layers: 1, reason: "InvalidRelease", message: "2 layers"},
		"unsigned":               {sign: func(*world, artifact.Ref) {}, reason: "NotSigned", message: "not signed"},
		"signed by a stranger":   {sign: signedBy(w.stranger), reason: "Untrusted", message: "another key"},
		"swapped signature":      {sign: swapped, reason: "Untrusted", message: "another digest"},
		"attestation":            {sign: attested, reason: "NotSigned", message: "not signed"},
		"wrong repository":       {edit: map[string]string{artifact.AnnotationRepository: w.registry.Host + "/deploy/other"}, reason: "StatementMismatch", message: "published to"},
		"odd sequence":           {edit: map[string]string{artifact.AnnotationSequence: "007"}, reason: "Malformed", message: "sequence"},
		"lower sequence":         {edit: map[string]string{artifact.AnnotationSequence: "1", ocispec.AnnotationRevision: "main@sha1:0000000000000000000000000000000000000000"}, reason: "Downgrade"},
		"same sequence, another": {edit: map[string]string{ocispec.AnnotationRevision: "main@sha1:0000000000000000000000000000000000000000"}, reason: "Equivocation"},
		"escape codes":           {edit: map[string]string{artifact.AnnotationSequence: "1", ocispec.AnnotationRevision: "main\x1b[2J\u202e@sha1:0"}, reason: "Downgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := *w
			sub.t = t
			d := sub.forge(f, runs.Annotations)
			message := sub.refused(f.reason)
			if !strings.Contains(message, f.message) || !strings.Contains(message, d) && f.message != "" {
				t.Errorf("the message lacks %q or the digest %s: %s", f.message, d, message)
			}
			if strings.ContainsAny(message, "\x1b\u202e") {
				t.Errorf("the message is not escaped: %q", message)
			}
			if applied := sub.status().Status.Applied.Digest; applied != good.Digest {
				t.Errorf("applied is %s", applied)
			}
			if after := sub.versions(); after != before {
				t.Errorf("the cluster's objects were\n%s\nand are\n%s", before, after)
			}
			w.upload("manifests/main", ocispec.MediaTypeImageManifest, runs.Raw)
			sub.delivered(good)
		})
	}
	w.healed("a", "2")
	benign := published{Digest: w.forge(forged{}, runs.Annotations)}
	w.delivered(benign) // forged in the same way, with nothing hostile in it
	escaped := published{Digest: w.forge(forged{edit: map[string]string{ocispec.AnnotationVersion: "1\x1b[2J\u202e"}}, runs.Annotations)}
	w.delivered(escaped)
	if out := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json") + w.kubectl("get", "events", "-n", w.name); strings.ContainsAny(out, "\x1b\u202e") {
		t.Errorf("status or events are not escaped: %q", out)
	}
	running, err := synced()
	must(t, err)
	if strings.ContainsAny(running.output(), "\x1b\u202e") {
		t.Error("the synchronizer's log is not escaped")
	}
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3")}))
	w.deliver(w.source("digest: "+older.Digest, "")) // a person's word, told by an event
	w.delivered(older)
	w.until("an event about the pin", func() bool { return strings.Contains(w.kubectl("get", "events", "-n", w.name), "PinnedOlder") })
}

// versions lists the objects of the test's namespace, with their versions.
func (w *world) versions() string {
	w.t.Helper()
	return w.kubectl("get", "configmaps", "-n", w.name, "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion} {.data}{"\n"}{end}`)
}

// TestForeignNamespace: a tenant whose service account ends at its namespace writes
// nothing elsewhere, and then nothing at all.
func TestForeignNamespace(t *testing.T) {
	w := onSync(t)
	w.kubectl("delete", "clusterrolebinding", w.name)
	w.kubectl("create", "rolebinding", "deployer", "-n", w.name, "--clusterrole=admin", "--serviceaccount="+w.name+":deployer")
	foreign := strings.Replace(configMap("b", "1"), "{name: b}", "{name: b, namespace: kube-public}", 1)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": foreign})
	w.deliver(w.source("tag: main", ""))
	if message := w.refused("Forbidden"); !strings.Contains(message, "kube-public/b") {
		t.Errorf("the message does not name the object: %s", message)
	}
	if w.exists("configmap", "a") || strings.Contains(w.kubectl("get", "configmaps", "-n", "kube-public", "-o", "name"), "configmap/b\n") {
		t.Error("something was written")
	}
	w.delivered(w.publish(map[string]string{"deploy/b.yaml": configMap("b", "1")}))
}
