package remote

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// Diff shows what files (by path; nil: deleted) would change in s, in Git's unified format.
func (s *Snapshot) Diff(ctx context.Context, files map[string][]byte) (string, error) {
	var p patch
	for _, path := range slices.Sorted(maps.Keys(files)) {
		change, err := s.change(ctx, path, files[path])
		if err != nil {
			return "", fmt.Errorf("comparing %s with %s: %w", path, s.tip, err)
		}
		p = append(p, change)
	}
	return p.encode()
}

func (s *Snapshot) change(ctx context.Context, path string, content []byte) (filePatch, error) {
	e, ok, err := s.find(path)
	if err != nil {
		return filePatch{}, err
	}
	change := FileChange{Path: path, After: content}
	mode := filemode.Regular
	if ok {
		blob := e.id.String()
		read, _, err := s.Read(ctx, []string{blob})
		if err != nil {
			return filePatch{}, err
		}
		if change.Before = read[blob]; change.Before == nil {
			change.Before = []byte{} // it is there, if empty
		}
		if parsed, err := filemode.New(e.mode); err == nil {
			mode = parsed
		}
	}
	return newFilePatch(change, mode), nil
}

// patch, filePatch, file and chunk are what the encoder reads.
type patch []filePatch

func (p patch) Message() string { return "" }

func (p patch) FilePatches() []diff.FilePatch {
	var all []diff.FilePatch
	for _, f := range p {
		all = append(all, f)
	}
	return all
}

type filePatch struct {
	from, to *file
	chunks   []diff.Chunk
}

func (f filePatch) IsBinary() bool       { return false }
func (f filePatch) Chunks() []diff.Chunk { return f.chunks }

func (f filePatch) Files() (from, to diff.File) {
	if f.from != nil {
		from = f.from
	}
	if f.to != nil {
		to = f.to
	}
	return from, to
}

type file struct {
	path string
	mode filemode.FileMode
	id   plumbing.Hash
}

func (f *file) Hash() plumbing.Hash     { return f.id }
func (f *file) Mode() filemode.FileMode { return f.mode }
func (f *file) Path() string            { return f.path }

type chunk struct{ part diffmatchpatch.Diff }

func (c chunk) Content() string { return c.part.Text }

func (c chunk) Type() diff.Operation {
	switch c.part.Type {
	case diffmatchpatch.DiffInsert:
		return diff.Add
	case diffmatchpatch.DiffDelete:
		return diff.Delete
	}
	return diff.Equal
}
