package tailor

import (
	"fmt"
	"slices"

	"sealift.dev/internal/objects"
)

// referred is the kind of what an object of the kind refers to by name and namespace,
// which kustomize corrects when that object was moved or patched.
func referred(kind string) string {
	switch kind {
	case "RoleBinding", "ClusterRoleBinding":
		return "ServiceAccount"
	case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		return "Service"
	}
	return ""
}

// mention is a reference in an object; no namespace means any.
type mention struct{ name, namespace string }

// accompany finds the companions of each object, and puts it together with those that
// belong together.
func (d *division) accompany() error {
	changed := map[mention][]int{} // what is referred to, by kind and name
	for j, is := range d.is {
		if (is.kind == "ServiceAccount" || is.kind == "Service") && (d.namespace != "" || d.operated(j)) {
			at := mention{is.kind, is.name}
			changed[at] = append(changed[at], j)
		}
	}
	for i, u := range d.objs {
		kind := referred(d.is[i].kind)
		if kind == "" {
			continue
		}
		known := map[int]bool{i: true}
		for m := range d.mentions(i, u.Object) {
			for _, j := range changed[mention{kind, m.name}] {
				if !known[j] && (m.namespace == "" || m.namespace == d.is[j].namespace || m.namespace == d.namespace) {
					known[j] = true
					d.companions[i] = append(d.companions[i], j)
					d.together[i] = d.together[i] || d.together[j]
				}
			}
		}
		slices.Sort(d.companions[i])
		if len(known) > maxTogether {
			return fmt.Errorf("%s refers to more than %d objects that are moved or patched: %w", name(u), maxTogether, objects.ErrLimit)
		}
	}
	return nil
}

// operated says that operations may be applied to an object: kustomize takes those for
// renamed, whatever they do.
func (d *division) operated(i int) bool {
	for _, k := range d.chosen[i] {
		if d.patches[k].operates {
			return true
		}
	}
	return false
}

// mentions are the references in an object, and those that its patches may make of them.
func (d *division) mentions(i int, object map[string]any) map[mention]bool {
	found := map[mention]bool{}
	collect(object, found)
	if len(d.chosen[i]) == 0 {
		return found
	}
	for m := range found {
		found[mention{name: m.name}] = true
	}
	for _, k := range d.chosen[i] {
		for text := range d.patches[k].texts {
			found[mention{name: text}] = true
		}
	}
	return found
}

// collect finds what has a name, anywhere in v.
func collect(v any, found map[mention]bool) {
	switch v := v.(type) {
	case []any:
		for _, child := range v {
			collect(child, found)
		}
	case map[string]any:
		if name, ok := v["name"].(string); ok {
			namespace, _ := v["namespace"].(string)
			found[mention{name, namespace}] = true
		}
		for _, child := range v {
			collect(child, found)
		}
	}
}
