package engine

import (
	"fmt"
	"slices"
	"strings"
)

// arrangement is the order that dependencies ask for within a wave.
type arrangement struct {
	items map[ObjectRef]*item
	// depth is how many others have to be healthy before, in a row.
	depth map[ObjectRef]int
	path  []ObjectRef
}

// arrange orders items by what they wait for. It refuses circles, and objects
// that wait for what comes later than they do.
func arrange(items []item) (map[ObjectRef]int, error) {
	if !slices.ContainsFunc(items, func(it item) bool { return len(it.course.after) > 0 }) {
		return nil, nil
	}
	a := arrangement{items: map[ObjectRef]*item{}, depth: map[ObjectRef]int{}}
	for i := range items {
		a.items[items[i].ref] = &items[i]
	}
	for i := range items {
		if _, err := a.visit(&items[i]); err != nil {
			return nil, err
		}
	}
	return a.depth, nil
}

func (a *arrangement) visit(it *item) (int, error) {
	if depth, known := a.depth[it.ref]; known {
		return depth, nil
	}
	if err := a.circle(it.ref); err != nil {
		return 0, err
	}
	a.path = append(a.path, it.ref)
	defer func() { a.path = a.path[:len(a.path)-1] }()
	depth := 0
	for _, ref := range it.course.after {
		other := a.items[ref]
		if other == nil {
			continue // of the cluster
		}
		if other.course.comesAfter(it.course) {
			return 0, fmt.Errorf("%s waits for %s, which comes in a later wave: %w", it.ref, ref, ErrInvalidTarget)
		}
		if it.course.comesAfter(other.course) {
			continue
		}
		before, err := a.visit(other)
		if err != nil {
			return 0, err
		}
		depth = max(depth, before+1)
	}
	for _, ref := range it.stands() {
		other := a.items[ref]
		if other == nil || other.course.comesAfter(it.course) || it.course.comesAfter(other.course) {
			continue
		}
		before, err := a.visit(other)
		if err != nil {
			return 0, err
		}
		depth = max(depth, before)
	}
	a.depth[it.ref] = depth
	return depth, nil
}

// circle refuses to come to ref twice on one path.
func (a *arrangement) circle(ref ObjectRef) error {
	for i, seen := range a.path {
		if seen != ref {
			continue
		}
		var names []string
		for _, one := range append(a.path[i:], ref) {
			names = append(names, one.String())
		}
		const most = 8
		if len(names) > most {
			names = append(names[:most-1], "...")
		}
		return fmt.Errorf("objects wait for each other in a circle: %s: %w", strings.Join(names, ", "), ErrInvalidTarget)
	}
	return nil
}

// stands are the objects without which it cannot be created: its namespace, and
// what defines its kind.
func (it *item) stands() []ObjectRef {
	var refs []ObjectRef
	if it.ref.Namespace != "" {
		refs = append(refs, ObjectRef{Kind: "Namespace", Name: it.ref.Namespace})
	}
	if it.resource.definition != "" {
		refs = append(refs, definitionRef(it.resource.definition))
	}
	return refs
}

// stranded refuses what would be written before the Namespace or the definition that
// the same plan creates for it.
func (p *Plan) stranded() error {
	created := map[ObjectRef]*Step{}
	for _, s := range p.Steps {
		if s.Action == Create && s.stage == foundations {
			created[s.Ref] = s
		}
	}
	if len(created) == 0 {
		return nil
	}
	for _, s := range p.Steps {
		for _, ref := range s.item.stands() {
			if base := created[ref]; base != nil && s.writes() && base.item.course.comesAfter(s.item.course) {
				return fmt.Errorf("%s cannot be created before %s, which comes in a later wave: %w; hint: give that an earlier wave, or none to this", s.title(), ref, ErrInvalidTarget)
			}
		}
	}
	return nil
}

func definitionRef(name string) ObjectRef {
	return ObjectRef{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: name}
}

// comesAfter says that c begins in a later phase or wave than o.
func (c course) comesAfter(o course) bool {
	mine, theirs := c.begins(), o.begins()
	return mine > theirs || mine == theirs && c.wave > o.wave
}

// begins is the order of the phase that comes first.
func (c course) begins() int {
	if c.hook() {
		return c.phases[0].order()
	}
	return 0
}
