package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestOpenLayoutRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files  map[string]string
		create bool
		want   string
	}{
		"good":           {map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": `{"schemaVersion":2,"manifests":[]}`}, false, ""},
		"another folder": {map[string]string{"notes.txt": "x"}, true, "not empty"},
		"not there":      {nil, false, "not found"},
		"version":        {map[string]string{"oci-layout": `{"imageLayoutVersion":"2"}`}, false, "its version is"},
		"not JSON":       {map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": "x"}, false, "JSON"},
		"huge index":     {map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": strings.Repeat(" ", maxManifest+1)}, false, "more than 4194304"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l, err := OpenLayout(dir, c.create)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err == nil {
				_ = l.Close()
			}
		})
	}
}

func TestMirrored(t *testing.T) {
	for _, c := range [][3]string{
		{"registry.internal", "nginx:1", "registry.internal/docker.io/library/nginx"},
		{"oci://registry.internal:5000/mirror/", "ghcr.io/acme/app", "registry.internal:5000/mirror/ghcr.io/acme/app"},
		{"r.internal/a/b", "localhost:5000/x/y", "r.internal/a/b/localhost-5000/x/y"},
	} {
		prefix, err := ParsePrefix(c[0])
		if err != nil {
			t.Fatal(err)
		}
		image, err := ParseImage(c[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := prefix.Of(image.Repository).String(); got != c[2] {
			t.Errorf("got %s, want %s", got, c[2])
		}
		if _, err := ParseRepository(prefix.Of(image.Repository).String()); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "r.internal:x", "r.internal/A", "https://r.internal", "r/x@sha256:a", "r/a:b"} {
		if p, err := ParsePrefix(bad); err == nil {
			t.Errorf("%q was read as %v", bad, p)
		}
	}
}

func TestReadConfig(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	ref := signedRelease(t, r, repository)
	d, config, err := ReadConfig(t.Context(), r.In(repository), "main")
	if err != nil || d != ref.Digest || len(config.Environments) != 1 {
		t.Error(d, config, err)
	}
	pushImage(t, repository, "image", v1.Platform{OS: "linux", Architecture: "amd64"})
	if _, config, err := ReadConfig(t.Context(), r.In(repository), "image"); err != nil || len(config.Environments) != 0 {
		t.Error(config, err)
	}
}

// TestCopyFromALayout has an image of an older form, whose manifests do not say what
// they are, and names that lead to other bytes than the index says.
func TestCopyFromALayout(t *testing.T) {
	dir := t.TempDir()
	l := openLayout(t, dir)
	config := []byte("{}")
	if err := l.putBlob(t.Context(), describe("x", config), bytes.NewReader(config)); err != nil {
		t.Fatal(err)
	}
	child := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"mediaType":"a","digest":%q,"size":2},"layers":[]}`, digest.FromBytes(config))
	if err := l.putNested(t.Context(), describe(ocispec.MediaTypeImageManifest, child), child); err != nil {
		t.Fatal(err)
	}
	index := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, ocispec.MediaTypeImageManifest, digest.FromBytes(child), len(child))
	if err := l.putManifest(t.Context(), describe(ocispec.MediaTypeImageIndex, index), index, "old"); err != nil {
		t.Fatal(err)
	}
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	if done, err := Copy(t.Context(), openLayout(t, dir), "old", r.In(repository), CopyOptions{Tags: []string{"old"}}); err != nil || done.Manifests != 2 {
		t.Fatal(done, err)
	}
	other := bytes.Replace(index, []byte(":2"), []byte(": 2"), 1)
	if err := os.WriteFile(filepath.Join(dir, blobPath(digest.FromBytes(index))), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := Copy(t.Context(), openLayout(t, dir), "old", r.In(repository), CopyOptions{Tags: []string{"old"}}); !errors.Is(err, ErrCorrupt) {
		t.Error(done, err)
	}
}
