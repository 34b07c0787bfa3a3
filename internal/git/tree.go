package git

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Limits of what is read from one commit.
const (
	maxFile  = 16 << 20
	maxTotal = 256 << 20
	maxFiles = 20_000
)

// ErrNoFile is under the error about a path that a commit does not have.
var ErrNoFile = errors.New("no such file or folder in the commit")

// Tree reads the files of a commit, each when it is asked for. It is for one
// goroutine: it counts what it has read, against limits on files and bytes.
type Tree struct {
	commit *Commit
	root   *object.Tree
	files  map[string][]byte
	total  int64
}

// Entry is a name in a folder.
type Entry struct {
	Name   string
	Folder bool
}

// Tree opens the commit's tree.
func (c *Commit) Tree() (*Tree, error) {
	root, err := c.commit.Tree()
	if err != nil {
		return nil, fmt.Errorf("reading the tree of %s: %w", c.Hash, err)
	}
	return &Tree{commit: c, root: root, files: map[string][]byte{}}, nil
}

// find looks up name, a clean path with slashes, "." for the root. Links and
// submodules, also on the way, are errors.
func (t *Tree) find(name string) (filemode.FileMode, plumbing.Hash, error) {
	if name == "." {
		return filemode.Dir, t.root.Hash, nil
	}
	if path.Clean(name) != name || path.IsAbs(name) || name == ".." || strings.HasPrefix(name, "../") {
		return 0, plumbing.ZeroHash, fmt.Errorf("%q: %w", name, ErrNoFile)
	}
	if parent := path.Dir(name); parent != "." {
		if mode, _, err := t.find(parent); err != nil || mode != filemode.Dir {
			return 0, plumbing.ZeroHash, errors.Join(err, notFound(name, err))
		}
	}
	entry, err := t.root.FindEntry(name)
	if errors.Is(err, object.ErrEntryNotFound) || errors.Is(err, object.ErrDirectoryNotFound) {
		return 0, plumbing.ZeroHash, fmt.Errorf("%q: %w", name, ErrNoFile)
	}
	if err != nil {
		return 0, plumbing.ZeroHash, fmt.Errorf("reading %q at %s: %w", name, t.commit.Hash, err)
	}
	switch entry.Mode {
	case filemode.Symlink:
		return 0, plumbing.ZeroHash, fmt.Errorf("%q is a symbolic link, which a release cannot hold; hint: replace it by the file", name)
	case filemode.Submodule:
		return 0, plumbing.ZeroHash, fmt.Errorf("%q is a submodule, whose files are not in this repository; hint: copy them", name)
	}
	return entry.Mode, entry.Hash, nil
}

func notFound(name string, err error) error {
	if err != nil {
		return nil // it says more
	}
	return fmt.Errorf("%q: %w", name, ErrNoFile)
}

// IsFolder says whether name is a folder of the commit.
func (t *Tree) IsFolder(name string) bool {
	mode, _, err := t.find(name)
	return err == nil && mode == filemode.Dir
}

// Exists says whether name is a file or folder of the commit.
func (t *Tree) Exists(name string) bool {
	_, _, err := t.find(name)
	return err == nil
}

// List gives the entries of a folder, links and submodules included, which
// cannot be read.
func (t *Tree) List(folder string) ([]Entry, error) {
	mode, hash, err := t.find(folder)
	if err != nil {
		return nil, err
	}
	if mode != filemode.Dir {
		return nil, fmt.Errorf("%q is not a folder", folder)
	}
	tree, err := t.commit.repository.repo.TreeObject(hash)
	if err != nil {
		return nil, fmt.Errorf("reading %q at %s: %w", folder, t.commit.Hash, err)
	}
	entries := make([]Entry, 0, len(tree.Entries))
	for _, e := range tree.Entries {
		entries = append(entries, Entry{Name: e.Name, Folder: e.Mode == filemode.Dir})
	}
	return entries, nil
}

// Read gives the content of a regular file.
func (t *Tree) Read(name string) ([]byte, error) {
	if data, ok := t.files[name]; ok {
		return data, nil
	}
	mode, hash, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if mode == filemode.Dir {
		return nil, fmt.Errorf("%q is a folder", name)
	}
	blob, err := t.commit.repository.repo.BlobObject(hash)
	if err != nil {
		return nil, fmt.Errorf("reading %q at %s: %w", name, t.commit.Hash, err)
	}
	if blob.Size > maxFile {
		return nil, fmt.Errorf("%q has %d bytes, more than %d", name, blob.Size, maxFile)
	}
	if t.total += blob.Size; t.total > maxTotal || len(t.files) >= maxFiles {
		return nil, fmt.Errorf("reading %q: more than %d files or %d bytes of one commit", name, maxFiles, maxTotal)
	}
	reader, err := blob.Reader()
	if err != nil {
		return nil, fmt.Errorf("reading %q at %s: %w", name, t.commit.Hash, err)
	}
	defer reader.Close()
	data, err := io.ReadAll(io.LimitReader(reader, blob.Size))
	if err != nil {
		return nil, fmt.Errorf("reading %q at %s: %w", name, t.commit.Hash, err)
	}
	t.files[name] = data
	return data, nil
}
