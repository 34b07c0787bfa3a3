package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxIrreversible bounds how many acts a plan names.
const maxIrreversible = 20

// irreversible names what applying another set does not undo, in the plan's order.
// It reads the live objects of the few kinds of which that depends on them.
func (e *Engine) irreversible(ctx context.Context, p *Plan) []string {
	var acts []string
	for _, s := range p.Steps {
		if !s.writes() && s.Action != Run {
			continue
		}
		var live *unstructured.Unstructured
		if s.Action != Create && s.Action != Run && remembers(s.Ref.GroupKind()) {
			live = e.before(ctx, p.user, s)
		}
		if act := s.irreversible(live); act != "" {
			acts = append(acts, act)
		}
	}
	if more := len(acts) - maxIrreversible + 1; more > 1 {
		acts = append(acts[:maxIrreversible-1], fmt.Sprintf("and %d more", more))
	}
	return acts
}

// remembers says that an object of the kind cannot go back to all that it was.
func remembers(gk schema.GroupKind) bool {
	switch gk.Kind {
	case "PersistentVolumeClaim", "Secret", "ConfigMap":
		return gk.Group == coreGroup
	}
	return isDefinition(gk)
}

// before is the live object as the user may read it; nil when that fails.
func (e *Engine) before(ctx context.Context, user string, s *Step) *unstructured.Unstructured {
	if gk := s.Ref.GroupKind(); gk.Group == coreGroup && gk.Kind != "PersistentVolumeClaim" && !s.seals() {
		return nil
	}
	client, err := e.objects(user)
	if err != nil {
		return nil
	}
	live, err := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Get(ctx, s.Ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return live
}

// seals says that the wanted object cannot be changed any more.
func (s *Step) seals() bool {
	var wanted struct {
		Immutable bool `json:"immutable"`
	}
	return json.Unmarshal(s.body, &wanted) == nil && wanted.Immutable
}

// irreversible says in words what writing s does for good; live is nil where it is
// not known, or does not matter.
func (s *Step) irreversible(live *unstructured.Unstructured) string {
	gk := s.Ref.GroupKind()
	switch {
	case s.Action == Recreate:
		return fmt.Sprintf("deletes %s and creates it again", s.Ref)
	case s.Action == Run && runsOut(gk):
		return fmt.Sprintf("runs the %s hook %s", s.Hook, s.Ref)
	case s.Action == Create && isJob(gk) && !s.suspended():
		return fmt.Sprintf("runs %s", s.Ref)
	case s.Action == Create || s.Action == Run || live == nil:
		return ""
	case isDefinition(gk):
		return s.drops(live)
	case gk.Kind == "PersistentVolumeClaim":
		return s.grows(live)
	}
	if sealed, _, _ := unstructured.NestedBool(live.Object, "immutable"); remembers(gk) && s.seals() && !sealed {
		return fmt.Sprintf("makes %s immutable", s.Ref)
	}
	return ""
}

func (s *Step) suspended() bool {
	var wanted struct {
		Spec struct {
			Suspend bool `json:"suspend"`
		} `json:"spec"`
	}
	return json.Unmarshal(s.body, &wanted) == nil && wanted.Spec.Suspend
}

// grows says that a claim is made larger: volumes do not shrink.
func (s *Step) grows(live *unstructured.Unstructured) string {
	wanted := &unstructured.Unstructured{}
	if wanted.UnmarshalJSON(s.body) != nil {
		return ""
	}
	size := func(o *unstructured.Unstructured) quantity.Quantity {
		text, _, _ := unstructured.NestedString(o.Object, "spec", "resources", "requests", "storage")
		q, _ := quantity.ParseQuantity(text)
		return q
	}
	before, after := size(live), size(wanted)
	if after.Cmp(before) <= 0 {
		return ""
	}
	return fmt.Sprintf("makes %s larger: %s instead of %s", s.Ref, after.String(), before.String())
}

// drops says which versions a definition serves no longer, and whether it stores
// objects in another.
func (s *Step) drops(live *unstructured.Unstructured) string {
	wanted := &unstructured.Unstructured{}
	if wanted.UnmarshalJSON(s.body) != nil {
		return ""
	}
	served, stored := versionsOf(live)
	kept, storing := versionsOf(wanted)
	var gone []string
	for _, v := range served {
		if !slices.Contains(kept, v) {
			gone = append(gone, v)
		}
	}
	switch {
	case len(gone) > 0:
		return fmt.Sprintf("%s serves %s no longer", s.Ref, strings.Join(gone, ", "))
	case stored != storing:
		return fmt.Sprintf("%s stores its objects as %s instead of %s", s.Ref, storing, stored)
	}
	return ""
}

// versionsOf reads what a definition serves, and as what it stores.
func versionsOf(o *unstructured.Unstructured) (served []string, stored string) {
	_, d := readDefinition(o)
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		if m, ok := v.(map[string]any); ok && m["storage"] == true {
			stored, _ = m["name"].(string)
		}
	}
	return d.versions, stored
}
