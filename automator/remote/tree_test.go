package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// nested are folders that each hold the next one width times over.
func nested(width, depth int) *Snapshot {
	s := &Snapshot{trees: objects{}}
	s.root = s.trees.store(plumbing.TreeObject, nil)
	for range depth {
		var entries []entry
		for i := range width {
			entries = append(entries, entry{mode: modeDir, name: fmt.Sprint(i), id: s.root})
		}
		s.root = s.trees.store(plumbing.TreeObject, encodeTree(entries))
	}
	return s
}

func TestFoldersAreBounded(t *testing.T) {
	for _, test := range []struct {
		width, depth int
		want         string
	}{
		{10, 30, "more than 500000 files and folders"}, {1, maxFolders + 1, "deeper than 100 folders"}, {1, maxFolders, ""}, {8, 4, ""},
	} {
		err := nested(test.width, test.depth).Files(t.Context(), func(string, string, string) error { return nil })
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%d folders, %d deep: %v, want %q", test.width, test.depth, err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nested(8, 4).Files(ctx, func(string, string, string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	want := errors.New("enough")
	one := nested(0, 0)
	one.root = one.trees.store(plumbing.TreeObject, encodeTree([]entry{{mode: "100755", name: "a"}}))
	if err := one.Files(t.Context(), func(string, string, string) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want the visitor's error", err)
	}
}

// TestReachable: what a server left out, or sent as something else.
func TestReachable(t *testing.T) {
	all := objects{}
	blob := all.store(plumbing.BlobObject, []byte("x"))
	inner := all.store(plumbing.TreeObject, encodeTree([]entry{{mode: modeFile, name: "f", id: blob}}))
	root := all.store(plumbing.TreeObject, encodeTree([]entry{{mode: modeFile, name: "a", id: blob}, {mode: modeDir, name: "d", id: inner}}))
	files := objects{}
	if trees, err := reachable(root, files, objects{}, all); err != nil || len(trees) != 2 || len(files) != 1 {
		t.Errorf("%d folders, %d files, %v", len(trees), len(files), err)
	}
	odd := all.store(plumbing.TreeObject, encodeTree([]entry{{mode: modeDir, name: "d", id: blob}}))
	_, err := reachable(odd, nil, all)
	wantError(t, err, "the folder "+blob.String()+" is missing")
	broken := all.store(plumbing.TreeObject, []byte("100644 a\x00short"))
	_, err = reachable(broken, nil, all)
	wantError(t, err, "malformed")
	delete(all, inner)
	_, err = reachable(root, nil, all)
	wantError(t, err, "the folder "+inner.String()+" is missing")
}

func TestPathsOfFiles(t *testing.T) {
	s := newServer(t, map[string]string{
		"a/b.yaml": "1", "a-b.yaml": "1", "a.yaml": "1", "Icon\r": "x", "d\x01/shop.yaml": "1", "ключ/shop.yaml": "1", "a/\xff.txt": "x",
	})
	var got []string
	if err := mustSnapshot(t, s.open(), "main").Files(t.Context(), func(path, _, odd string) error {
		if odd != "" {
			path += "!"
		}
		got = append(got, path)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"Icon\r!", "a-b.yaml", "a.yaml", "a/b.yaml", "a/\xff.txt", "d\x01/shop.yaml!", "ключ/shop.yaml"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, path := range []string{"a/../b", "a//b", "/a", "a/", ".git/config", "x/.Git/y", "./a", ""} {
		if OddPath(path) == "" {
			t.Errorf("%q is taken", path)
		}
	}
}

func TestCacheForgets(t *testing.T) {
	c := newCache(3*perEntry + 100)
	id := func(i byte) plumbing.Hash { return plumbing.Hash{i} }
	for i := range byte(3) {
		c.put(id(i), make([]byte, 30))
	}
	c.get(id(0))
	c.put(id(3), make([]byte, 30))
	for i, want := range []bool{true, false, true, true} {
		if _, ok := c.get(id(byte(i))); ok != want {
			t.Errorf("file %d is there: %v, want %v", i, ok, want)
		}
	}
	if c.put(id(4), make([]byte, 10_000)); c.used > c.limit || c.used < 0 {
		t.Errorf("%d bytes are kept, more than %d", c.used, c.limit)
	}
	c.put(id(5), nil)
	if content, ok := c.get(id(5)); !ok || content != nil {
		t.Errorf("a file that is too large is forgotten: %v, %v", content, ok)
	}
}

// TestOddTrees: entries that do not have their path alone, which Git's own commands do not make.
func TestOddTrees(t *testing.T) {
	trees := objects{}
	inner := trees.store(plumbing.TreeObject, encodeTree([]entry{{mode: modeFile, name: "f"}}))
	outer := trees.store(plumbing.TreeObject, encodeTree([]entry{{mode: modeDir, name: "d", id: inner}, {mode: modeDir, name: "d", id: inner}}))
	root := trees.store(plumbing.TreeObject, encodeTree([]entry{
		{mode: modeFile, name: "a"}, {mode: modeDir, name: "a", id: inner}, {mode: modeFile, name: "d/f"},
		{mode: modeDir, name: "e", id: inner}, {mode: modeDir, name: "g", id: outer}, {mode: modeFile, name: "z"},
	}))
	var found []string
	err := (&Snapshot{trees: trees, root: root}).Files(t.Context(), func(path, _, odd string) error {
		found = append(found, path+": "+odd)
		return nil
	})
	const twice, slash = "its folder has its name twice", "a name in its path holds a slash"
	want := []string{"a: " + twice, "a/f: " + twice, "d/f: " + slash, "e/f: ", "g/d/f: " + twice, "g/d/f: " + twice, "z: "}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("got %q, %v, want %q", found, err, want)
	}
}

// TestTimesOfCommits: a commit may claim any, and the ledger is JSON.
func TestTimesOfCommits(t *testing.T) {
	for at, want := range map[string]string{
		"1700000000 +0200": "2023-11-14T22:13:20Z", "1700000000 +9999": "2023-11-14T22:13:20Z",
		"1700000000 -9999": "2023-11-14T22:13:20Z", "99999999999999 +0000": "0001-01-01T00:00:00Z",
	} {
		all := objects{}
		id := all.store(plumbing.CommitObject, []byte("tree "+plumbing.ZeroHash.String()+"\nauthor A <a@b> "+at+"\ncommitter A <a@b> "+at+"\n\nx\n"))
		_, log, err := commitOf(all, id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := log.Time.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%s is %s, %v, want %s", at, got, err, want)
		}
	}
}
