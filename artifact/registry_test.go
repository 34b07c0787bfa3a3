package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// serve starts a registry, and gives a repository in it.
func serve(t *testing.T, handler http.Handler) Repository {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "deploy/shop"}
}

func realRegistry(referrers bool) http.Handler {
	return registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
}

func examplePackage(t *testing.T) *Package {
	t.Helper()
	p, err := Pack(exampleStatement(), map[string][]*unstructured.Unstructured{"prod": parse(t, twoObjects)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// onBoth runs a test on a registry with the referrers API and on one without.
func onBoth(t *testing.T, test func(t *testing.T, r *Registry, repository Repository)) {
	for name, referrers := range map[string]bool{"referrers API": true, "referrers tag": false} {
		t.Run(name, func(t *testing.T) {
			test(t, NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(referrers)))
		})
	}
}

func TestPushFetchTag(t *testing.T) {
	onBoth(t, func(t *testing.T, r *Registry, repository Repository) {
		ctx := t.Context()
		p := examplePackage(t)
		ref, pushed, err := r.Push(ctx, repository, p)
		if err != nil || !pushed || ref != repository.At(p.Digest()) {
			t.Fatal(ref, pushed, err)
		}
		if _, err := r.Tags(ctx, repository, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Resolve(ctx, repository, "main"); !errors.Is(err, ErrNotFound) {
			t.Fatal("pushing made a tag:", err)
		}
		if _, pushed, err := r.Push(ctx, repository, p); err != nil || pushed {
			t.Fatal(pushed, err)
		}
		if err := r.Tag(ctx, ref, "main"); err != nil {
			t.Fatal(err)
		}
		if resolved, err := r.Resolve(ctx, repository, "main"); err != nil || resolved != ref {
			t.Fatal(resolved, err)
		}
		release, err := r.Fetch(ctx, ref, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if release.Statement != exampleStatement() || len(release.Files) != 1 || release.Config.Environments[0].Name != "prod" {
			t.Fatal(release)
		}
	})
}

func TestAttachAndReferrers(t *testing.T) {
	onBoth(t, func(t *testing.T, r *Registry, repository Repository) {
		ctx := t.Context()
		ref, _, err := r.Push(ctx, repository, examplePackage(t))
		if err != nil {
			t.Fatal(err)
		}
		if none, err := r.Referrers(ctx, ref, "", 10); err != nil || len(none) != 0 {
			t.Fatal(none, err)
		}
		const wanted = "application/vnd.example.signature"
		var last ocispec.Descriptor
		for _, text := range []string{"one", "two", "two"} {
			last, err = r.Attach(ctx, ref, wanted, Blob{MediaType: wanted, Data: []byte(text)}, map[string]string{"a": "b"})
			if err != nil {
				t.Fatal(err)
			}
		}
		found, err := r.Referrers(ctx, ref, wanted, 10)
		if err != nil || len(found) != 2 {
			t.Fatal(found, err)
		}
		if !slices.ContainsFunc(found, func(d ocispec.Descriptor) bool { return d.Digest == last.Digest }) {
			t.Fatal(found)
		}
		m, err := r.Manifest(ctx, repository.At(last.Digest))
		if err != nil || m.Subject == nil || m.Subject.Digest != ref.Digest || m.ArtifactType != wanted || m.Annotations["a"] != "b" {
			t.Fatal(m, err)
		}
		if data, err := r.Blob(ctx, repository, m.Layers[0], 10); err != nil || string(data) != "two" {
			t.Fatal(data, err)
		}
		first, err := r.Referrers(ctx, ref, wanted, 1)
		if !errors.Is(err, ErrLimit) || len(first) != 1 {
			t.Fatal(first, err)
		}
	})
}

func TestNothingThere(t *testing.T) {
	onBoth(t, func(t *testing.T, r *Registry, repository Repository) {
		ref := repository.At(digest.FromString("x"))
		if _, err := r.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), ref.String()) {
			t.Error(err)
		}
		if _, err := r.Resolve(t.Context(), repository, "main"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "deploy/shop:main") {
			t.Error(err)
		}
		if _, err := r.Tags(t.Context(), repository, 1); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if found, err := r.Referrers(t.Context(), ref, "", 1); err != nil || len(found) != 0 {
			t.Error(found, err)
		}
		desc := describe("x", []byte("x"))
		if _, err := r.Blob(t.Context(), repository, desc, 1); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestTagsLimit(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	ref, _, err := r.Push(t.Context(), repository, examplePackage(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"a", "b"} {
		if err := r.Tag(t.Context(), ref, tag); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Tags(t.Context(), repository, 1); !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
	if err := r.Tag(t.Context(), ref, "../x"); err == nil || !strings.Contains(err.Error(), "is not a tag") {
		t.Fatal(err)
	}
}

// TestFetchReadsWhatOthersPush has the manifests that flux push artifact, oras
// push and crane append write.
func TestFetchReadsWhatOthersPush(t *testing.T) {
	layer := zipped(t, archive(t, names("deploy.yaml")...))
	for name, c := range map[string]struct{ manifest, config, layer string }{
		"flux":  {ocispec.MediaTypeImageManifest, "application/vnd.cncf.flux.config.v1+json", "application/vnd.cncf.flux.content.v1.tar+gzip"},
		"oras":  {ocispec.MediaTypeImageManifest, ocispec.MediaTypeEmptyJSON, ocispec.MediaTypeImageLayerGzip},
		"crane": {typeDockerManifest, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
			ref := pushManifest(t, r, repository, c.manifest, Blob{c.config, []byte("{}")}, Blob{c.layer, layer})
			release, err := r.Fetch(t.Context(), ref, DefaultLimits())
			if err != nil || len(release.Files) != 1 || release.Statement.Sequence != 0 || release.Statement.Revision != "main@sha1:aa" {
				t.Fatal(release, err)
			}
		})
	}
}

func pushManifest(t *testing.T, r *Registry, repository Repository, mediaType string, config Blob, layers ...Blob) Ref {
	t.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType, Config: describe(config.MediaType, config.Data),
		Layers: []ocispec.Descriptor{}, Annotations: map[string]string{ocispec.AnnotationRevision: "main@sha1:aa"},
	}
	for _, layer := range layers {
		m.Layers = append(m.Layers, describe(layer.MediaType, layer.Data))
	}
	for _, blob := range append(layers, config) {
		if _, err := r.PutBlob(t.Context(), repository, blob); err != nil {
			t.Fatal(err)
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := r.PutManifest(t.Context(), repository, "x", mediaType, data)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestFetchRefusesLayers(t *testing.T) {
	tgz := Blob{ocispec.MediaTypeImageLayerGzip, zipped(t, archive(t, names("a")...))}
	for name, c := range map[string]struct {
		layers []Blob
		want   string
	}{
		"one":         {[]Blob{tgz}, ""},
		"none":        {nil, "no layer"},
		"two":         {[]Blob{tgz, tgz}, "2 layers"},
		"plain tar":   {[]Blob{{ocispec.MediaTypeImageLayer, archive(t, names("a")...)}}, "media type"},
		"hostile":     {[]Blob{{tgz.MediaType, zipped(t, archive(t, names("../a")...))}}, "not a plain path"},
		"not gzip":    {[]Blob{{tgz.MediaType, []byte("x")}}, "unpacking its layer"},
		"over limits": {[]Blob{{tgz.MediaType, bytes.Repeat([]byte("x"), 4097)}}, "more than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
			ref := pushManifest(t, r, repository, ocispec.MediaTypeImageManifest, Blob{ocispec.MediaTypeEmptyJSON, []byte("{}")}, c.layers...)
			limits := DefaultLimits()
			limits.Layer = 4096
			_, err := r.Fetch(t.Context(), ref, limits)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), repository.String())) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestDockerConfigCredentials(t *testing.T) {
	find, err := DockerConfigCredentials([]byte(`{"auths":{
		"https://r.example.com/v2/":{"auth":"dTpwOng="}, "localhost:5000":{"username":"a","password":"b"},
		"https://index.docker.io/v1/":{"identitytoken":"t"}}, "credsStore":"evil"}`))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]Credential{
		"r.example.com":        {Username: "u", Password: "p:x"},
		"R.example.com":        {Username: "u", Password: "p:x"},
		"localhost:5000":       {Username: "a", Password: "b"},
		"registry-1.docker.io": {IdentityToken: "t"},
		"localhost":            {},
		"x.r.example.com":      {},
	} {
		if got, err := find(context.Background(), host); err != nil || got != want {
			t.Errorf("%s: %v %v", host, got, err)
		}
	}
	for _, bad := range []string{``, `[]`, `{"auths":{},"auths":{}}`, `{"auths":{"a":{"auth":"!"}}}`, `{"auths":{"a":{"auth":"dQ=="}}}`, `{"auths":{}}` + strings.Repeat(" ", 1<<20)} {
		if _, err := DockerConfigCredentials([]byte(bad)); err == nil {
			t.Errorf("%.30q was accepted", bad)
		}
	}
}
