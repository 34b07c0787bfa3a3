package engine

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"sealift.dev/synchronizer/engine/crd"
)

// definitions are the CustomResourceDefinitions that a plan writes, by name; each
// is parsed when an object of its needs it.
type definitions map[string]func() *crd.Definition

// definitions of the plan: those that it changes, and those that objects wait for.
func (p *Plan) definitions() definitions {
	found := definitions{}
	for _, s := range p.Steps {
		if isDefinition(s.Ref.GroupKind()) {
			if s.writes() {
				found[s.Ref.Name] = sync.OnceValue(s.parse)
			}
		} else if name := s.resource.definition; name != "" && found[name] == nil {
			for _, d := range p.Steps {
				if isDefinition(d.Ref.GroupKind()) && d.Ref.Name == name {
					found[name] = sync.OnceValue(d.parse)
				}
			}
		}
	}
	return found
}

// parse is nil for what is no usable definition: the API server says why.
func (s *Step) parse() *crd.Definition {
	d, err := crd.Parse(s.body)
	if err != nil {
		return nil
	}
	return d
}

// check judges a custom resource by the definition that comes with it; known is
// false where that cannot be done.
func (d definitions) check(ctx context.Context, s *Step) (known bool, err error) {
	parsed := d[s.resource.gvr.GroupResource().String()]
	if parsed == nil || parsed() == nil {
		return false, nil
	}
	return parsed().Check(ctx, s.body)
}

// foresee judges a step whose kind and version the cluster does not serve yet.
func (d definitions) foresee(ctx context.Context, s *Step) error {
	known, err := d.check(ctx, s)
	s.unchecked = !known
	return err
}

// reconsider weighs the API server's verdict on an object whose definition changes
// with the plan. What only the new schema takes is applied late: the server needs a
// moment to know it. What only the old one takes may still be completed by others
// than the release, so that the apply decides.
func (d definitions) reconsider(ctx context.Context, s *Step, verdict error) error {
	if verdict != nil && !unfit(verdict) {
		return verdict
	}
	known, err := d.check(ctx, s)
	switch {
	case !known || err == nil && verdict == nil:
		return verdict
	case verdict == nil:
		s.unchecked = true
		return nil
	case err == nil:
		s.unchecked, s.late = true, true
	}
	return err
}

// unfit says that an object does not fit the schema that the server knows.
func unfit(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || misshapen(err)
}
