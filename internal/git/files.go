package git

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"sealift.dev/internal/objects"
)

// maxListed bounds Files, which reads no contents.
const maxListed = 500_000

// Files visits the regular files of the commit in Git's order, with the ids of their contents.
// Links and submodules are left out.
func (t *Tree) Files(ctx context.Context, visit func(path, blob string) error) error {
	count := 0
	var walk func(folder string, tree *object.Tree, depth int) error
	walk = func(folder string, tree *object.Tree, depth int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, entry := range tree.Entries {
			name := folder + entry.Name
			if count++; count > maxListed || depth > maxDepth {
				return fmt.Errorf("%q: there are more than %d files and folders, or more than %d folders in one another: %w", name, maxListed, maxDepth, objects.ErrLimit)
			}
			err := error(nil)
			switch entry.Mode {
			case filemode.Regular, filemode.Executable, filemode.Deprecated:
				err = visit(name, entry.Hash.String())
			case filemode.Dir:
				var below *object.Tree
				if below, err = object.GetTree(t.commit.repository.repo.Storer, entry.Hash); err != nil {
					return t.unreadable(name, err)
				}
				err = walk(name+"/", below, depth+1)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return walk("", t.folders["."], 0)
}

// ErrTooLarge says that a content is larger than what was asked for.
var ErrTooLarge = errors.New("the file is too large")

// Blob reads a content of at most limit bytes by its id.
func (t *Tree) Blob(id string, limit int64) ([]byte, error) {
	blob, err := object.GetBlob(t.commit.repository.repo.Storer, plumbing.NewHash(id))
	if err != nil {
		return nil, t.unreadable(id, err)
	}
	if blob.Size > limit {
		return nil, ErrTooLarge
	}
	return t.content(blob, id, limit)
}

// content reads at most limit bytes of a blob; name is what errors call it.
func (t *Tree) content(blob *object.Blob, name string, limit int64) ([]byte, error) {
	reader, err := blob.Reader()
	if err != nil {
		return nil, t.unreadable(name, err)
	}
	defer reader.Close()
	data, err := io.ReadAll(io.LimitReader(reader, limit))
	if err != nil {
		return nil, t.unreadable(name, err)
	}
	return data, nil
}
