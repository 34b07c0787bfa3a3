package flux

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Limits of following kustomizations.
const (
	maxVisits = 20_000
	maxDepth  = 50
)

// namespaces knows which namespaces the objects of a file end up in.
type namespaces map[string]map[string]bool

// of lists the namespaces of an object, sorted. One that a kustomization sets goes before its own.
func (n namespaces) of(d document) []string {
	set := map[string]bool{}
	for namespace := range n[d.file] {
		if namespace == "" {
			namespace = d.Metadata.Namespace
		}
		set[namespace] = true
	}
	if len(set) == 0 {
		set[d.Metadata.Namespace] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// kustomization is what kustomize's file says about names.
type kustomization struct {
	Namespace  string   `json:"namespace"`
	Resources  []string `json:"resources"`
	Bases      []string `json:"bases"`
	Components []string `json:"components"`
}

// graph is which kustomization lists which files and folders.
type graph struct {
	files   map[string]bool
	folders map[string]kustomization
	found   namespaces
	visits  int
}

// namespacesOf follows kustomizations from those that no other one lists, and from those that
// Flux's own Kustomization objects name with a target namespace. The outermost namespace counts.
func namespacesOf(files []File, documents []document, note func(file, object, reason string)) namespaces {
	g := &graph{files: map[string]bool{}, folders: map[string]kustomization{}, found: namespaces{}}
	for _, f := range files {
		g.files[f.Path] = true
		if !isKustomization(f.Path) || len(f.Data) > maxFileBytes {
			continue
		}
		var k kustomization
		if err := yaml.Unmarshal(f.Data, &k); err != nil {
			note(f.Path, "", fmt.Sprintf("the kustomization cannot be read: %v", err))
			continue
		}
		g.folders[folderOf(f.Path)] = k
	}
	roots := g.roots()
	for _, d := range documents {
		if d.group() != kustomizeGroup {
			continue
		}
		var spec kustomizationSpec
		if yaml.Unmarshal(d.Spec, &spec) != nil || spec.TargetNamespace == "" {
			continue
		}
		folder := cleanPath(spec.Path)
		delete(roots, folder)
		g.below(folder, spec.TargetNamespace)
	}
	for _, folder := range slices.Sorted(maps.Keys(roots)) {
		g.visit(folder, "", 0)
	}
	if g.visits >= maxVisits {
		note("", "", fmt.Sprintf("kustomizations list more than %d files and folders: those behind are not followed", maxVisits))
	}
	return g.found
}

// roots are the folders whose kustomization no other one lists.
func (g *graph) roots() map[string]bool {
	roots := map[string]bool{}
	for folder := range g.folders {
		roots[folder] = true
	}
	for folder, k := range g.folders {
		for _, listed := range k.lists(folder) {
			if listed != folder {
				delete(roots, listed)
			}
		}
	}
	return roots
}

// lists are the files and folders of the tree that a kustomization in a folder names.
func (k kustomization) lists(folder string) []string {
	var listed []string
	for _, name := range slices.Concat(k.Resources, k.Bases, k.Components) {
		if name == "" || strings.Contains(name, "://") || path.IsAbs(name) {
			continue
		}
		at := path.Join(folder, name)
		if at == ".." || strings.HasPrefix(at, "../") {
			continue
		}
		listed = append(listed, cleanPath(at))
	}
	return listed
}

func (g *graph) visit(folder, namespace string, depth int) {
	k, ok := g.folders[folder]
	if !ok || depth > maxDepth {
		return
	}
	if namespace == "" {
		namespace = k.Namespace
	}
	for _, listed := range k.lists(folder) {
		if g.visits++; g.visits >= maxVisits {
			return
		}
		if g.files[listed] {
			g.set(listed, namespace)
		} else {
			g.visit(listed, namespace, depth+1)
		}
	}
}

// below is what Flux does with a folder: its kustomization, or everything in it.
func (g *graph) below(folder, namespace string) {
	if _, ok := g.folders[folder]; ok {
		g.visit(folder, namespace, 0)
		return
	}
	for file := range g.files {
		if below(file, folder) && !g.listed(folderOf(file), folder) {
			g.set(file, namespace)
		}
	}
	for inner := range g.folders {
		if below(inner, folder) && !g.listed(folderOf(inner), folder) {
			g.visit(inner, namespace, 0)
		}
	}
}

// listed says that a folder, or one between it and outer, has a kustomization of its own.
func (g *graph) listed(folder, outer string) bool {
	for ; folder != outer && folder != ""; folder = folderOf(folder) {
		if _, ok := g.folders[folder]; ok {
			return true
		}
	}
	return false
}

func (g *graph) set(file, namespace string) {
	if g.found[file] == nil {
		g.found[file] = map[string]bool{}
	}
	g.found[file][namespace] = true
}

// folderOf is the folder of a file; empty: the root.
func folderOf(file string) string { return cleanPath(path.Dir(file)) }

// cleanPath is a path from the root, without dots; empty: the root.
func cleanPath(p string) string { return strings.TrimPrefix(path.Clean("/"+p), "/") }

// below says that a file is in a folder, or below it.
func below(file, folder string) bool {
	return folder == "" || file == folder || strings.HasPrefix(file, folder+"/")
}
