// Package render turns a folder of a Git commit into Kubernetes objects, without
// network, without other programs, and without anything outside the commit.
package render

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/objects"
)

// ErrRunaway is under the error about a rendering that did not end in time, or took
// too much memory. It cannot be interrupted, so the process should end soon.
var ErrRunaway = errors.New("rendering does not end")

// Tree is the files to render from. Paths are relative, with slashes.
type Tree interface {
	// ReadFile fails with fs.ErrNotExist where there is no file, also for a folder.
	ReadFile(path string) ([]byte, error)
	// Walk lists the files below a folder and its folders, "." for all. It fails
	// with fs.ErrNotExist where there is no folder.
	Walk(folder string) ([]string, error)
}

// Memory is a Tree of files that are read already.
func Memory(files []objects.File) Tree { return newMemory(files) }

// Render is Folder for files in memory.
func Render(files []objects.File, folder string) ([]*unstructured.Unstructured, error) {
	return Folder(newMemory(files), folder)
}

// Folder renders a folder: its kustomization where it has one, or else the YAML
// and JSON files below it, without names that begin with a dot. The objects come
// as objects.Decode gives them. A folder without objects is an error.
//
// Folder must not be called twice at once: kustomize keeps its schema in a variable
// of the whole process. For deprecated fields, kustomize warns on stderr. To the
// process's standard logger it writes names from the tree as they are: set its output.
func Folder(tree Tree, folder string) ([]*unstructured.Unstructured, error) {
	clean := path.Clean(folder)
	if folder == "" || !fs.ValidPath(clean) {
		return nil, fmt.Errorf("%q is no folder of the repository; hint: write its path from the root, without a slash at the start", folder)
	}
	r := &reader{tree: tree, limits: objects.DefaultLimits()}
	names, err := r.kustomizations(clean)
	if err != nil {
		return nil, err
	}
	var objs []*unstructured.Unstructured
	if len(names) > 0 {
		objs, err = build(r, clean)
	} else {
		objs, err = plain(r, clean)
	}
	if err != nil {
		return nil, err
	}
	if len(objs) == 0 {
		return nil, fmt.Errorf("the folder %q holds no objects", clean)
	}
	return objs, nil
}

// plain reads the manifests below a folder.
func plain(r *reader, folder string) ([]*unstructured.Unstructured, error) {
	paths, err := r.tree.Walk(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no folder %q", folder)
	}
	if err != nil {
		return nil, err
	}
	var files []objects.File
	for _, p := range paths {
		if !isManifest(p, folder) {
			continue
		}
		if isKustomization(path.Base(p)) {
			return nil, fmt.Errorf("%q is a kustomization, and its folder is not the one to render; hint: add a kustomization.yaml to %q that lists it", p, folder)
		}
		data, err := r.read(p)
		if err != nil {
			return nil, err
		}
		files = append(files, objects.File{Path: p, Data: data})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the folder %q holds no YAML or JSON files", folder)
	}
	return objects.Decode(files, r.limits)
}

// isManifest says that a file below folder is rendered as it is.
func isManifest(p, folder string) bool {
	below := p
	if folder != "." {
		below = strings.TrimPrefix(p, folder+"/")
	}
	if p == v1alpha1.ConfigFile || strings.HasPrefix(below, ".") || strings.Contains(below, "/.") {
		return false
	}
	switch path.Ext(p) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return isKustomization(path.Base(p))
}

// reader reads from a tree, within the limits of one rendering.
type reader struct {
	tree   Tree
	limits objects.Limits
	total  int64
}

// read counts every reading of a file: kustomize reads it as often, too. A merge
// conflict in it is an error.
func (r *reader) read(p string) ([]byte, error) {
	data, err := r.tree.ReadFile(p)
	if err != nil {
		return nil, err
	}
	if r.total += int64(len(data)); r.total > r.limits.Total {
		return nil, fmt.Errorf("%q: rendering reads more than %d bytes: %w", p, r.limits.Total, objects.ErrLimit)
	}
	return data, checkConflict(p, data)
}
