package tailor

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// dependsOn holds references to other objects: GROUP/namespaces/NAMESPACE/KIND/NAME,
// separated by commas. Kustomize knows nothing of it.
const dependsOn = "config.kubernetes.io/depends-on"

// identity is an object by the namespace that the release gives it; empty: none.
type identity struct{ group, kind, namespace, name string }

// follow has references to objects that were moved into namespace point to where they
// are now. Others are left alone.
func follow(moved []*unstructured.Unstructured, before []*unstructured.Unstructured, namespace string) {
	known := map[identity]bool{}
	for _, o := range before {
		gvk := o.GroupVersionKind()
		known[identity{gvk.Group, gvk.Kind, o.GetNamespace(), o.GetName()}] = true
	}
	for _, o := range moved {
		annotations := o.GetAnnotations()
		text, found := annotations[dependsOn]
		if !found {
			continue
		}
		references := strings.Split(text, ",")
		for i, reference := range references {
			parts := strings.Split(strings.TrimSpace(reference), "/")
			if len(parts) != 5 || parts[1] != "namespaces" {
				continue
			}
			to := identity{parts[0], parts[3], parts[2], parts[4]}
			unplaced := to
			unplaced.namespace = ""
			if known[to] || known[unplaced] {
				parts[2] = namespace
				references[i] = strings.Join(parts, "/")
			}
		}
		annotations[dependsOn] = strings.Join(references, ",")
		o.SetAnnotations(annotations)
	}
}
