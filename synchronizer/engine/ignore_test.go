package engine

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestPointers(t *testing.T) {
	for text, want := range map[string]string{
		"/spec/replicas":                  "spec|replicas",
		"/metadata/annotations/a.b~1c~0d": "metadata|annotations|a.b/c~d",
		"/data":                           "data",
		"spec":                            "",
		"/metadata":                       "",
		"/metadata/name":                  "",
		"/kind":                           "",
	} {
		p, err := parsePointer(text)
		if got := strings.Join(p, "|"); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is read as %q, %v", text, got, err)
		}
	}
}

func TestYielding(t *testing.T) {
	object := map[string]any{"spec": map[string]any{
		"replicas": int64(2),
		"ports":    []any{map[string]any{"port": int64(80), "nodePort": int64(1)}, map[string]any{"port": int64(81), "protocol": "UDP"}},
		"args":     []any{"a", "b"},
	}}
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	all := `{"f:spec":{"f:replicas":{},"f:args":{},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:nodePort":{}},"k:{\"port\":81,\"protocol\":\"UDP\"}":{".":{},"f:port":{},"f:protocol":{}}}}}`
	tests := []struct {
		name, pointer string
		entries       []metav1.ManagedFieldsEntry
		want          bool
	}{
		{"ours alone", "/spec/replicas", []metav1.ManagedFieldsEntry{managed(FieldManager, apply, all)}, false},
		{"somebody else's, too", "/spec/replicas", []metav1.ManagedFieldsEntry{managed(FieldManager, apply, all), managed("hpa", update, `{"f:spec":{"f:replicas":{}}}`)}, true},
		{"somebody else's", "/spec/replicas", []metav1.ManagedFieldsEntry{managed(FieldManager, apply, `{"f:spec":{"f:args":{}}}`), managed("hpa", update, `{"f:spec":{"f:replicas":{}}}`)}, true},
		{"an earlier deployer's", "/spec/replicas", []metav1.ManagedFieldsEntry{managed("kubectl-client-side-apply", update, all)}, false},
		{"in a list", "/spec/ports/0/nodePort", []metav1.ManagedFieldsEntry{managed("x", update, `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:nodePort":{}}}}}`)}, true},
		{"in another element", "/spec/ports/1/nodePort", []metav1.ManagedFieldsEntry{managed("x", update, `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:nodePort":{}}}}}`)}, false},
		{"in an atomic list", "/spec/args/1", []metav1.ManagedFieldsEntry{managed("x", update, `{"f:spec":{"f:args":{}}}`)}, true},
		{"out of the list", "/spec/ports/7/nodePort", []metav1.ManagedFieldsEntry{managed("x", update, all)}, false},
		{"below what is ignored", "/spec/ports", []metav1.ManagedFieldsEntry{managed("x", update, `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:nodePort":{}}}}}`)}, true},
	}
	for _, test := range tests {
		p, err := parsePointer(test.pointer)
		if err != nil {
			t.Fatal(err)
		}
		y := &yielding{object: object, pointers: []pointer{p}, held: make([]bool, 1), given: make([]bool, 1)}
		live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "1", ManagedFields: test.entries}}
		if y.look(live); y.given[0] != test.want {
			t.Errorf("%s: given up is %v", test.name, y.given[0])
		}
		live.ManagedFields = nil
		if y.look(live); y.given[0] != test.want {
			t.Errorf("%s: it is not remembered", test.name)
		}
		live.UID = "2"
		if y.look(live); y.given[0] {
			t.Errorf("%s: given up for a namesake", test.name)
		}
	}
	cutAll(object, []pointer{{"spec", "replicas"}, {"spec", "ports", "0"}, {"spec", "ports", "1", "protocol"}, {"spec", "args", "1"}, {"none", "x"}})
	ports, _, _ := unstructured.NestedSlice(object, "spec", "ports")
	if _, there, _ := unstructured.NestedInt64(object, "spec", "replicas"); there || len(ports) != 1 || len(ports[0].(map[string]any)) != 1 || object["spec"].(map[string]any)["args"] != nil {
		t.Errorf("what is left is %v", object)
	}
}
