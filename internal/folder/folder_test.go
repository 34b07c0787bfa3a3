package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"sealift.dev/internal/objects"
)

func open(t *testing.T, at string) *Folder {
	t.Helper()
	f, err := Open(at)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func content(n int) []objects.File {
	return []objects.File{{Path: "prod/a.yaml", Data: fmt.Append(nil, n)}, {Path: "prod/deep/b.yaml", Data: fmt.Append(nil, n)}}
}

func show(t *testing.T, f *Folder, n int) {
	t.Helper()
	changed, err := f.Show(fmt.Sprint("v", n), content(n))
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return strings.Join(list, " ")
}

func TestShow(t *testing.T) {
	at := filepath.Join(t.TempDir(), "shop")
	for n := range 4 {
		f := open(t, at)
		show(t, f, n)
		if changed, err := f.Show(fmt.Sprint("v", n), content(n)); err != nil || changed {
			t.Fatal(changed, err)
		}
		data, err := os.ReadFile(filepath.Join(at, "prod", "deep", "b.yaml"))
		if err != nil || string(data) != fmt.Sprint(n) {
			t.Fatal(string(data), err)
		}
		if current, err := f.Current(); err != nil || current != fmt.Sprint("v", n) {
			t.Fatal(current, err)
		}
	}
	if got := names(t, filepath.Join(filepath.Dir(at), ".shop")); got != ".sealift v2 v3" {
		t.Error("the store holds", got)
	}
	// Back to a version that is there.
	show(t, open(t, at), 2)
}

// TestReadersNeverSeeHalf reads two files while versions come and go: what is
// opened by way of one look at the link belongs together.
func TestReadersNeverSeeHalf(t *testing.T) {
	at := filepath.Join(t.TempDir(), "shop")
	f := open(t, at)
	show(t, f, 0)
	var done atomic.Bool
	failed := make(chan error, 1)
	go func() {
		for !done.Load() {
			seen, err := os.Readlink(at)
			if err != nil {
				failed <- err
				return
			}
			seen = filepath.Join(filepath.Dir(at), seen)
			a, errA := os.ReadFile(filepath.Join(seen, "prod", "a.yaml"))
			b, errB := os.ReadFile(filepath.Join(seen, "prod", "deep", "b.yaml"))
			if errors.Is(errA, fs.ErrNotExist) || errors.Is(errB, fs.ErrNotExist) {
				continue // two versions later it may be swept
			}
			if errA != nil || errB != nil || string(a) != string(b) || len(a) == 0 {
				failed <- fmt.Errorf("%q %v, %q %v", a, errA, b, errB)
				return
			}
		}
		failed <- nil
	}()
	for n := range 50 {
		show(t, f, n+1)
		if _, err := os.Stat(filepath.Join(at, "prod", "a.yaml")); err != nil {
			t.Fatal("the link leads nowhere:", err)
		}
	}
	done.Store(true)
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// TestCrash leaves what each step of Show would leave, and goes on.
func TestCrash(t *testing.T) {
	for name, crash := range map[string]func(store string) error{
		"in the middle of a file": func(store string) error {
			return errors.Join(os.MkdirAll(filepath.Join(store, partial+"1", "prod"), 0o755), os.WriteFile(filepath.Join(store, partial+"1", "prod", "a.yaml"), []byte("ha"), 0o644))
		},
		"before the link":         func(store string) error { return os.MkdirAll(filepath.Join(store, "v2", "prod"), 0o755) },
		"link made, not renamed":  func(store string) error { return os.Symlink(".shop/v2", filepath.Join(store, partial+"2")) },
		"state made, not renamed": func(store string) error { return os.WriteFile(filepath.Join(store, partial+"3"), []byte("{"), 0o644) },
		"before the sweep":        func(store string) error { return os.MkdirAll(filepath.Join(store, "v0"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "shop")
			show(t, open(t, at), 1)
			store := filepath.Join(filepath.Dir(at), ".shop")
			if err := crash(store); err != nil {
				t.Fatal(err)
			}
			f := open(t, at)
			if data, err := os.ReadFile(filepath.Join(at, "prod", "a.yaml")); err != nil || string(data) != "1" {
				t.Fatal(string(data), err)
			}
			if err := f.Remember([]byte("state")); err != nil {
				t.Fatal(err)
			}
			show(t, f, 3)
			if got := names(t, store); got != ".sealift state.json v1 v3" {
				t.Error("the store holds", got)
			}
		})
	}
}

func TestState(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "shop"))
	if data, err := f.State(); err != nil || data != nil {
		t.Error(data, err)
	}
	for _, text := range []string{"one", "two"} {
		if err := f.Remember([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := f.State(); err != nil || string(data) != text {
			t.Error(string(data), err)
		}
	}
}

func TestOpenLeavesAloneWhatIsNotOurs(t *testing.T) {
	for name, c := range map[string]struct {
		make func(at string) error
		want string
	}{
		"nothing":         {func(string) error { return nil }, ""},
		"an empty folder": {func(at string) error { return os.Mkdir(at, 0o755) }, ""},
		"a full folder":   {func(at string) error { return os.MkdirAll(filepath.Join(at, "x"), 0o755) }, "something in it"},
		"a file":          {func(at string) error { return os.WriteFile(at, nil, 0o644) }, "it is a file"},
		"another link":    {func(at string) error { return os.Symlink("/etc", at) }, "not ours"},
		"a link upwards":  {func(at string) error { return os.Symlink("../x", at) }, "not ours"},
	} {
		t.Run(name, func(t *testing.T) {
			at := filepath.Join(t.TempDir(), "shop")
			if err := c.make(at); err != nil {
				t.Fatal(err)
			}
			_, err := Open(at)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Open("/"); err == nil {
		t.Error("the root was accepted")
	}
}

// TestShowWritesInsideOnly: paths were checked when they were unpacked, and are
// held inside once more.
func TestShowWritesInsideOnly(t *testing.T) {
	dir := t.TempDir()
	f := open(t, filepath.Join(dir, "shop"))
	for _, path := range []string{"../x", "/x", "../../x"} {
		if _, err := f.Show("v1", []objects.File{{Path: path, Data: []byte("x")}}); err == nil {
			t.Error(path, "was written")
		}
	}
	if got := names(t, dir); got != ".shop" {
		t.Error(got)
	}
}
