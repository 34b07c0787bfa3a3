package automator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// manyPaths is a commit in which n files have one content.
func manyPaths(t *testing.T, n int, content string) (*memory.Storage, *object.Commit) {
	t.Helper()
	b := builder{storage: memory.NewStorage()}
	blob, err := b.blob([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	tree := &object.Tree{}
	for i := range n {
		tree.Entries = append(tree.Entries, object.TreeEntry{Name: fmt.Sprintf("%06d.yaml", i), Mode: filemode.Regular, Hash: blob})
	}
	return b.storage, commitOf(t, &b, tree)
}

func commitOf(t *testing.T, b *builder, tree *object.Tree) *object.Commit {
	t.Helper()
	root, err := b.store(tree)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := b.store(&object.Commit{TreeHash: root})
	if err != nil {
		t.Fatal(err)
	}
	commit, err := object.GetCommit(b.storage, hash)
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

func TestPlanIsBounded(t *testing.T) {
	marked := "a: b # {\"$imagepolicy\": \"shop:shop\"}\n" + strings.Repeat("#", maxFileBytes-100)
	objects, commit := manyPaths(t, 10_000, marked)
	tree, err := commit.Tree()
	if err != nil {
		t.Fatal(err)
	}
	// The same with two files' worth of bytes left: reading 64 of them proves no more.
	p := &planner{plan: &plan{files: map[string][]byte{}, marked: map[string]bool{}}, objects: objects, plain: map[plumbing.Hash]bool{}, left: 2 * maxFileBytes}
	w := &walker{objects: objects, visit: p.planFile}
	if err := w.walk(t.Context(), tree, "", 0); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes together") {
		t.Errorf("marked: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := planEdits(ctx, objects, commit, config{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	objects, commit = manyPaths(t, 20_000, strings.Repeat("#", maxFileBytes))
	if p, err := planEdits(t.Context(), objects, commit, config{}, nil); err != nil || len(p.notes) > 0 {
		t.Errorf("the benign twin: %v", err)
	}
}

// TestFoldersAreBounded: folders that hold one another many times over, and deep ones.
func TestFoldersAreBounded(t *testing.T) {
	nest := func(width, depth int) (*memory.Storage, *object.Commit) {
		b := builder{storage: memory.NewStorage()}
		tree := &object.Tree{}
		for range depth {
			hash, err := b.store(tree)
			if err != nil {
				t.Fatal(err)
			}
			tree = &object.Tree{}
			for i := range width {
				tree.Entries = append(tree.Entries, object.TreeEntry{Name: fmt.Sprint(i), Mode: filemode.Dir, Hash: hash})
			}
		}
		return b.storage, commitOf(t, &b, tree)
	}
	for _, test := range []struct {
		width, depth int
		want         string
	}{
		{10, 30, "more than 500000 files and folders"}, {1, maxFolders + 1, "deeper than 100 folders"}, {1, maxFolders, ""}, {8, 4, ""},
	} {
		objects, commit := nest(test.width, test.depth)
		_, err := planEdits(t.Context(), objects, commit, config{}, nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%d folders, %d deep: %v, want %q", test.width, test.depth, err, test.want)
		}
	}
}

func TestOddNames(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	git := newGitServer(t, map[string]string{
		"sealift.yaml": configFor(image, "*"), "a/shop.yaml": deployment(image + ":1.1.0"),
		"Icon\r": "x", "a/b\tc.txt": "x", "d\x01/e.txt": "x", "a/\xff.txt": "x",
		"d\x01/shop.yaml": deployment(image + ":1.1.0"), "tab\t.yaml": deployment(image + ":1.1.0"), "ключ/shop.yaml": deployment(image + ":1.1.0"),
	}, nil)
	opts := git.options()
	opts.DryRun = true
	if result, err := Run(t.Context(), opts); err != nil || !strings.Contains(result.Diff, "+++ b/a/shop.yaml") {
		t.Errorf("a dry run: %+v, %v", result, err)
	}
	result, err := Run(t.Context(), git.options())
	if err != nil || !result.Pushed || len(result.Changes) != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	want := []Note{{File: "d\x01/shop.yaml", Reason: "its path holds a control character"}, {File: "tab\t.yaml", Reason: "its path holds a control character"}}
	if fmt.Sprint(result.Notes) != fmt.Sprint(want) {
		t.Errorf("notes %q", fmt.Sprint(result.Notes))
	}
	if got := git.show("d\x01/shop.yaml"); got != deployment(image+":1.1.0") {
		t.Errorf("it was edited: %q", got)
	}
}
