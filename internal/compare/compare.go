// Package compare tells how two sets of Kubernetes objects differ, by object and
// field. It changes nothing and knows no schema: lists are matched by the keys
// that Kubernetes' own kinds use, so that a reordered list is no difference.
package compare

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Masked stands for a value of a Secret.
const Masked = "(masked)"

// What happened to an object.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Object is an object that is not the same in both sets.
type Object struct {
	Change     string  `json:"change"`
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Namespace  string  `json:"namespace,omitempty"`
	Name       string  `json:"name"`
	Fields     []Field `json:"fields,omitempty"` // of a changed object, in the order of their paths
}

// Field is a value that is not the same. A nil Old was added, a nil New removed;
// a value that is null counts as not there.
type Field struct {
	Path string `json:"path"` // spec.containers[name=app].image
	Old  any    `json:"old,omitempty"`
	New  any    `json:"new,omitempty"`
}

// Objects compares two sets of objects, as they are before a cluster adds to them.
// An object is the same in both if group, kind, namespace and name are. Values of
// Secrets are masked. The result is sorted: removed, added, changed, by kind and name.
func Objects(before, after []*unstructured.Unstructured) []Object {
	was, is := byIdentity(before), byIdentity(after)
	found := []Object{}
	for id, u := range was {
		if is[id] == nil {
			found = append(found, objectOf(u, Removed))
		}
	}
	for id, u := range is {
		if was[id] == nil {
			found = append(found, objectOf(u, Added))
			continue
		}
		if fields := fieldsOf(was[id], u, false); len(fields) > 0 {
			changed := objectOf(u, Changed)
			changed.Fields = fields
			found = append(found, changed)
		}
	}
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.order(), b.order()) })
	return found
}

type identity struct{ group, kind, namespace, name string }

func byIdentity(objs []*unstructured.Unstructured) map[identity]*unstructured.Unstructured {
	known := map[identity]*unstructured.Unstructured{}
	for _, u := range objs {
		known[identity{u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName()}] = u
	}
	return known
}

func objectOf(u *unstructured.Unstructured, change string) Object {
	return Object{Change: change, APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

func (o Object) order() string {
	rank := map[string]string{Removed: "0", Added: "1", Changed: "2"}[o.Change]
	return strings.Join([]string{rank, o.Kind, o.Namespace, o.Name, o.APIVersion}, "\x00")
}

// String is KIND NAMESPACE/NAME.
func (o Object) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// fieldsOf masks the values of Secrets, and of what else is private.
func fieldsOf(before, after *unstructured.Unstructured, private bool) []Field {
	c := &comparison{secret: private || after.GetKind() == "Secret" && after.GroupVersionKind().Group == ""}
	c.maps("", before.Object, after.Object)
	slices.SortStableFunc(c.fields, func(a, b Field) int { return strings.Compare(a.Path, b.Path) })
	return c.fields
}

type comparison struct {
	fields []Field
	secret bool
}

// hides says that values at path are masked, and paths into them not shown: all of
// a Secret that is not known to be harmless. Tools keep copies in annotations.
func (c *comparison) hides(path string) bool {
	switch path {
	case "apiVersion", "kind", "type", "immutable":
		return false
	}
	return c.secret && (path == "metadata.annotations" || !strings.HasPrefix(path, "metadata"))
}

// hidden tells which keys are not the same, and nothing of their values.
func (c *comparison) hidden(path string, before, after any) {
	was, isMap := before.(map[string]any)
	is, alsoMap := after.(map[string]any)
	if !isMap || !alsoMap {
		if !reflect.DeepEqual(before, after) {
			c.note(path, masked(before), masked(after))
		}
		return
	}
	keys := slices.Concat(slices.Collect(maps.Keys(was)), slices.Collect(maps.Keys(is)))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		if !reflect.DeepEqual(was[key], is[key]) {
			c.note(child(path, key), masked(was[key]), masked(is[key]))
		}
	}
}

func masked(value any) any {
	if value == nil {
		return nil
	}
	return Masked
}

func (c *comparison) note(path string, before, after any) {
	c.fields = append(c.fields, Field{Path: path, Old: before, New: after})
}

func (c *comparison) values(path string, before, after any) {
	if c.hides(path) {
		c.hidden(path, before, after)
		return
	}
	switch was := before.(type) {
	case map[string]any:
		if is, ok := after.(map[string]any); ok {
			c.maps(path, was, is)
			return
		}
	case []any:
		if is, ok := after.([]any); ok {
			c.lists(path, was, is)
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		c.note(path, before, after)
	}
}

func (c *comparison) maps(path string, before, after map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(before)) {
		c.values(child(path, key), before[key], after[key])
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, both := before[key]; !both {
			c.values(child(path, key), nil, after[key])
		}
	}
}
