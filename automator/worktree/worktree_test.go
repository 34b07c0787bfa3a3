package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
)

const marked = "image: shop:1 # {\"$imagepolicy\": \"a:b\"}\n"

func shop() []edit.Image { return []edit.Image{{Policy: "a:b", Repo: "shop", Tag: "2"}} }

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) (string, *Tree) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	tree, err := Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = tree.Close() })
	return dir, tree
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func plan(t *testing.T, tree *Tree) *Plan {
	t.Helper()
	p, err := tree.Plan(t.Context(), shop(), nil)
	must(t, err)
	return p
}

// content is what is in a folder, as "PATH MODE TEXT".
func content(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Lstat(path)
		must(t, err)
		data, err := os.ReadFile(path)
		must(t, err)
		all = append(all, fmt.Sprintf("%s %v %s", strings.TrimPrefix(path, dir+"/"), info.Mode(), data))
		return nil
	}))
	return all
}

func TestWriteKeepsModes(t *testing.T) {
	dir, tree := folder(t, map[string]string{"a.yaml": marked, "b/c.yml": marked, "b/d.yaml": "image: x\n"})
	must(t, os.Chmod(filepath.Join(dir, "a.yaml"), 0o606))
	must(t, os.Chmod(filepath.Join(dir, "b/c.yml"), 0o755|fs.ModeSticky))
	p := plan(t, tree)
	if len(p.Files) != 2 || len(p.Changes) != 2 || p.Changes[1] != (Change{File: "b/c.yml", Line: 1, Policy: "a:b", Old: "shop:1", New: "shop:2"}) {
		t.Fatalf("%+v", p)
	}
	must(t, tree.Write(p))
	after := strings.Replace(marked, ":1", ":2", 1)
	want := []string{"a.yaml -rw----rw- " + after, "b/c.yml trwxr-xr-x " + after, "b/d.yaml -rw-r--r-- image: x\n"}
	if got := content(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if p := plan(t, tree); len(p.Files) > 0 || len(p.Changes) > 0 || !p.Found["a:b"] {
		t.Errorf("again: %+v", p)
	}
}

// TestWriteIsAllOrNothing: whatever happens to the last file, the others stay as they were.
func TestWriteIsAllOrNothing(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	must(t, os.WriteFile(outside, []byte(marked), 0o644))
	for name, test := range map[string]struct {
		harm func(path string) error
		want string
	}{
		"changed": {func(path string) error { return os.WriteFile(path, []byte("image: y\n"), 0o644) }, "it has changed meanwhile; hint: run it again; nothing was changed"},
		"gone":    {os.Remove, "nothing was changed"},
		"a link":  {func(path string) error { return errors.Join(os.Remove(path), os.Symlink(outside, path)) }, "not a regular file; nothing was changed"},
		"linked inside": {func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink(filepath.Base(path)+".old", path))
		}, "not a regular file"},
		"a folder": {func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) }, "nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, tree := folder(t, map[string]string{"a.yaml": marked, "z.yaml": marked})
			p := plan(t, tree)
			must(t, test.harm(filepath.Join(dir, "z.yaml")))
			before := content(t, dir)
			err := tree.Write(p)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "z.yaml") {
				t.Errorf("%v, want %q", err, test.want)
			}
			if got := content(t, dir); !slices.Equal(got, before) {
				t.Errorf("%q, want %q", got, before)
			}
		})
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != marked {
		t.Errorf("outside: %q, %v", data, err)
	}
}

func TestWhatIsNotRead(t *testing.T) {
	dir, tree := folder(t, map[string]string{
		".git/a.yaml": marked, "x/.GIT/a.yaml": marked, "a.yaml.tpl": marked, "big.yaml": marked + strings.Repeat("#", edit.MaxBytes),
		"broken.yaml": marked + "b: [\n", "plain.yaml": "[", "held.yaml": strings.Replace(marked, `"a:b"`, `"a:b", "$sealift": "hold"`, 1),
	})
	must(t, os.Symlink("a.yaml.tpl", filepath.Join(dir, "link.yaml")))
	must(t, os.Symlink(".git", filepath.Join(dir, "linked")))
	p := plan(t, tree)
	var notes []string
	for _, n := range p.Notes {
		notes = append(notes, fmt.Sprintf("%s:%d %.20s", n.File, n.Line, n.Reason))
	}
	want := []string{"big.yaml:0 the file is larger t", "broken.yaml:0 line 2: did not find", "held.yaml:1 it is held: its mark"}
	if len(p.Files) > 0 || !slices.Equal(notes, want) {
		t.Errorf("%+v, %q", p.Files, notes)
	}
	if _, err := tree.Read("link.yaml"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a link: %v", err)
	}
	if _, err := tree.Read("nothing.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := tree.Read("../x"); err == nil {
		t.Error("it left the folder")
	}
}

func TestFoldersAreBounded(t *testing.T) {
	_, tree := folder(t, map[string]string{strings.Repeat("a/", maxFolders+1) + "b.yaml": marked})
	if _, err := tree.Plan(t.Context(), shop(), nil); err == nil || !strings.Contains(err.Error(), "deeper than 100 folders") {
		t.Errorf("deep: %v", err)
	}
	_, tree = folder(t, map[string]string{strings.Repeat("a/", maxFolders) + "b.yaml": marked})
	if p := plan(t, tree); len(p.Files) != 1 {
		t.Errorf("the benign twin: %+v", p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tree.Plan(ctx, shop(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestTargetsOfAFolder(t *testing.T) {
	dir, tree := folder(t, map[string]string{"a/x.json": `{"t": "1"}`, "b/x.json": `{}`, "Dockerfile": "FROM shop:1\n", ".git/x.json": `{"t": "1"}`})
	var targets []edit.Target
	for _, target := range []v1alpha1.Target{{Path: "**/x.json", Key: "t", Write: "tag"}, {Path: "Dockerfile", Regexp: `FROM (\S+)`}} {
		checked, err := edit.NewTarget("a:b", target)
		must(t, err)
		targets = append(targets, checked)
	}
	p, err := tree.Plan(t.Context(), shop(), targets)
	must(t, err)
	must(t, tree.Write(p))
	want := []string{".git/x.json -rw-r--r-- {\"t\": \"1\"}", "Dockerfile -rw-r--r-- FROM shop:2\n", "a/x.json -rw-r--r-- {\"t\": \"2\"}", "b/x.json -rw-r--r-- {}"}
	if got := content(t, dir); !slices.Equal(got, want) || len(p.Notes) != 1 || p.Notes[0].File != "b/x.json" {
		t.Errorf("%q, %+v", got, p.Notes)
	}
}
