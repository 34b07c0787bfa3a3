package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"sealift.dev/artifact"
)

// TestTwoProcesses: two that write to one folder, in turn, hold its bound together, and
// read what the other one wrote.
func TestTwoProcesses(t *testing.T) {
	const size = 64 << 10
	s, dir := newShop(t), t.TempDir()
	both := []*Cache{open(t, dir, size), open(t, dir, size)}
	var last artifact.Ref
	for i := range 16 {
		last, _ = s.release(bytes.Repeat([]byte{byte(i)}, 10<<10))
		if err := s.keep(both[i%2], "shop", last); err != nil {
			t.Fatal(err)
		}
		if used := folderSize(t, dir); used > size {
			t.Fatalf("%d bytes after %d releases", used, i+1)
		}
		if _, err := recalled(t.Context(), both[(i+1)%2], "shop", last); err != nil {
			t.Errorf("release %d of the other process: %v", i, err)
		}
	}
}

// TestManyWriters: all at once, the bound holds, what runs stays, and no reader is given
// anything but what was kept.
func TestManyWriters(t *testing.T) {
	const size, writers, each = 64 << 10, 4, 8
	s, dir := newShop(t), t.TempDir()
	c := open(t, dir, size)
	runs, _ := s.release([]byte("runs"))
	c.Pin("shop/shop", "shop", runs)
	if err := s.keep(c, "shop", runs); err != nil {
		t.Fatal(err)
	}
	refs := make([]artifact.Ref, writers*each)
	for i := range refs {
		refs[i], _ = s.release(bytes.Repeat([]byte{byte(i)}, 10<<10))
	}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < len(refs); i += writers {
				if err := s.keep(c, "shop", refs[i]); err != nil {
					t.Error(err)
				}
				if got, err := recalled(t.Context(), c, "shop", refs[i]); err == nil && !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 10<<10)) {
					t.Errorf("release %d is another", i)
				}
			}
		})
	}
	all.Wait()
	if used := folderSize(t, dir); used > size {
		t.Errorf("%d bytes", used)
	}
	if got, err := recalled(t.Context(), c, "shop", runs); err != nil || string(got) != "runs" {
		t.Errorf("what runs is gone: %v", err)
	}
}

// TestPlantedLinks: links where files belong are neither read nor followed when something
// is written; they are replaced, and what they point at stays as it is.
func TestPlantedLinks(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	ref, layer := s.release([]byte("layer"))
	outside := filepath.Join(t.TempDir(), "victim")
	for name, path := range map[string]string{
		"content": filepath.Join(contents, layer.Encoded()),
		"record":  filepath.Join(releases, nameOf("shop", ref.String())),
		"writer":  writer,
	} {
		c, file := open(t, dir, 0), filepath.Join(dir, path)
		if err := os.WriteFile(outside, []byte("layer"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, file); err != nil {
			t.Fatal(err)
		}
		if got, err := recalled(t.Context(), c, "shop", ref); err == nil {
			t.Errorf("%s: a link is read: %q", name, got)
		}
		if err := s.keep(c, "shop", ref); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := recalled(t.Context(), c, "shop", ref); err != nil || string(got) != "layer" {
			t.Errorf("%s: it is not kept again: %q, %v", name, got, err)
		}
		if got, err := os.ReadFile(outside); err != nil || string(got) != "layer" {
			t.Errorf("%s: what the link points at is %q, %v", name, got, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, contents)); err != nil {
		t.Fatal(err)
	}
	if c, err := Open(dir, 0); err == nil && s.keep(c, "shop", ref) == nil {
		t.Error("something is written behind a link out of the folder")
	}
}

// TestFullDisk: a file that ends in its middle is no file, and what was there is read on.
func TestFullDisk(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	c := open(t, dir, 0)
	small, _ := s.release([]byte("small"))
	if err := s.keep(c, "shop", small); err != nil {
		t.Fatal(err)
	}
	big, layer := s.release(make([]byte, 256<<10))
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := before
	full.Cur = 64 << 10 // no file may grow beyond that
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	err := s.keep(c, "shop", big)
	if undo := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); undo != nil {
		t.Fatal(undo)
	}
	if err == nil {
		t.Error("it was kept on a disk that is full")
	}
	left, listed := os.ReadDir(filepath.Join(dir, unready))
	if _, err := os.Stat(filepath.Join(dir, contents, layer.Encoded())); !errors.Is(err, fs.ErrNotExist) || len(left) > 0 || listed != nil {
		t.Errorf("half a file is left: %v, %v, %v", err, left, listed)
	}
	if _, err := recalled(t.Context(), c, "shop", big); err == nil {
		t.Error("half a release is read")
	}
	if got, err := recalled(t.Context(), c, "shop", small); err != nil || string(got) != "small" {
		t.Errorf("%q, %v", got, err)
	}
	if err := s.keep(c, "shop", big); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestClockJumps: files from the future, or of long ago, make neither the bound break nor
// what runs go.
func TestClockJumps(t *testing.T) {
	const size = 64 << 10
	s, dir := newShop(t), t.TempDir()
	c := open(t, dir, size)
	var runs artifact.Ref
	for i, jump := range []time.Duration{0, 1000 * time.Hour, -100_000 * time.Hour, 0, 0, 0, 0, 0} {
		ref, layer := s.release(bytes.Repeat([]byte{byte(i)}, 10<<10))
		if i == 0 {
			runs = ref
			c.Pin("shop/shop", "shop", ref)
		}
		if err := s.keep(c, "shop", ref); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(jump)
		for _, file := range []string{filepath.Join(contents, layer.Encoded()), filepath.Join(releases, nameOf("shop", ref.String()))} {
			// What an earlier process kept stays for a while: it is not known yet what runs.
			if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil && jump >= 0 && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if used := folderSize(t, dir); used > size {
			t.Fatalf("%d bytes after %d releases", used, i+1)
		}
	}
	if _, err := recalled(t.Context(), c, "shop", runs); err != nil {
		t.Errorf("what runs is gone: %v", err)
	}
}

// TestBrokenDisk: what cannot be written is an error, and no failure of reading.
func TestBrokenDisk(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	ref, _ := s.release([]byte("layer"))
	c := open(t, dir, 0)
	if err := os.RemoveAll(filepath.Join(dir, contents)); err != nil {
		t.Fatal(err)
	}
	if err := s.keep(c, "shop", ref); err == nil {
		t.Error("nothing was wrong with a folder that is gone")
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "file", "cache"), 0); err == nil {
		t.Error("a file is taken for a folder")
	}
}
