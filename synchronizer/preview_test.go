package synchronizer

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/synchronizer/engine"
)

// TestPrivateObjects: what was encrypted stays hidden under any name that a patch or a
// variable gives it, and plain objects are shown.
func TestPrivateObjects(t *testing.T) {
	named := func(name, value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{"k": value}}}
	}
	change := func(name, value string) engine.Change {
		return engine.Change{Ref: engine.ObjectRef{Kind: "ConfigMap", Name: name}, Action: engine.Create, After: named(name, value)}
	}
	sealed := named("sealed", "ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:str]")
	sealed.Object["sops"] = map[string]any{"mac": "x", "version": "3.9.0"}
	changes := []engine.Change{change("plain", "shown"), change("sealed", "s3cret"), change("renamed", "s3cret")}
	p := privateOf([]*unstructured.Unstructured{named("plain", "shown"), sealed}, changes)
	for name, want := range map[string]bool{"plain": false, "sealed": true, "renamed": true} {
		if p.Objects[engine.ObjectRef{Kind: "ConfigMap", Name: name}] != want {
			t.Errorf("%s: hidden is not %v", name, want)
		}
	}
	p = privateOf([]*unstructured.Unstructured{named("plain", "shown")}, []engine.Change{change("renamed", "shown")})
	if len(p.Objects)+len(p.Texts) > 0 {
		t.Errorf("a release without encrypted objects hides %v", p.Objects)
	}
}
