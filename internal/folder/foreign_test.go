package folder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoreIsNotSomebodysFolder: the store of config is .config, that of git is
// .git. What is in such a folder is nobody's old version.
func TestStoreIsNotSomebodysFolder(t *testing.T) {
	for name, existing := range map[string]string{"a folder": "sub/keep", "a file": "keep", "what looks finished": "sha256-x/keep"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			keep := filepath.Join(dir, ".config", existing)
			if err := os.MkdirAll(filepath.Dir(keep), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(keep, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Open(filepath.Join(dir, "config"))
			if err == nil {
				_, err = f.Show("v1", content(1))
			}
			if err == nil || !strings.Contains(err.Error(), "not made by sealift") {
				t.Error("got", err)
			}
			if data, err := os.ReadFile(keep); err != nil || string(data) != "mine" {
				t.Error("somebody's file is gone:", err)
			}
		})
	}
}

// TestStoreIsNoLink: whoever may write beside the folder could lead it elsewhere.
func TestStoreIsNoLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dir, ".shop")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "shop")); err == nil {
		t.Error("the store may be a link")
	}
	if got := names(t, elsewhere); got != "" {
		t.Error("written:", got)
	}
}

// TestShowMendsWhatWasRemoved: a link that leads nowhere is not the version.
func TestShowMendsWhatWasRemoved(t *testing.T) {
	at := filepath.Join(t.TempDir(), "shop")
	f := open(t, at)
	show(t, f, 1)
	if err := os.RemoveAll(filepath.Join(filepath.Dir(at), ".shop", "v1")); err != nil {
		t.Fatal(err)
	}
	show(t, f, 1)
	if data, err := os.ReadFile(filepath.Join(at, "prod", "a.yaml")); err != nil || string(data) != "1" {
		t.Error(string(data), err)
	}
}

// TestOpenChangesNothing: an empty folder stays until there is something to show.
func TestOpenChangesNothing(t *testing.T) {
	at := filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	f := open(t, at)
	if info, err := os.Lstat(at); err != nil || !info.IsDir() {
		t.Error("the folder is gone before anything is shown:", err)
	}
	show(t, f, 1)
}
