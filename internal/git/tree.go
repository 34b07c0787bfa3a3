package git

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"sealift.dev/internal/objects"
)

// Limits of what is read from one commit.
const (
	maxFile  = 16 << 20 // bytes of one file
	maxFiles = 20_000   // files and folders in one walk
	maxDepth = 64       // folders in one path
	maxPath  = 4096     // bytes of one path
)

// Tree reads the files of a commit, each when it is asked for. It is for one
// goroutine.
type Tree struct {
	SkipSubmodules bool // Walk leaves them out; otherwise they are errors
	KeepPointers   bool // pointers of Git LFS are files like others; otherwise they are errors

	commit  *Commit
	folders map[string]*object.Tree // those that were read, by path
}

// Tree opens the commit's tree.
func (c *Commit) Tree() (*Tree, error) {
	root, err := c.commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the tree of %s: %w", c.Hash, err)
	}
	return &Tree{commit: c, folders: map[string]*object.Tree{".": root}}, nil
}

// ReadFile reads a regular file of at most 16 MiB, by its path with slashes. It
// fails with fs.ErrNotExist where there is none. Links are not followed.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	entry, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if entry.Mode == filemode.Dir {
		return nil, fmt.Errorf("%q is a folder: %w", name, fs.ErrNotExist)
	}
	// The size comes without reading the content, but for objects of another repository.
	store := t.commit.repository.repo.Storer
	if size, err := store.EncodedObjectSize(entry.Hash); err == nil && size > maxFile {
		return nil, tooLarge(name, size)
	}
	blob, err := object.GetBlob(store, entry.Hash)
	if err != nil {
		return nil, t.unreadable(name, err)
	}
	if blob.Size > maxFile {
		return nil, tooLarge(name, blob.Size)
	}
	data, err := t.content(blob, name, maxFile)
	if err != nil {
		return nil, err
	}
	if !t.KeepPointers && bytes.HasPrefix(data, []byte(pointer)) {
		return nil, fmt.Errorf("%q is a pointer of Git LFS, and its content is not in the commit; hint: git lfs migrate export, or keep the pointer with --allow-lfs-pointers", name)
	}
	return data, nil
}

// pointer is how what Git LFS commits in place of a file begins.
const pointer = "version https://git-lfs.github.com/spec/v1\n"

// Walk lists the files below a folder, "." for all, in Git's order. It fails with
// fs.ErrNotExist where there is no folder. Symbolic links and submodules are
// errors: what they lead to would be missing.
func (t *Tree) Walk(folder string) ([]string, error) {
	w := walker{tree: t}
	err := w.walk(folder)
	return w.files, err
}

type walker struct {
	tree  *Tree
	count int
	files []string
}

func (w *walker) walk(folder string) error {
	tree, err := w.tree.folder(folder)
	if err != nil {
		return err
	}
	for _, entry := range tree.Entries {
		name := path.Join(folder, entry.Name)
		if w.count++; w.count > maxFiles {
			return fmt.Errorf("%q: there are more than %d files and folders: %w", name, maxFiles, objects.ErrLimit)
		}
		if path.Base(name) != entry.Name {
			return fmt.Errorf("%q holds a file with the name %q", folder, entry.Name)
		}
		if entry.Mode == filemode.Submodule && w.tree.SkipSubmodules {
			continue
		}
		if err := checkEntry(name, entry.Mode); err != nil {
			return err
		}
		if entry.Mode != filemode.Dir {
			w.files = append(w.files, name)
		} else if err := w.walk(name); err != nil {
			return err
		}
	}
	return nil
}

// find looks up what is not the root.
func (t *Tree) find(name string) (object.TreeEntry, error) {
	if !fs.ValidPath(name) || name == "." || len(name) > maxPath {
		return object.TreeEntry{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	parent, err := t.folder(path.Dir(name))
	if err != nil {
		return object.TreeEntry{}, err
	}
	entry, err := parent.FindEntry(path.Base(name))
	if errors.Is(err, object.ErrEntryNotFound) {
		return object.TreeEntry{}, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return object.TreeEntry{}, t.unreadable(name, err)
	}
	return *entry, checkEntry(name, entry.Mode)
}

func (t *Tree) folder(name string) (*object.Tree, error) {
	if tree, ok := t.folders[name]; ok {
		return tree, nil
	}
	entry, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if entry.Mode != filemode.Dir {
		return nil, fmt.Errorf("%q is a file: %w", name, fs.ErrNotExist)
	}
	tree, err := object.GetTree(t.commit.repository.repo.Storer, entry.Hash)
	if err != nil {
		return nil, t.unreadable(name, err)
	}
	t.folders[name] = tree
	return tree, nil
}

func checkEntry(name string, mode filemode.FileMode) error {
	if strings.Count(name, "/") > maxDepth {
		return fmt.Errorf("%q is more than %d folders deep: %w", name, maxDepth, objects.ErrLimit)
	}
	switch mode {
	case filemode.Dir, filemode.Regular, filemode.Executable, filemode.Deprecated:
		return nil
	case filemode.Symlink:
		return fmt.Errorf("%q is a symbolic link, which is not followed; hint: replace it by a copy", name)
	case filemode.Submodule:
		return fmt.Errorf("%q is a submodule, whose files are not in this repository; hint: copy them, or leave it out with --allow-submodules", name)
	}
	return fmt.Errorf("%q has the unknown mode %o", name, uint32(mode))
}

func tooLarge(name string, size int64) error {
	return fmt.Errorf("%q has %d bytes, more than %d: %w", name, size, maxFile, objects.ErrLimit)
}

func (t *Tree) unreadable(name string, err error) error {
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return fmt.Errorf("reading %q at %s: the clone lacks it; hint: clone without --filter", name, t.commit.Hash)
	}
	return fmt.Errorf("reading %q at %s: %w", name, t.commit.Hash, err)
}
