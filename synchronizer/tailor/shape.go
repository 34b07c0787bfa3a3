package tailor

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// kind is what a field holds.
type kind int

const (
	unknown kind = iota // nobody knows
	text
	integer
	number
	boolean
	either // an integer, or text
)

// shapes know the fields of the kinds that Kubernetes has built in, and of those
// whose definition is in the release.
type shapes struct {
	defined map[schema.GroupVersionKind]map[string]any // OpenAPI v3
}

func newShapes(objs []*unstructured.Unstructured) shapes {
	s := shapes{defined: map[schema.GroupVersionKind]map[string]any{}}
	for _, u := range objs {
		if u.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		named, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "versions")
		list, _ := versions.([]any)
		for _, v := range list {
			version, _ := v.(map[string]any)
			name, _ := version["name"].(string)
			outer, _ := version["schema"].(map[string]any)
			if fields, ok := outer["openAPIV3Schema"].(map[string]any); ok {
				s.defined[schema.GroupVersionKind{Group: group, Version: name, Kind: named}] = fields
			}
		}
	}
	return s
}

func (s shapes) of(u *unstructured.Unstructured) shape {
	gvk := u.GroupVersionKind()
	return shape{built: scheme.Scheme.AllKnownTypes()[gvk], defined: s.defined[gvk]}
}

// shape is that of one kind's objects; the zero shape knows nothing.
type shape struct {
	built   reflect.Type
	defined map[string]any
}

// at is what the field at path holds.
func (s shape) at(path []string) kind {
	switch {
	case len(path) > 0 && (path[0] == "metadata" || path[0] == "apiVersion" || path[0] == "kind"):
		return text
	case s.built != nil:
		return builtIn(s.built, path)
	case s.defined != nil:
		return definedAs(s.defined, path)
	}
	return unknown
}

// builtIn follows path through a Go type as JSON does.
func builtIn(t reflect.Type, path []string) kind {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[intstr.IntOrString]() {
		return either
	}
	if t == reflect.TypeFor[runtime.RawExtension]() || t.Kind() == reflect.Interface {
		return unknown
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) || t == reflect.TypeFor[[]byte]() {
		return text
	}
	if len(path) == 0 {
		return ofGo(t.Kind())
	}
	switch t.Kind() {
	case reflect.Struct:
		if field, ok := fieldOf(t, path[0]); ok {
			return builtIn(field, path[1:])
		}
	case reflect.Slice, reflect.Map:
		return builtIn(t.Elem(), path[1:])
	}
	return unknown
}

func ofGo(k reflect.Kind) kind {
	switch k {
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return integer
	case reflect.Float32, reflect.Float64:
		return number
	}
	return unknown
}

// fieldOf finds a field by its name in JSON, also in embedded structs.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == name {
			return field.Type, true
		}
		if field.Anonymous && tag == "" && field.Type.Kind() == reflect.Struct {
			if found, ok := fieldOf(field.Type, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}

// definedAs follows path through an OpenAPI v3 schema.
func definedAs(fields map[string]any, path []string) kind {
	for _, step := range path {
		next, _ := fields["properties"].(map[string]any)
		child, ok := next[step].(map[string]any)
		if !ok {
			child, ok = fields["items"].(map[string]any)
		}
		if !ok {
			child, ok = fields["additionalProperties"].(map[string]any)
		}
		if !ok {
			return unknown
		}
		fields = child
	}
	if fields["x-kubernetes-int-or-string"] == true {
		return either
	}
	of, _ := fields["type"].(string)
	return map[string]kind{"string": text, "integer": integer, "number": number, "boolean": boolean}[of]
}

// isInteger knows decimal integers that come back as they were written.
var isInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// typed is the expanded text as what a field of this kind holds. Where nobody knows
// the field, one reference alone becomes an integer or a boolean if it looks like one.
func (k kind) typed(e expansion) (any, error) {
	switch looksInteger := isInteger.MatchString(e.text); {
	case k == integer, looksInteger && (k == either || k == number || k == unknown && e.whole):
		n, err := strconv.ParseInt(e.text, 10, 64)
		if err != nil {
			return nil, errors.New("the field holds an integer, and the value of the variable is none")
		}
		return n, nil
	case k == number:
		n, err := strconv.ParseFloat(e.text, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, errors.New("the field holds a number, and the value of the variable is none")
		}
		return n, nil
	case k == boolean && e.text != "true" && e.text != "false":
		return nil, errors.New("the field holds true or false, and the value of the variable is neither")
	case k == boolean, k == unknown && e.whole && (e.text == "true" || e.text == "false"):
		return e.text == "true", nil
	}
	return e.text, nil
}
