package objects

import (
	"strings"
	"testing"
)

// FuzzDecode: what is accepted is written and read back the same, and holds
// nothing that only a cluster may write.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		configMap, "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]\n---\n" + configMap,
		configMap + "a: &a [x]\nb: [*a, *a]\ndata: {<<: {a: 0x1F}, n: 1e3, t: \"\\e\"}\n", configMap + "data: {yes: \"yes\", on: 'off', o: 012, b: 0b1, s: 1_0, f: .inf, n: ~}\n",
		"\uFEFF" + configMap + "...\n", strings.ReplaceAll(configMap, "\n", "\r\n") + "--- # x\r\n", configMap + "data:\n  a: |-2\n      x\n  b: >+\n    y\n\n",
		"%YAML 1.1\n---\n" + configMap, configMap + "? [a]\n: b\n", configMap + "d: !!binary aGVsbG8=\nt: 2001-12-14t21:59:43.10-05:00\ns: !!set {a, b}\n",
		"{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\", \"uid\": \"x\", \"managedFields\": []}, \"status\": {}}",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, ownerReferences: [], deletionTimestamp: x, finalizers: [a/b]}\n", "x: &x {namespace: b}\n" + configMap + "<<: *x\n",
	} {
		f.Add([]byte(seed), "f.yaml")
		f.Add([]byte(seed), "f.json")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		objs, err := Decode([]File{{name, data}}, DefaultLimits())
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Errorf("%q is not escaped", err)
			}
			return
		}
		roundTrip(t, objs)
		for _, u := range objs {
			metadata, _ := u.Object["metadata"].(map[string]any)
			for _, key := range append(ofTheCluster(), "ownerReferences", "generateName") {
				if _, found := metadata[key]; found {
					t.Errorf("%s has %s", Name(u), key)
				}
			}
			if _, found := u.Object["status"]; found || u.GetName() == "" || u.GetKind() == "" || strings.ContainsAny(u.GetName()+u.GetNamespace(), "/%") {
				t.Errorf("accepted %v", u.Object)
			}
		}
	})
}
