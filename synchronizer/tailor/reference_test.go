package tailor

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestReferencesFollow: what waits for an object of the release waits for it where
// targetNamespace puts it.
func TestReferencesFollow(t *testing.T) {
	object := func(version, kind, namespace, name, waits string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": version, "kind": kind}}
		o.SetNamespace(namespace)
		o.SetName(name)
		if waits != "" {
			o.SetAnnotations(map[string]string{dependsOn: waits})
		}
		return o
	}
	last := object("v1", "ConfigMap", "shop", "last", "apps/namespaces/shop/Deployment/late, /namespaces/shop/ConfigMap/loose,apps/namespaces/other/Deployment/late,apps/Deployment/late")
	moved, err := new(Tailor).Apply(t.Context(), []*unstructured.Unstructured{
		object("apps/v1", "Deployment", "shop", "late", ""), object("v1", "ConfigMap", "", "loose", ""), last,
	}, Options{TargetNamespace: "tenant"})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range moved {
		if o.GetName() != "last" {
			continue
		}
		want := "apps/namespaces/tenant/Deployment/late,/namespaces/tenant/ConfigMap/loose,apps/namespaces/other/Deployment/late,apps/Deployment/late"
		if got := o.GetAnnotations()[dependsOn]; got != want || o.GetNamespace() != "tenant" {
			t.Errorf("in %s it waits for %s", o.GetNamespace(), got)
		}
	}
	if got := last.GetAnnotations()[dependsOn]; got[:20] != "apps/namespaces/shop" {
		t.Errorf("the release's object was changed: %s", got)
	}
}
