package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// pointer is a JSON pointer's steps, unescaped.
type pointer []string

// yielding is what is known of the ignored fields of one wanted object: which of them
// somebody else sets, so that they are left out of what is applied. A field that we
// alone hold stays in, or leaving it out would delete it.
type yielding struct {
	owner    Owner
	manifest *manifest
	object   map[string]any // of the manifest
	pointers []pointer
	// uid is the object that was looked at; known is false when none was.
	uid   types.UID
	known bool
	// held pointers were ours when they were looked at; given ones are not any more.
	held, given []bool
}

// pointersFor are the fields that a target's rules name for an object.
func pointersFor(t Target, ref ObjectRef) ([]pointer, error) {
	var out []pointer
	for _, rule := range t.Ignore {
		if rule.Group != ref.Group || rule.Kind != ref.Kind || rule.Name != "" && rule.Name != ref.Name {
			continue
		}
		for _, text := range rule.Pointers {
			p, err := parsePointer(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ref, err)
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// parsePointer reads RFC 6901. What identifies an object is not to be ignored.
func parsePointer(text string) (pointer, error) {
	if !strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("%q is no JSON pointer: %w", text, ErrInvalidTarget)
	}
	p := pointer(strings.Split(text[1:], "/"))
	for i := range p {
		p[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p[i])
	}
	for _, fixed := range []string{"apiVersion", "kind", "metadata/name", "metadata/namespace"} {
		if path := strings.Join(p, "/"); path == fixed || strings.HasPrefix(fixed, path+"/") || strings.HasPrefix(path, fixed+"/") {
			return nil, fmt.Errorf("the field %q identifies an object and cannot be ignored: %w", text, ErrInvalidTarget)
		}
	}
	return p, nil
}

// yield has the tracker look after the ignored fields of the wanted objects, and
// reads the metadata of those whose fields nobody looked at so far.
func (e *Engine) yield(ctx context.Context, t Target, items []item) error {
	if len(t.Ignore) == 0 {
		e.tracker.yieldNothing(t.Owner)
		return nil
	}
	var unknown []*Step
	keep := map[ObjectRef]bool{}
	for _, it := range items {
		pointers, err := pointersFor(t, it.ref)
		if err != nil {
			return err
		}
		if len(pointers) == 0 || it.resource.definition != "" {
			continue
		}
		keep[it.ref] = true
		known, err := e.tracker.yield(t.Owner, it.ref, it.manifest, pointers)
		if err != nil {
			return err
		}
		if !known {
			unknown = append(unknown, &Step{Ref: it.ref, resource: it.resource})
		}
	}
	e.tracker.yieldOnly(t.Owner, keep)
	errs := each(ctx, unknown, func(s *Step) error {
		live, err := e.own.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Get(ctx, s.Ref.Name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		e.tracker.saw(s.Ref, live)
		return nil
	})
	return failed("reading", unknown, errs, "")
}

// yield says whether the fields of ref were looked at already.
func (t *tracker) yield(owner Owner, ref ObjectRef, m *manifest, pointers []pointer) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	y := t.yielding[ref]
	same := func(a, b pointer) bool { return slices.Equal(a, b) }
	if y == nil || y.owner != owner || !slices.EqualFunc(y.pointers, pointers, same) {
		y = &yielding{owner: owner, pointers: pointers, held: make([]bool, len(pointers)), given: make([]bool, len(pointers))}
		t.yielding[ref] = y
	}
	if y.manifest != m {
		o, err := m.object()
		if err != nil {
			return false, err
		}
		y.manifest, y.object = m, o.Object
	}
	return y.known, nil
}

func (t *tracker) yieldNothing(owner Owner) { t.yieldOnly(owner, nil) }

// yieldOnly forgets the ignored fields of an owner's other objects.
func (t *tracker) yieldOnly(owner Owner, keep map[ObjectRef]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.yielding, func(ref ObjectRef, y *yielding) bool { return y.owner == owner && !keep[ref] })
}

// saw takes in an object that was read; nil: it is not there.
func (t *tracker) saw(ref ObjectRef, m *metav1.PartialObjectMetadata) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if y := t.yielding[ref]; y != nil {
		y.look(m)
	}
}

// given are the fields of ref that its owner leaves to others.
func (t *tracker) given(owner Owner, ref ObjectRef) []pointer {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []pointer
	if y := t.yielding[ref]; y != nil && y.owner == owner {
		for i, p := range y.pointers {
			if y.given[i] {
				out = append(out, p)
			}
		}
	}
	return out
}

// look finds out who holds the ignored fields of an object. What was given up once
// stays so as long as the object lives.
func (y *yielding) look(m *metav1.PartialObjectMetadata) {
	y.known = true
	if m == nil || m.UID != y.uid {
		y.uid = ""
		clear(y.held)
		clear(y.given)
	}
	if m == nil {
		return
	}
	y.uid = m.UID
	own, others := holders(m)
	for i, p := range y.pointers {
		held := own != nil && y.holds(own, p)
		foreign := slices.ContainsFunc(others, func(set *fieldpath.Set) bool { return y.holds(set, p) })
		y.given[i] = y.given[i] || foreign || own != nil && y.held[i] && !held
		y.held[i] = held
	}
}

// holders are the fields that our entry has, and those of others; managers whose
// fields become ours on adoption are no others.
func holders(m *metav1.PartialObjectMetadata) (own *fieldpath.Set, others []*fieldpath.Set) {
	for _, f := range m.ManagedFields {
		if f.FieldsV1 == nil || f.Subresource == "status" {
			continue
		}
		set := fieldSet(f.FieldsV1.GetRawBytes())
		switch {
		case f.Manager == FieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == "":
			own = set
		case f.Manager == FieldManager, deployer(f):
		default:
			others = append(others, set)
		}
	}
	return own, others
}

// holds says that set has the field, something in it, or the list around it that
// has an owner as a whole.
func (y *yielding) holds(set *fieldpath.Set, p pointer) bool {
	var wanted any = y.object
	at := set
	for i, step := range p {
		next := y.element(at, wanted, step)
		if next == nil {
			return false
		}
		if at.Members.Has(*next) && (i == len(p)-1 || isLeaf(at, *next)) {
			return true
		}
		child, found := at.Children.Get(*next)
		if !found {
			return false
		}
		at, wanted = child, descend(wanted, step)
	}
	return !at.Empty()
}

// isLeaf says that a member has nothing below it: an atomic value.
func isLeaf(at *fieldpath.Set, element fieldpath.PathElement) bool {
	_, deeper := at.Children.Get(element)
	return !deeper
}

// element is a pointer's step in the notation of field sets. An index is that of the
// wanted list; the set knows the list's elements by their keys or values.
func (y *yielding) element(at *fieldpath.Set, wanted any, step string) *fieldpath.PathElement {
	list, isList := wanted.([]any)
	if !isList {
		return &fieldpath.PathElement{FieldName: &step}
	}
	index, err := strconv.Atoi(step)
	if err != nil || index < 0 || index >= len(list) {
		return nil
	}
	var found *fieldpath.PathElement
	try := func(element fieldpath.PathElement) {
		if found == nil && names(element, list[index], index) {
			found = &element
		}
	}
	at.Members.Iterate(try)
	at.Children.Iterate(try)
	return found
}

// names says that a path's element stands for an element of a list.
func names(element fieldpath.PathElement, content any, index int) bool {
	switch {
	case element.Index != nil:
		return *element.Index == index
	case element.Value != nil:
		return value.Equals(*element.Value, value.NewValueInterface(content))
	case element.Key == nil:
		return false
	}
	fields, _ := content.(map[string]any)
	for _, key := range *element.Key {
		// A key with a default (a port's protocol) may be missing in what is wanted.
		if got, there := fields[key.Name]; there && !value.Equals(key.Value, value.NewValueInterface(got)) {
			return false
		}
	}
	return fields != nil
}

func descend(in any, step string) any {
	switch in := in.(type) {
	case map[string]any:
		return in[step]
	case []any:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(in) {
			return in[i]
		}
	}
	return nil
}

// cutAll takes fields out of an object.
func cutAll(object map[string]any, fields []pointer) {
	for _, p := range slices.SortedFunc(slices.Values(fields), deeperFirst) {
		cut(object, p)
	}
}

// deeperFirst orders pointers so that none of them moves what a later one points at.
func deeperFirst(a, b pointer) int {
	for i := range min(len(a), len(b)) {
		m, errA := strconv.Atoi(a[i])
		n, errB := strconv.Atoi(b[i])
		if errA == nil && errB == nil && m != n {
			return n - m
		}
		if c := strings.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(b) - len(a)
}

// cut takes the field out of in and returns what is left; false: nothing is. A list
// of plain values has one owner, and goes as a whole.
func cut(in any, p pointer) (any, bool) {
	if len(p) == 0 {
		return nil, false
	}
	switch in := in.(type) {
	case map[string]any:
		child, there := in[p[0]]
		if !there {
			return in, true
		}
		left, some := cut(child, p[1:])
		if in[p[0]] = left; !some {
			delete(in, p[0])
		}
		return in, true
	case []any:
		i, err := strconv.Atoi(p[0])
		if err != nil || i < 0 || i >= len(in) {
			return in, true
		}
		if _, isMap := in[i].(map[string]any); !isMap {
			return nil, false
		}
		left, some := cut(in[i], p[1:])
		if in[i] = left; !some {
			return slices.Delete(in, i, i+1), true
		}
	}
	return in, true
}

// ours is what of the lost fields is not given up.
func (y *yielding) ours(lost *fieldpath.Set) *fieldpath.Set {
	if y == nil {
		return lost
	}
	left := fieldpath.NewSet()
	lost.Iterate(func(path fieldpath.Path) {
		single := fieldpath.NewSet(path)
		for i, p := range y.pointers {
			if y.given[i] && y.holds(single, p) {
				return
			}
		}
		left.Insert(path)
	})
	return left
}
