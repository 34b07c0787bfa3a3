package render

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// entry is a path in a kustomization.
type entry struct {
	field string
	path  string
	holds content
}

// content is what a path may lead to.
type content int

const (
	manifests content = iota // a YAML or JSON file, or the folder of a kustomization
	document                 // a YAML or JSON file
	anything                 // a file of any kind
	variables                // a file of lines KEY=VALUE
	folders                  // the folder of a kustomization
)

// entries lists every path that kustomize follows in k. What is missing here
// cannot be read by kustomize from the tree, but an URL could: a field that takes
// paths belongs here or among those that parse refuses.
func entries(k types.Kustomization) []entry {
	var all []entry
	add := func(field string, holds content, paths ...string) {
		for _, p := range paths {
			all = append(all, entry{field: field, path: p, holds: holds})
		}
	}
	add("resources", manifests, k.Resources...)
	add("bases", manifests, k.Bases...)
	add("components", folders, k.Components...)
	add("crds", document, k.Crds...)
	add("configurations", document, k.Configurations...)
	if p, ok := k.OpenAPI["path"]; ok {
		add("openapi", document, p)
	}
	for _, p := range k.PatchesStrategicMerge {
		if !isInline(string(p)) {
			add("patchesStrategicMerge", document, string(p))
		}
	}
	for _, p := range k.Patches {
		addIf(add, "patches", p.Path)
	}
	for _, p := range k.PatchesJson6902 {
		addIf(add, "patchesJson6902", p.Path)
	}
	for _, r := range k.Replacements {
		addIf(add, "replacements", r.Path)
	}
	for _, c := range k.ConfigMapGenerator {
		add("configMapGenerator", anything, fileSources(c.KvPairSources)...)
		add("configMapGenerator", variables, envSources(c.KvPairSources)...)
	}
	for _, s := range k.SecretGenerator {
		add("secretGenerator", anything, fileSources(s.KvPairSources)...)
		add("secretGenerator", variables, envSources(s.KvPairSources)...)
	}
	return all
}

// inlined is YAML or JSON that a kustomization holds as a string.
type inlined struct {
	field   string
	content string
}

// texts lists every patch that is written in k itself. The limits that k was read
// within saw no more of them than strings.
func texts(k types.Kustomization) []inlined {
	var all []inlined
	add := func(field string, i int, content string) {
		all = append(all, inlined{field: fmt.Sprintf(field, i), content: content})
	}
	for i, p := range k.Patches {
		add("patches[%d].patch", i, p.Patch)
	}
	for i, p := range k.PatchesJson6902 {
		add("patchesJson6902[%d].patch", i, p.Patch)
	}
	for i, p := range k.PatchesStrategicMerge {
		if isInline(string(p)) {
			add("patchesStrategicMerge[%d]", i, string(p))
		}
	}
	return all
}

func addIf(add func(string, content, ...string), field, p string) {
	if p != "" {
		add(field, document, p)
	}
}

// isInline tells a patch in its deprecated place from the path of one. Kustomize
// tries both; neither of these beginnings can be that of a URL.
func isInline(patch string) bool {
	return strings.HasPrefix(patch, "{") || strings.Contains(patch, "\n")
}

func fileSources(s types.KvPairSources) []string {
	var paths []string
	for _, file := range s.FileSources { // [KEY=]PATH
		_, p, ok := strings.Cut(file, "=")
		if !ok {
			p = file
		}
		paths = append(paths, p)
	}
	return paths
}

func envSources(s types.KvPairSources) []string {
	paths := s.EnvSources
	if s.EnvSource != "" {
		paths = append(slices.Clone(paths), s.EnvSource)
	}
	return paths
}

// remotePattern matches whatever kustomize takes for the address of a Git
// repository or a web page, and more: kustomize looks at the name before it looks
// whether there is a file.
var remotePattern = regexp.MustCompile(`(?i)://|^[^/]*[:@?]|^github\.com(/|$)`)

// local is the path in the tree of what is written in folder's kustomization.
func local(folder, written string) (string, error) {
	switch {
	case written == "":
		return "", fmt.Errorf("an entry is empty")
	case remotePattern.MatchString(written):
		return "", fmt.Errorf("%q is remote, and a release is made of its commit only; hint: copy it into the repository", written)
	case path.IsAbs(written):
		return "", fmt.Errorf("%q is an absolute path", written)
	}
	p := path.Join(folder, written)
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", fmt.Errorf("%q leads out of the repository", written)
	}
	return p, nil
}
