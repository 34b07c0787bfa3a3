package tailor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"sealift.dev/internal/objects"
)

// maxCopies bounds the copy operations of all patches: each may double an object.
const maxCopies = 4

// patch is one that was read within the limits of objects, before kustomize does.
type patch struct {
	types.Patch
	// selects is the target's; nil without one: then the patch is for those it names.
	selects *types.SelectorRegex
	named   map[objectID]bool
	// operates says that it is a list of operations, renames that one of them may
	// change what the object is called.
	operates, renames bool
	texts             map[string]bool // its values that are text
	values            int             // that are no lists and no objects
}

// objectID is how kustomize tells objects apart: no namespace is "default".
type objectID struct{ group, version, kind, namespace, name string }

func idOf(u *unstructured.Unstructured) objectID {
	gvk := u.GroupVersionKind()
	return objectID{gvk.Group, gvk.Version, gvk.Kind, effective(u.GetNamespace()), u.GetName()}
}

func effective(namespace string) string {
	if namespace == "" {
		return resid.DefaultNamespace
	}
	return namespace
}

func readPatches(given []Patch) ([]patch, error) {
	var read []patch
	copies := 0
	for i, g := range given {
		p := patch{Patch: types.Patch{Patch: g.Patch, Target: selector(g.Target)}, named: map[objectID]bool{}, texts: map[string]bool{}}
		copied, err := p.read(fmt.Sprintf("patches[%d]", i))
		if err != nil {
			return nil, err
		}
		if copies += copied; copies > maxCopies {
			return nil, fmt.Errorf("the patches copy more than %d times: %w", maxCopies, objects.ErrLimit)
		}
		if p.Target != nil {
			if err := p.choose(); err != nil {
				return nil, fmt.Errorf("patches[%d].target: %w", i, err)
			}
		}
		read = append(read, p)
	}
	return read, nil
}

// selector has no part of resid that asks kustomize what it knows of kinds: another
// Delivery may be changing that.
func selector(t *Target) *types.Selector {
	if t == nil {
		return nil
	}
	return &types.Selector{
		ResId:              resid.ResId{Gvk: resid.Gvk{Group: t.Group, Version: t.Version, Kind: t.Kind}, Name: t.Name, Namespace: t.Namespace},
		LabelSelector:      t.LabelSelector,
		AnnotationSelector: t.AnnotationSelector,
	}
}

func (p *patch) choose() error {
	for field, selector := range map[string]string{"labelSelector": p.Target.LabelSelector, "annotationSelector": p.Target.AnnotationSelector} {
		if _, err := labels.Parse(selector); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	var err error
	p.selects, err = types.NewSelectorRegex(p.Target)
	return err
}

// read looks at what the patch holds, and counts the operations that copy.
func (p *patch) read(field string) (copies int, err error) {
	documents, err := objects.Documents(objects.File{Path: field, Data: []byte(p.Patch.Patch)}, objects.DefaultLimits())
	if err != nil {
		return 0, err
	}
	for _, d := range documents {
		var whole any
		if err := json.Unmarshal(d.JSON, &whole); err != nil {
			return 0, fmt.Errorf("%s: %w", field, err)
		}
		p.values += p.look(whole)
		p.name(whole)
		var operations []operation
		if bytes.HasPrefix(d.JSON, []byte("[")) && json.Unmarshal(d.JSON, &operations) != nil {
			return 0, fmt.Errorf("%s is neither an object nor a list of operations", field)
		}
		for _, o := range operations {
			if o.Op == "copy" {
				copies++
			}
			p.renames = p.renames || o.renames()
		}
	}
	p.operates = len(documents) == 1 && bytes.HasPrefix(documents[0].JSON, []byte("["))
	if p.operates && p.Target == nil {
		return 0, fmt.Errorf("%s is a list of operations, and has no target", field)
	}
	return copies, nil
}

// name notes what a merge patch is for. Kustomize takes lists of them apart.
func (p *patch) name(whole any) {
	object, ok := whole.(map[string]any)
	if !ok {
		return
	}
	u := &unstructured.Unstructured{Object: object}
	items, ok := object["items"].([]any)
	if !ok || !strings.HasSuffix(u.GetKind(), "List") {
		p.named[idOf(u)] = true
		return
	}
	for _, item := range items {
		p.name(item)
	}
}

// look notes the texts in v, and counts the values that are no lists and no objects.
func (p *patch) look(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			n += p.look(child)
		}
	case []any:
		for _, child := range v {
			n += p.look(child)
		}
	case string:
		p.texts[v] = true
		n = 1
	default:
		n = 1
	}
	return n
}

// may says that kustomize might choose u; labels and annotations are left to it.
func (p *patch) may(u *unstructured.Unstructured, is objectID) bool {
	if p.selects == nil {
		return p.named[is]
	}
	return p.selects.MatchGvk(resid.Gvk{Group: is.group, Version: is.version, Kind: is.kind}) && p.selects.MatchName(is.name)
}

type operation struct{ Op, Path, From string }

// renames says that the operation may change what an object is called: its kind, name
// or namespace, or all of what holds them.
func (o operation) renames() bool {
	switch strings.TrimSuffix(o.Path, "/") {
	case "", "/metadata", "/metadata/name", "/metadata/namespace", "/kind", "/apiVersion":
		return o.Op != "test"
	}
	switch strings.TrimSuffix(o.From, "/") {
	case "/metadata", "/metadata/name", "/metadata/namespace", "/kind", "/apiVersion":
		return o.Op == "move"
	}
	return false
}
