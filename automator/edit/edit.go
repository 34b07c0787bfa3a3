// Package edit writes image references into text files, byte for byte: YAML values with
// Flux's markers, values at a path in YAML, JSON and TOML, and what a regular expression
// finds in anything else. It is pure: it reads no files and no registry.
package edit

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"unicode/utf8"
)

// Limits of one file.
const (
	MaxBytes   = 1 << 20 // of a file that is edited
	maxDepth   = 200     // of nested values
	maxPlaces  = 50_000
	maxTargets = 1000
)

// File is one file's places for images. It keeps the bytes it was made of.
type File struct {
	path    string
	data    []byte
	targets []Target // of this path
	parsed  language // nil: only regular expressions look into it
	places  []Place
}

// language is a file, as what it is written in has it.
type language interface {
	// roots are the values of the documents in the file.
	roots() []*node
	// place is where a value is, with a problem if it cannot be written.
	place(n *node) Place
	// spell writes a value in place of p's.
	spell(p Place, value string) (string, error)
	// verify proves that after is the file with the wanted values, by their node, and
	// nothing else. Loose: values and comments may be others, but values stay of their type.
	verify(after []byte, want map[int]string, loose bool) error
}

// Read finds the places of a file: values with markers, if MayHaveMarkers, and those that
// targets lead to. Targets of other paths are ignored. The error says why nothing of the
// file can be edited, and does not name the file.
func Read(name string, data []byte, targets []Target) (*File, error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	f := &File{path: name, data: data}
	for _, t := range targets {
		if t.Matches(name) {
			f.targets = append(f.targets, t)
		}
	}
	if len(f.targets) > maxTargets {
		return nil, fmt.Errorf("more than %d targets are in it", maxTargets)
	}
	if err := f.find(); err != nil {
		return nil, err
	}
	if len(f.places) > maxPlaces {
		return nil, fmt.Errorf("it has more than %d values to write", maxPlaces)
	}
	f.settle()
	return f, nil
}

func checkText(data []byte) error {
	switch {
	case len(data) > MaxBytes:
		return fmt.Errorf("the file is larger than %d bytes", MaxBytes)
	case !utf8.Valid(data):
		return errors.New("the file is not UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return errors.New("the file holds a NUL byte")
	}
	return nil
}

// find fills in the places. What does not parse can be edited by regular expressions only.
func (f *File) find() error {
	marked := MayHaveMarkers(f.path) && HasMarker(f.data)
	keyed := slices.ContainsFunc(f.targets, func(t Target) bool { return t.expr == nil })
	free := slices.ContainsFunc(f.targets, func(t Target) bool { return t.expr != nil })
	if !marked && len(f.targets) == 0 {
		return nil
	}
	parsed, err := parse(f.path, f.data)
	if err != nil && (marked || keyed) && !free {
		return err
	}
	if err == nil {
		f.parsed = parsed
	}
	if yaml, ok := f.parsed.(*yamlFile); ok && marked {
		f.places = yaml.markers()
	} else if marked {
		f.places = append(f.places, Place{Problem: fmt.Sprintf("its markers do not count: %v", err), node: -1})
	}
	lines := newLines(f.data)
	work := maxMatchWork
	var roots []*node
	if keyed && err == nil {
		roots = parsed.roots()
	}
	for i := range f.targets {
		t := &f.targets[i]
		switch {
		case t.expr != nil:
			f.places = append(f.places, t.search(f.data, lines, &work)...)
		case err != nil:
			f.places = append(f.places, t.lost(t.keys[0].name, t.keys[0].part, err.Error()))
		default:
			f.places = append(f.places, t.follow(parsed, roots)...)
		}
	}
	return nil
}

// parse reads a file in the language that its name stands for.
func parse(name string, data []byte) (language, error) {
	switch ext := path.Ext(name); {
	case MayHaveMarkers(name):
		return readYAML(data)
	case ext == ".json":
		return readJSON(data)
	case ext == ".toml":
		return readTOML(data)
	}
	return nil, errors.New("keys lead into .yaml, .yml, .json and .toml files only; hint: use regexp")
}

// Data is the file's bytes, which are not to be changed.
func (f *File) Data() []byte { return f.data }

// Places are what images are written to, in the order of the text.
func (f *File) Places() []Place { return slices.Clone(f.places) }
