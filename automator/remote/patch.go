package remote

import (
	"bytes"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/diff"
	lines "github.com/go-git/go-git/v5/utils/diff"
)

// FileChange is a file's old and new content. Nil: there is none.
type FileChange struct {
	Path          string
	Before, After []byte
	Executable    bool
}

// Patch shows changes in Git's unified format, in their order.
func Patch(changes []FileChange) (string, error) {
	var p patch
	for _, c := range changes {
		mode := filemode.Regular
		if c.Executable {
			mode = filemode.Executable
		}
		p = append(p, newFilePatch(c, mode))
	}
	return p.encode()
}

func newFilePatch(c FileChange, mode filemode.FileMode) filePatch {
	change := filePatch{}
	if c.Before != nil {
		change.from = &file{c.Path, mode, plumbing.ComputeHash(plumbing.BlobObject, c.Before)}
	}
	if c.After != nil {
		change.to = &file{c.Path, mode, plumbing.ComputeHash(plumbing.BlobObject, c.After)}
	}
	for _, part := range lines.Do(string(c.Before), string(c.After)) {
		change.chunks = append(change.chunks, chunk{part})
	}
	return change
}

func (p patch) encode() (string, error) {
	var out bytes.Buffer
	if err := diff.NewUnifiedEncoder(&out, diff.DefaultContextLines).Encode(p); err != nil {
		return "", fmt.Errorf("comparing files: %w", err)
	}
	return out.String(), nil
}
