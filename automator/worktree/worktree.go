// Package worktree writes images into the files of a folder. Symbolic links in it are never
// followed, neither to files nor to folders.
package worktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"sealift.dev/automator/edit"
)

// Limits of one folder.
const (
	maxEntries = 500_000  // files and folders
	maxFolders = 100      // in one path
	maxBytes   = 64 << 20 // of all files that are edited
)

// kept is what of a file's mode its new version has.
const kept = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Tree is a folder.
type Tree struct {
	root *os.Root
}

// Open opens the folder at dir.
func Open(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	return &Tree{root: root}, nil
}

// Close ends the use of the folder.
func (t *Tree) Close() error { return t.root.Close() }

// Plan is what is to be written, and what is left alone.
type Plan struct {
	Files   []File
	Changes []Change
	Notes   []Note
	Found   map[string]bool // policies that have a marker or a target somewhere
}

// File is a file with its old and its new content.
type File struct {
	Path          string // from the folder, with slashes
	Mode          fs.FileMode
	Before, After []byte
}

// Change is one value.
type Change struct {
	File   string
	Line   int // from 1
	Policy string
	Old    string
	New    string
}

// Note is a value, or with Line 0 a file, that is left alone.
type Note struct {
	File   string
	Line   int
	Policy string
	Reason string
}

// Plan finds what writing the images would change. It writes nothing. Targets are those of
// the images.
func (t *Tree) Plan(ctx context.Context, images []edit.Image, targets []edit.Target) (*Plan, error) {
	p := planner{tree: t, targets: targets, images: map[string]edit.Image{}, Plan: &Plan{Found: map[string]bool{}}}
	for _, img := range images {
		p.images[img.Policy] = img
	}
	err := fs.WalkDir(t.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		return p.visit(path, d)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the folder: %w", err)
	}
	return p.Plan, nil
}

type planner struct {
	*Plan
	tree    *Tree
	targets []edit.Target
	images  map[string]edit.Image
	entries int
	bytes   int
}

func (p *planner) visit(path string, d fs.DirEntry) error {
	if p.entries++; p.entries > maxEntries {
		return fmt.Errorf("it has more than %d files and folders", maxEntries)
	}
	switch {
	case d.IsDir() && strings.EqualFold(d.Name(), ".git"):
		return fs.SkipDir
	case d.IsDir() && strings.Count(path, "/") >= maxFolders:
		return fmt.Errorf("%q is deeper than %d folders", path, maxFolders)
	case !d.Type().IsRegular():
		return nil
	}
	var targets []edit.Target
	for _, target := range p.targets {
		if target.Matches(path) {
			targets = append(targets, target)
		}
	}
	if len(targets) == 0 && !edit.MayHaveMarkers(path) {
		return nil
	}
	file, err := p.tree.read(path)
	if errors.Is(err, errTooLarge) {
		p.Notes = append(p.Notes, Note{File: path, Reason: err.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	if len(targets) == 0 && !edit.HasMarker(file.Before) {
		return nil
	}
	return p.plan(file, targets)
}

// plan edits one file; what cannot be edited becomes a note.
func (p *planner) plan(file File, targets []edit.Target) error {
	if p.bytes += len(file.Before); p.bytes > maxBytes {
		return fmt.Errorf("its files with markers and targets have more than %d bytes together", maxBytes)
	}
	parsed, err := edit.Read(file.Path, file.Before, targets)
	if err != nil {
		p.Notes = append(p.Notes, Note{File: file.Path, Reason: err.Error()})
		return nil
	}
	values, reasons := parsed.Texts(func(policy string) (edit.Image, bool) {
		img, ok := p.images[policy]
		p.Found[policy] = p.Found[policy] || ok
		return img, ok
	})
	file.After, err = parsed.Set(values)
	if err != nil {
		p.Notes = append(p.Notes, Note{File: file.Path, Reason: err.Error()})
		return nil
	}
	for i, place := range parsed.Places() {
		if reason := reasons[i]; reason != "" {
			p.Notes = append(p.Notes, Note{File: file.Path, Line: place.Line, Policy: place.Policy, Reason: reason})
		}
		if value, ok := values[i]; ok {
			p.Changes = append(p.Changes, Change{File: file.Path, Line: place.Line, Policy: place.Policy, Old: place.Value, New: value})
		}
	}
	if !bytes.Equal(file.Before, file.After) {
		p.Files = append(p.Files, file)
	}
	return nil
}

var (
	errTooLarge  = fmt.Errorf("the file is larger than %d bytes", edit.MaxBytes)
	errIrregular = errors.New("it is not a regular file")
)

// Read reads a file that is no link. An error of fs.ErrNotExist: there is none.
func (t *Tree) Read(path string) ([]byte, error) {
	file, err := t.read(path)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return file.Before, nil
}

func (t *Tree) read(path string) (File, error) {
	named, err := t.root.Lstat(path)
	if err != nil {
		return File{}, err
	}
	if !named.Mode().IsRegular() {
		return File{}, errIrregular
	}
	f, err := t.root.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	opened, err := f.Stat()
	switch {
	case err != nil:
		return File{}, err
	case !os.SameFile(named, opened):
		return File{}, errIrregular // it was replaced in between
	case opened.Size() > edit.MaxBytes:
		return File{}, errTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, edit.MaxBytes+1))
	if err == nil && len(data) > edit.MaxBytes {
		err = errTooLarge
	}
	return File{Path: path, Mode: opened.Mode() & kept, Before: data}, err
}
