package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
)

// shop is a registry with releases of one layer each.
type shop struct {
	t        *testing.T
	registry *stage.Scripted
	place    artifact.Repository
	client   *artifact.Registry
}

func newShop(t *testing.T) *shop {
	t.Helper()
	registry, err := stage.NewScripted(stage.ScriptedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	return &shop{t: t, registry: registry, place: artifact.Repository{Host: registry.Host, Path: "deploy/shop"},
		client: artifact.NewRegistry(artifact.Options{PlainHTTP: true, Patience: -1})}
}

// release puts a release with a layer into the registry.
func (s *shop) release(layer []byte) (artifact.Ref, digest.Digest) {
	s.t.Helper()
	blob := s.registry.Blob(s.place.Path, layer)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`, blob, len(layer))
	d := s.registry.Manifest(s.place.Path, "application/vnd.oci.image.manifest.v1+json", []byte(manifest))
	if err := s.registry.Index(s.place.Path, d); err != nil {
		s.t.Fatal(err)
	}
	return s.place.At(d), blob
}

// keep reads a release as a verification and a pull do, and keeps it.
func (s *shop) keep(c *Cache, namespace string, ref artifact.Ref) error {
	s.t.Helper()
	r := c.Record(namespace, ref, s.client)
	m, err := r.Manifest(s.t.Context(), ref)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := r.Referrers(s.t.Context(), ref, "", 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := r.Blob(s.t.Context(), ref.Repository, m.Layers[0], 1<<30); err != nil {
		s.t.Fatal(err)
	}
	return r.Keep()
}

// recalled reads a release from the cache alone.
func recalled(ctx context.Context, c *Cache, namespace string, ref artifact.Ref) ([]byte, error) {
	r, found := c.Recall(namespace, ref)
	if !found {
		return nil, errors.New("there is no record")
	}
	m, err := r.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	if _, err := r.Referrers(ctx, ref, "", 10); err != nil {
		return nil, err
	}
	return r.Blob(ctx, ref.Repository, m.Layers[0], 1<<30)
}

func open(t *testing.T, dir string, size int64) *Cache {
	t.Helper()
	c, err := Open(dir, size)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRecallAfterRestart: what one process kept, the next one and a second one beside it
// read while the registry is gone, and only for the namespace that read it before.
func TestRecallAfterRestart(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	ref, _ := s.release([]byte("layer"))
	if err := s.keep(open(t, dir, 0), "shop", ref); err != nil {
		t.Fatal(err)
	}
	s.registry.Close()
	for range 2 {
		if got, err := recalled(t.Context(), open(t, dir, 0), "shop", ref); err != nil || string(got) != "layer" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got, err := recalled(t.Context(), open(t, dir, 0), "thief", ref); err == nil {
		t.Errorf("another namespace reads %q", got)
	}
	r, _ := open(t, dir, 0).Recall("shop", ref)
	if _, err := r.Resolve(t.Context(), ref.Repository, "main"); !errors.Is(err, artifact.ErrUnavailable) {
		t.Errorf("a tag is resolved from the cache: %v", err)
	}
	elsewhere := ref
	elsewhere.Repository.Path = "deploy/other"
	if _, err := r.Manifest(t.Context(), elsewhere); !errors.Is(err, artifact.ErrUnavailable) {
		t.Errorf("another repository's manifest is read: %v", err)
	}
}

// TestFlippedByteIsAMiss: of content and of records; both are removed, and kept again.
func TestFlippedByteIsAMiss(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	ref, layer := s.release([]byte("layer"))
	c := open(t, dir, 0)
	for name, path := range map[string]string{
		"content": filepath.Join(contents, layer.Encoded()),
		"record":  filepath.Join(releases, nameOf("shop", ref.String())),
	} {
		if err := s.keep(c, "shop", ref); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, path)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := recalled(t.Context(), c, "shop", ref); err == nil {
			t.Errorf("%s: a flipped byte is read: %q", name, got)
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the broken file stays: %v", name, err)
		}
		if err := s.keep(c, "shop", ref); err != nil {
			t.Fatal(err)
		}
		if got, err := recalled(t.Context(), c, "shop", ref); err != nil || string(got) != "layer" {
			t.Errorf("%s: it is not kept again: %q, %v", name, got, err)
		}
	}
}

// TestEviction: the bound holds; what was used longest ago goes first, and what a
// Delivery runs never does.
func TestEviction(t *testing.T) {
	const size = 64 << 10
	s, dir := newShop(t), t.TempDir()
	c := open(t, dir, size)
	var refs []artifact.Ref
	for i := range 12 {
		ref, _ := s.release(bytes.Repeat([]byte{byte(i)}, 10<<10))
		refs = append(refs, ref)
		if i == 0 {
			c.Pin("shop/shop", "shop", ref)
		}
		if err := s.keep(c, "shop", ref); err != nil {
			t.Fatal(err)
		}
		if used := folderSize(t, dir); used > size {
			t.Fatalf("%d bytes after %d releases", used, i+1)
		}
	}
	for i, want := range map[int]bool{0: true, 1: false, 5: false, 11: true} {
		if _, err := recalled(t.Context(), c, "shop", refs[i]); (err == nil) != want {
			t.Errorf("release %d: %v", i, err)
		}
	}
	c.Pin("shop/shop", "shop", refs[0], refs[11], refs[10], refs[9], refs[8])
	big, _ := s.release(make([]byte, 30<<10))
	if err := s.keep(c, "shop", big); !errors.Is(err, ErrFull) {
		t.Errorf("room is made of what runs: %v", err)
	}
	if _, err := recalled(t.Context(), c, "shop", refs[8]); err != nil {
		t.Errorf("what runs is gone: %v", err)
	}
}

func folderSize(t *testing.T, dir string) int64 {
	t.Helper()
	var total int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// TestGarbage: what crashes left goes when a process starts, and what another process
// may be writing stays.
func TestGarbage(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 0)
	old, young := time.Now().Add(-2*grace), time.Now()
	files := map[string]time.Time{
		filepath.Join(unready, "old"): old, filepath.Join(unready, "young"): young,
		filepath.Join(contents, digest.FromString("a").Encoded()): old, filepath.Join(contents, digest.FromString("b").Encoded()): young,
	}
	for name, at := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Chtimes(file, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, 0)
	for name, at := range files {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != at.Equal(young) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
