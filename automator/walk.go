package automator

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// Limits of the folders of a commit.
const (
	maxEntries = 500_000 // files and folders
	maxFolders = 100     // in one path
)

// walker visits the regular files of a commit that may hold markers. What other
// files are called does not matter to it.
type walker struct {
	objects storer.EncodedObjectStorer
	visit   func(name string, entry object.TreeEntry) error
	entries int
}

// walk visits the files below tree, which is the folder dir: empty, or with a / at its end.
func (w *walker) walk(ctx context.Context, tree *object.Tree, dir string, depth int) error {
	if w.entries += len(tree.Entries); w.entries > maxEntries {
		return fmt.Errorf("it has more than %d files and folders", maxEntries)
	}
	if depth > maxFolders {
		return fmt.Errorf("%s is deeper than %d folders", printable(dir), maxFolders)
	}
	for _, entry := range tree.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		switch name := dir + entry.Name; {
		case entry.Mode == filemode.Dir:
			err = w.descend(ctx, entry, name+"/", depth+1)
		case isRegular(entry.Mode) && isTarget(entry.Name):
			err = w.visit(name, entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) descend(ctx context.Context, entry object.TreeEntry, dir string, depth int) error {
	tree, err := object.GetTree(w.objects, entry.Hash)
	if err != nil {
		return fmt.Errorf("reading %s: %w", printable(dir), err)
	}
	return w.walk(ctx, tree, dir, depth)
}

// oddName says what is wrong with a path; empty: nothing.
func oddName(name string) string {
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") {
			return "its path is no plain path"
		}
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "its path holds a control character"
	}
	return ""
}
