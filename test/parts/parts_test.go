package parts

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// source writes a module like test/controlplane with the one part "etcd".
func source(t *testing.T, program string) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "test", "controlplane")
	if err := os.MkdirAll(filepath.Join(dir, "etcd"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module example.com/parts\n\ngo 1.26.0\n", "go.sum": "", "etcd/main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(dir, "etcd"))
	return dir
}

// cache gives the test a cache folder for parts of its own; the Go command keeps its own.
func cache(t *testing.T) {
	t.Helper()
	home, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("GOCACHE") == "" {
		t.Setenv("GOCACHE", filepath.Join(home, "go-build"))
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
}

func TestEnsureBuildsOnce(t *testing.T) {
	cache(t)
	dir := source(t, "package main\n\nfunc main() {}\n")
	var out bytes.Buffer
	first, err := Ensure(t.Context(), &out, "etcd")
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "building etcd v3.6.8 (about 15s the first time) ") || !strings.HasSuffix(got, "s\n") {
		t.Errorf("progress %q", got)
	}
	if info, err := os.Stat(filepath.Join(first, "etcd")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("the program is not there: %v", err)
	}
	out.Reset()
	if again, err := Ensure(t.Context(), &out, "etcd"); err != nil || again != first || out.Len() > 0 {
		t.Errorf("the second time: %s, %v, progress %q", again, err, out.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "etcd", "main.go"), []byte("package main\n\nfunc main() { println() }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other, err := Ensure(t.Context(), &out, "etcd"); err != nil || other == first {
		t.Errorf("a changed program came from the cache: %s, %v", other, err)
	}
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	cache(t)
	dir := source(t, "package main\n\nfunc main() { broken }\n")
	var out bytes.Buffer
	_, err := Ensure(t.Context(), &out, "etcd")
	if err == nil || !strings.HasPrefix(err.Error(), "building etcd v3.6.8: go build: ") || !strings.Contains(err.Error(), "undefined: broken") {
		t.Errorf("got %v, want the compiler's message", err)
	}
	if !strings.HasSuffix(out.String(), "failed\n") {
		t.Errorf("progress %q", out.String())
	}
	kept, err := folder(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "sealift", "parts"), All()[0], dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(kept); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnknownPart(t *testing.T) {
	if _, err := Ensure(t.Context(), os.Stderr, "etc"); err == nil || err.Error() != `no part is called "etc"` {
		t.Errorf("got %v", err)
	}
}

// TestKeysAreTheirOwn: another part's program or version is no reason to build this one again.
func TestKeysAreTheirOwn(t *testing.T) {
	dir := source(t, "package main\n\nfunc main() {}\n")
	key := func(part Part) string {
		got, err := folder("", part, dir)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	etcd := All()[0]
	before := key(etcd)
	if err := os.Mkdir(filepath.Join(dir, "kubectl"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kubectl", "main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after := key(etcd); after != before {
		t.Errorf("another program changes the key from %s to %s", before, after)
	}
	newer := etcd
	newer.Version += "1"
	if key(newer) == before {
		t.Error("another version has the same key")
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if key(etcd) == before {
		t.Error("other dependencies have the same key")
	}
}

func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var out bytes.Buffer
	unlock, err := lock(t.Context(), path, &out)
	if err != nil || out.Len() > 0 {
		t.Fatalf("the first lock: %v, said %q", err, out.String())
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := lock(short, path, &out); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(out.String(), "waiting") {
		t.Errorf("the second lock: %v, said %q", err, out.String())
	}
	unlock()
	unlock, err = lock(t.Context(), path, &out)
	if err != nil {
		t.Fatalf("the lock after unlocking: %v", err)
	}
	unlock()
}
