package synchronizer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/synchronizer/engine"
)

// Preview is what a pass would do.
type Preview struct {
	Release Release
	// Older says that the release is pinned, and older than one accepted before.
	Older bool
	// Objects is how many the release has for this cluster.
	Objects int
	// Changes are in the order of a pass; objects that stay as they are, are left out.
	Changes []engine.Change
	// Refused says why the API server refuses an object; at most 20.
	Refused map[engine.ObjectRef]error
	// Unchecked are objects that could not be tried.
	Unchecked []engine.ObjectRef
	// Irreversible says what going back would not undo.
	Irreversible []string
	// Confirm is what would not be deleted before a person confirms it; nil: nothing.
	Confirm *engine.Confirm
	// Notes say what keeps a pass from doing this now.
	Notes []string
	// Private is what must not be shown of it.
	Private Private
}

// Private is what of a preview is secret: it came from Secrets, or was encrypted.
type Private struct {
	// Objects have no value that may be shown.
	Objects map[engine.ObjectRef]bool
	// Texts are the values of these objects, which the API server may repeat.
	Texts []string
	// Values are those of variables, which stand anywhere.
	Values []string
}

// Preview shows what a pass for d would do, and writes nothing: the release is
// verified, pulled and tailored as in a pass, and planned and dry-run as its user. An
// object that the API server refuses is an error beside the preview.
func (s *Synchronizer) Preview(ctx context.Context, d Delivery, state State) (Preview, error) {
	if err := errors.Join(d.Unreachable, d.Untailored); err != nil {
		return Preview{}, at(Resolve, err)
	}
	l, err := s.read(ctx, d)
	if err != nil {
		return Preview{}, err
	}
	if _, err := admit(d, l, state); err != nil {
		return Preview{}, err
	}
	memo := &memo{}
	wanted, err := s.tailor(ctx, d, l, memo)
	if err != nil {
		return Preview{}, at(Tailor, err)
	}
	release, err := l.content.objects.Objects()
	if err != nil {
		return Preview{}, at(Decode, err)
	}
	if err := memo.vitals.learn(d); err != nil {
		return Preview{}, err
	}
	target := s.target(d, l, state)
	target.Objects, target.Judge = wanted, memo.vitals.judge
	plan, err := s.engine.Plan(ctx, target)
	if err != nil {
		return Preview{}, at(Plan, err)
	}
	refused := s.engine.Preflight(ctx, plan)
	if err := unlessRefused(refused); err != nil {
		return Preview{}, at(Preflight, err)
	}
	changes, err := s.engine.Preview(ctx, plan)
	if err := unlessRefused(err); err != nil {
		return Preview{}, at(Preflight, err)
	}
	p := Preview{
		Release:      l.release,
		Older:        l.older,
		Objects:      wanted.Len(),
		Changes:      changes,
		Refused:      refusals(refused, err),
		Unchecked:    plan.Unchecked,
		Irreversible: plan.Irreversible,
		Confirm:      plan.Confirm,
		Private:      privateOf(release, changes),
	}
	p.leaveOut()
	if d.Blocked != nil && l.release.Ref != state.Applied {
		p.Notes = append(p.Notes, d.Blocked.Error())
	}
	return p, at(Preflight, refused)
}

// read resolves, verifies, pulls and decodes what the source names, at once.
func (s *Synchronizer) read(ctx context.Context, d Delivery) (*loaded, error) {
	registry, err := s.registry(d.Source)
	if err != nil {
		return nil, at(Resolve, err)
	}
	ref, err := named(ctx, registry, d.Source)
	if err != nil {
		return nil, at(Resolve, err)
	}
	l, keep, err := s.acquire(ctx, errand{d: d, ref: ref, under: d.Policies, registry: registry})
	if keep != nil {
		keep()
	}
	return l, err
}

func named(ctx context.Context, registry *reach, source Source) (artifact.Ref, error) {
	if source.Digest != "" {
		return source.Repository.At(source.Digest), nil
	}
	tag := source.Tag
	if source.Semver != "" {
		tags, err := registry.Tags(ctx, source.Repository, maxTags)
		if err != nil {
			return artifact.Ref{}, err
		}
		if tag, err = highest(tags, source.Semver); err != nil {
			return artifact.Ref{}, fmt.Errorf("choosing a version of %s: %w", source.Repository, err)
		}
	}
	return registry.Resolve(ctx, source.Repository, tag)
}

// unlessRefused is err, if it is anything but objects that the API server refuses.
func unlessRefused(err error) error {
	var failures *engine.Failures
	if errors.As(err, &failures) && !failures.Transient() {
		return nil
	}
	return err
}

func refusals(errs ...error) map[engine.ObjectRef]error {
	found := map[engine.ObjectRef]error{}
	for _, err := range errs {
		var failures *engine.Failures
		if !errors.As(err, &failures) {
			continue
		}
		for _, f := range failures.List {
			if found[f.Ref] == nil {
				found[f.Ref] = f.Err
			}
		}
	}
	return found
}

// privateOf finds the Secrets among the changes, and the objects that were encrypted in
// the release. A patch or a variable may give these another name: in a release that has
// any, what is not one of its plain objects is taken for encrypted.
func privateOf(release []*unstructured.Unstructured, changes []engine.Change) Private {
	type identity struct{ group, kind, name string }
	encrypted, plain := map[identity]bool{}, map[identity]bool{}
	for _, u := range release {
		id := identity{u.GroupVersionKind().Group, u.GetKind(), u.GetName()}
		if objects.IsEncrypted(u.Object) {
			encrypted[id] = true
		} else {
			plain[id] = true
		}
	}
	p := Private{Objects: map[engine.ObjectRef]bool{}}
	for _, c := range changes {
		id := identity{c.Ref.Group, c.Ref.Kind, c.Ref.Name}
		known := len(encrypted) == 0 || plain[id] && !encrypted[id]
		if known && c.Ref.GroupKind() != (schema.GroupKind{Kind: "Secret"}) {
			continue
		}
		p.Objects[c.Ref] = true
		p.Texts = append(p.Texts, textsOf(c.After)...)
	}
	return p
}

// textsOf are the values of an object, also as they were before base64.
func textsOf(u *unstructured.Unstructured) []string {
	if u == nil {
		return nil
	}
	var found []string
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case string:
			found = append(found, value)
			if plain, err := base64.StdEncoding.DecodeString(value); err == nil && utf8.Valid(plain) {
				found = append(found, string(plain))
			}
		case []any:
			for _, item := range value {
				walk(item)
			}
		case map[string]any:
			for _, item := range value {
				walk(item)
			}
		}
	}
	for field, value := range u.Object {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "type"}, field) {
			walk(value)
		}
	}
	return found
}

// leaveOut drops what would be written as it is: a new process confirms each object
// once, and one that could not list a kind does not know what it has of it.
func (p *Preview) leaveOut() {
	p.Changes = slices.DeleteFunc(p.Changes, func(c engine.Change) bool {
		return (c.Action == engine.Update || c.Action == engine.Create) && p.Refused[c.Ref] == nil && c.Before != nil && c.After != nil &&
			reflect.DeepEqual(c.Before.Object, c.After.Object)
	})
	for i := range p.Changes {
		if p.Changes[i].Action == engine.Update {
			p.Changes[i].Reason = "" // the fields say it
		}
	}
}
