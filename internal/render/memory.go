package render

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sealift.dev/internal/objects"
)

// memory is a Tree of files that are read already.
type memory map[string][]byte

func newMemory(files []objects.File) memory {
	m := memory{}
	for _, f := range files {
		m[f.Path] = f.Data
	}
	return m
}

// ReadFile implements Tree.
func (m memory) ReadFile(path string) ([]byte, error) {
	data, ok := m[path]
	if !ok {
		return nil, fmt.Errorf("%q: %w", path, fs.ErrNotExist)
	}
	return data, nil
}

// Walk implements Tree.
func (m memory) Walk(folder string) ([]string, error) {
	var below []string
	for _, path := range slices.Sorted(maps.Keys(m)) {
		if folder == "." || strings.HasPrefix(path, folder+"/") {
			below = append(below, path)
		}
	}
	if len(below) == 0 {
		return nil, fmt.Errorf("%q: %w", folder, fs.ErrNotExist)
	}
	return below, nil
}
