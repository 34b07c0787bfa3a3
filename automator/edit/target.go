package edit

import (
	"errors"
	"fmt"
	"strings"

	"sealift.dev/api/v1alpha1"
)

// Target is a checked v1alpha1.Target of one policy.
type Target struct {
	policy string
	glob   glob
	keys   []keyed     // of Key, Kustomize and Helm
	entry  string      // of Kustomize: its keys are written where they are there
	expr   *expression // of Regexp; nil: keys
	part   Part        // of what expr finds
}

// keyed is a value that a target leads to.
type keyed struct {
	name  string // as it was written
	steps []step
	part  Part
}

// NewTarget checks a target. The policy is NAMESPACE:NAME. The error does not name it.
func NewTarget(policy string, t v1alpha1.Target) (Target, error) {
	target := Target{policy: policy}
	var err error
	if target.glob, err = newGlob(t.Path); err != nil {
		return Target{}, err
	}
	part, err := parsePart(t.Write)
	if err != nil {
		return Target{}, err
	}
	if t.Write != "" && t.Key == "" && t.Regexp == "" {
		return Target{}, errors.New("write: it belongs to key and regexp")
	}
	set := 0
	for _, is := range []bool{t.Key != "", t.Regexp != "", t.Kustomize != "", t.Helm != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return Target{}, fmt.Errorf("%d of key, regexp, kustomize and helm are set, and one is wanted", set)
	case t.Regexp != "":
		target.part = part
		target.expr, err = newExpression(t.Regexp)
	case t.Key != "":
		err = target.add(t.Key, part)
	case t.Kustomize != "":
		err = target.addKustomize(t.Kustomize)
	default:
		err = target.addHelm(*t.Helm)
	}
	return target, err
}

func parsePart(write string) (Part, error) {
	switch part := Part(write); part {
	case "":
		return Ref, nil
	case Ref, Tag, Name, Digest:
		return part, nil
	}
	return "", fmt.Errorf("write: %q is none of ref, tag, name and digest", write)
}

// Matches says that the target is about the file at path, from the root, with slashes.
func (t Target) Matches(path string) bool { return t.glob.matches(path) }

func (t *Target) add(name string, part Part) error {
	steps, err := parseKey(name)
	if err != nil {
		return err
	}
	t.keys = append(t.keys, keyed{name: name, steps: steps, part: part})
	return nil
}

// addKustomize leads to the fields of an entry of images.
func (t *Target) addKustomize(entry string) error {
	if len(entry) > maxKeyBytes {
		return fmt.Errorf("kustomize: it has more than %d bytes", maxKeyBytes)
	}
	t.entry = entry
	for _, field := range []struct {
		key  string
		part Part
	}{{"newName", Name}, {"newTag", Tag}, {"digest", Digest}} {
		steps := []step{{key: "images"}, {key: "name", value: entry, by: byField}, {key: field.key}}
		t.keys = append(t.keys, keyed{name: fmt.Sprintf("images[name=%s].%s", entry, field.key), steps: steps, part: field.part})
	}
	return nil
}

func (t *Target) addHelm(h v1alpha1.HelmTarget) error {
	for _, field := range []struct {
		key  string
		part Part
	}{{h.Repository, Name}, {h.Tag, Tag}, {h.Digest, Digest}} {
		if field.key == "" {
			continue
		}
		if err := t.add(field.key, field.part); err != nil {
			return fmt.Errorf("helm: %w", err)
		}
	}
	if h.Tag == "" && h.Digest == "" {
		return errors.New("helm: neither tag nor digest is set")
	}
	return nil
}

// follow finds the places that keys lead to, in every document of a file.
func (t Target) follow(s language, roots []*node) []Place {
	var places []Place
	versions := 0
	for _, k := range t.keys {
		found := t.followKey(k, s, roots)
		if k.part != Name {
			versions += len(found)
		}
		if len(found) == 0 && t.entry == "" {
			found = []Place{t.lost(k.name, k.part, "it leads to no value of this file")}
		}
		places = append(places, found...)
	}
	if t.entry != "" && versions == 0 {
		places = append(places, t.lost(t.keys[1].name, Tag, "there is no such entry of images with a newTag or digest"))
	}
	return places
}

func (t Target) followKey(k keyed, s language, roots []*node) []Place {
	var found []Place
	for _, root := range roots {
		switch n, problem := lead(root, k.steps); {
		case problem != "":
			found = append(found, t.lost(k.name, k.part, problem))
		case n == nil:
		case n.kind == kindMapping || n.kind == kindSequence:
			p := t.lost(k.name, k.part, "it leads to a mapping or a list, not to a value")
			p.Line = n.line
			found = append(found, p)
		default:
			p := s.place(n)
			p.Policy, p.Part, p.Target = t.policy, k.part, k.name
			found = append(found, p)
		}
	}
	return found
}

// lost is the place of what leads nowhere.
func (t Target) lost(name string, part Part, problem string) Place {
	return Place{Policy: t.policy, Part: part, Target: name, Problem: strings.TrimSpace(name + ": " + problem), node: -1}
}
