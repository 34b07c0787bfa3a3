package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"
)

// signedRelease pushes a release with two referrers, one of them with a referrer
// of its own, and something under cosign's tag.
func signedRelease(t *testing.T, r *Registry, repository Repository) Ref {
	t.Helper()
	ctx := t.Context()
	ref, _, err := r.Push(ctx, repository, examplePackage(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		desc, err := r.Attach(ctx, ref, "application/vnd.example."+text, Blob{"application/x", []byte(text)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if text == "two" {
			if _, err := r.Attach(ctx, repository.At(desc.Digest), "application/vnd.example.three", Blob{"application/x", []byte("three")}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	legacy := strings.Replace(ref.Digest.String(), ":", "-", 1) + ".sig"
	empty := Blob{ocispec.MediaTypeEmptyJSON, []byte("{}")}
	if _, err := r.PutBlob(ctx, repository, empty); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutManifest(ctx, repository, legacy, ocispec.MediaTypeImageManifest, []byte(goodManifest)); err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(ctx, ref, "main"); err != nil {
		t.Fatal(err)
	}
	return ref
}

func openLayout(t *testing.T, dir string) *Layout {
	t.Helper()
	l, err := OpenLayout(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// checkCopy holds what is at the place against what signedRelease pushed.
func checkCopy(t *testing.T, r *Registry, ref Ref) {
	t.Helper()
	ctx := t.Context()
	if at, err := r.Resolve(ctx, ref.Repository, "main"); err != nil || at != ref {
		t.Error(at, err)
	}
	if _, err := r.Resolve(ctx, ref.Repository, strings.Replace(ref.Digest.String(), ":", "-", 1)+".sig"); err != nil {
		t.Error(err)
	}
	if release, err := r.Fetch(ctx, ref, DefaultLimits()); err != nil || len(release.Files) != 1 {
		t.Error(release, err)
	}
	found, err := r.Referrers(ctx, ref, "", 10)
	if err != nil || len(found) != 2 {
		t.Fatal(found, err)
	}
	for _, desc := range found {
		m, err := r.Manifest(ctx, ref.Repository.At(desc.Digest))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Blob(ctx, ref.Repository, m.Layers[0], 10); err != nil {
			t.Error(err)
		}
		deeper, err := r.Referrers(ctx, ref.Repository.At(desc.Digest), "", 10)
		if err != nil || len(deeper) != strings.Count(m.ArtifactType, "two") {
			t.Error(deeper, err)
		}
	}
}

// TestCopyThroughALayout crosses the air gap: registry, folder, other registry.
func TestCopyThroughALayout(t *testing.T) {
	onBoth(t, func(t *testing.T, r *Registry, repository Repository) {
		ctx, dir := t.Context(), t.TempDir()
		ref := signedRelease(t, r, repository)
		layout := openLayout(t, dir)
		out, err := Copy(ctx, r.In(repository), "main", layout, CopyOptions{Tags: []string{"main"}})
		if err != nil || out.Digest != ref.Digest || out.Referrers != 4 || len(out.Skipped) != 0 {
			t.Fatal(out, err)
		}
		again, err := Copy(ctx, r.In(repository), "main", openLayout(t, dir), CopyOptions{Tags: []string{"main"}})
		if err != nil || again.Manifests != 0 || again.Blobs != 0 || again.Referrers != 4 {
			t.Error("the second copy wrote:", again, err)
		}
		for name, referrers := range map[string]bool{"referrers API": true, "referrers tag": false} {
			other := Repository{Host: serve(t, realRegistry(referrers)).Host, Path: "mirror/shop"}
			in, err := Copy(ctx, openLayout(t, dir), "", r.In(other), CopyOptions{Tags: []string{"main"}})
			if err != nil || in.Digest != ref.Digest || in.Referrers != 4 {
				t.Fatal(name, in, err)
			}
			checkCopy(t, r, other.At(ref.Digest))
			in, err = Copy(ctx, openLayout(t, dir), ref.Digest.String(), r.In(other), CopyOptions{})
			if err != nil || in.Manifests != 0 || in.Blobs != 0 {
				t.Error(name, "the second copy wrote:", in, err)
			}
		}
		othersReadLayout(t, dir, ref.Digest)
	})
}

// othersReadLayout reads a layout with the libraries of ORAS and of crane.
func othersReadLayout(t *testing.T, dir string, d digest.Digest) {
	t.Helper()
	store, err := oci.NewFromFS(t.Context(), os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	desc, err := store.Resolve(t.Context(), "main")
	if err != nil || desc.Digest != d {
		t.Error(desc, err)
	}
	if found, err := store.Predecessors(t.Context(), desc); err != nil || len(found) != 2 {
		t.Error(found, err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(d.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := index.Image(hash); err != nil {
		t.Error(err)
	}
}

func TestCopyImage(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	want := pushImage(t, repository, "v1", v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64"})
	dir, name := t.TempDir(), repository.String()+":v1"
	if _, err := Copy(t.Context(), r.In(repository), "v1", openLayout(t, dir), CopyOptions{Tags: []string{name}}); err != nil {
		t.Fatal(err)
	}
	if names := openLayout(t, dir).Names(); !slices.Equal(names, []string{name}) {
		t.Error(names)
	}
	other := Repository{Host: serve(t, realRegistry(true)).Host, Path: "x"}
	if _, err := Copy(t.Context(), openLayout(t, dir), name, r.In(other), CopyOptions{Tags: []string{"v1"}}); err != nil {
		t.Fatal(err)
	}
	image, err := r.Image(t.Context(), other.String()+":v1")
	if err != nil || image.Digest != want || len(image.Platforms) != 2 {
		t.Error(image, err)
	}
}

// TestCopyThatBreaksOff fails at each write in turn, and is repeated: the tag
// moves only in the copy that ends.
func TestCopyThatBreaksOff(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		r, repository := NewRegistry(Options{PlainHTTP: true, Patience: -1}), serve(t, realRegistry(true))
		ref := signedRelease(t, r, repository)
		inner := realRegistry(referrers)
		var left atomic.Int64
		left.Store(1 << 30)
		other := Repository{Path: "mirror/shop"}
		other.Host = serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if request.Method != http.MethodGet && request.Method != http.MethodHead && left.Add(-1) < 0 {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			inner.ServeHTTP(w, request)
		})).Host
		for writes := int64(0); ; writes++ {
			left.Store(writes)
			_, err := Copy(t.Context(), r.In(repository), "main", r.In(other), CopyOptions{Tags: []string{"main"}})
			if err == nil {
				if writes < 5 {
					t.Error("only", writes, "writes")
				}
				break
			}
			if _, err := r.Resolve(t.Context(), other, "main"); !errors.Is(err, ErrNotFound) {
				t.Fatal("the tag moved before all was there:", err)
			}
			if writes > 100 {
				t.Fatal(err)
			}
		}
		checkCopy(t, r, other.At(ref.Digest))
	}
}

func TestCopyRefusesWhatIsCorrupt(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	ref := signedRelease(t, r, repository)
	dir := t.TempDir()
	if _, err := Copy(t.Context(), r.In(repository), "main", openLayout(t, dir), CopyOptions{Tags: []string{"main"}}); err != nil {
		t.Fatal(err)
	}
	m, err := r.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(dir, blobPath(m.Layers[0].Digest))
	good, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, good, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func() error
		want   string
	}{
		"the benign twin": {func() error { return os.WriteFile(layer, good, 0o600) }, ""},
		"other bytes":     {func() error { return os.WriteFile(layer, damaged, 0o600) }, "have the digest"},
		"fewer bytes":     {func() error { return os.WriteFile(layer, good[1:], 0o600) }, "instead of the"},
		"more bytes":      {func() error { return os.WriteFile(layer, append(bytes.Clone(good), 0), 0o600) }, "more bytes than"},
		"missing":         {func() error { return nil }, "not found"},
		"a link outside":  {func() error { return os.Symlink(secret, layer) }, "not a regular file"},
		"a folder":        {func() error { return os.Mkdir(layer, 0o700) }, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(layer), c.damage()); err != nil {
				t.Fatal(err)
			}
			other := Repository{Host: serve(t, realRegistry(true)).Host, Path: "mirror/shop"}
			_, err := Copy(t.Context(), openLayout(t, dir), "main", r.In(other), CopyOptions{Tags: []string{"main"}})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if _, err := r.Resolve(t.Context(), other, "main"); (err == nil) != (c.want == "") {
				t.Error(err)
			}
		})
	}
}

// TestCheckedReaderLooksBehindTheLastByte: a writer who counts reads no further than the
// size that was declared, and learns that there was more all the same.
func TestCheckedReaderLooksBehindTheLastByte(t *testing.T) {
	desc := ocispec.Descriptor{Digest: digest.FromString("hello"), Size: 5}
	for content, want := range map[string]string{"hello": "hello", "hello!": "hell"} {
		from := checked(iotest.OneByteReader(strings.NewReader(content)), desc)
		got := make([]byte, desc.Size)
		n, err := io.ReadFull(from, got)
		if string(got[:n]) != want || (err != nil) != (want != "hello") || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q gave %q, %v", content, got[:n], err)
		}
	}
}

// TestCopySkipsStrangersReferrers: what a stranger attached does not keep a
// release from being copied.
func TestCopySkipsStrangersReferrers(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(false))
	ref, _, err := r.Push(t.Context(), repository, examplePackage(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Attach(t.Context(), ref, "application/vnd.example", Blob{"application/x", []byte("good")}, nil); err != nil {
		t.Fatal(err)
	}
	found, err := r.Referrers(t.Context(), ref, "", 10)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	huge := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"a","digest":%q,"size":2},"layers":[{"mediaType":"b","digest":%q,"size":%d}],"subject":{"mediaType":"c","digest":%q,"size":1}}`,
		ocispec.MediaTypeImageManifest, digest.FromString("{}"), digest.FromString("huge"), int64(maxReferrerBytes), ref.Digest)
	other := strings.Replace(strings.Replace(huge, fmt.Sprint(maxReferrerBytes), "2", 1), ref.Digest.String(), digest.FromString("other").String(), 1)
	index := ocispec.Index{Manifests: append(found, describe("x", []byte(huge)), describe("x", []byte(other)), describe("x", []byte("missing")))}
	base := realRegistryWith(t, r, repository, ref, index, huge, other)
	target := Repository{Host: serve(t, realRegistry(true)).Host, Path: "x"}
	out, err := Copy(t.Context(), r.In(base), ref.Digest.String(), r.In(target), CopyOptions{})
	if err != nil || out.Referrers != 1 || len(out.Skipped) != 3 {
		t.Fatal(out, err)
	}
	for i, want := range []string{"more than 67108864", "something else", "not found"} {
		if !strings.Contains(out.Skipped[i].Why, want) {
			t.Errorf("%s, not %q", out.Skipped[i].Why, want)
		}
	}
}

// realRegistryWith is a registry in front of repository's that has odd referrers.
func realRegistryWith(t *testing.T, r *Registry, repository Repository, ref Ref, index ocispec.Index, manifests ...string) Repository {
	t.Helper()
	index.SchemaVersion, index.MediaType = 2, ocispec.MediaTypeImageIndex
	return Repository{Path: repository.Path, Host: serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		for _, m := range manifests {
			if strings.HasSuffix(request.URL.Path, digest.FromString(m).String()) {
				answerWith(m, ocispec.MediaTypeImageManifest)(w, request)
				return
			}
		}
		if strings.Contains(request.URL.Path, "/referrers/"+ref.Digest.String()) {
			answerWith(string(mustJSON(t, index)), ocispec.MediaTypeImageIndex)(w, request)
			return
		}
		out, err := http.NewRequestWithContext(context.WithoutCancel(request.Context()), request.Method, "http://"+repository.Host+request.URL.String(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		out.Header = request.Header
		response, err := http.DefaultClient.Do(out)
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	})).Host}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
