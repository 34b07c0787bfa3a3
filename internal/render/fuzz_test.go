package render

import (
	"io"
	"log"
	"reflect"
	"testing"

	"sealift.dev/internal/objects"
)

// FuzzKustomization: what is rendered can be read back, and is the same when it is
// rendered again.
func FuzzKustomization(f *testing.F) {
	log.SetOutput(io.Discard) // kustomize's
	for _, seed := range []string{
		"resources: [a.yaml]\n", "resources: [a.yaml]\nnamespace: x\nnamePrefix: p-\ncommonLabels: {a: b}\nimages: [{name: r/a, newTag: \"2\"}]\n",
		"resources: [a.yaml]\npatches: [{target: {kind: Pod}, patch: '[{op: add, path: /spec/x, value: 1}]'}]\n", "resources: [b]\ncomponents: [b]\n",
		"configMapGenerator: [{name: x, files: [a.yaml], literals: [a=b], envs: [e]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n",
		"resources: [a.yaml]\nreplacements: [{source: {kind: Pod, fieldPath: metadata.name}, targets: [{select: {kind: Pod}, fieldPaths: [spec.hostname]}]}]\n",
		"resources: [https://example.org/x]\n", "resources: [a.yaml]\nreplicas: [{name: a, count: 3}]\nvars: [{name: V, objref: {kind: Pod, name: a, apiVersion: v1}}]\n",
		"secretGenerator: [{name: s, type: Opaque, literals: [a=b]}]\nsortOptions: {order: fifo}\nopenapi: {path: a.yaml}\n", "crds: [a.yaml]\nresources: [a.yaml]\n",
	} {
		f.Add([]byte(seed), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: r/a:1}]}\n"))
	}
	f.Fuzz(func(t *testing.T, kustomization, resource []byte) {
		if len(kustomization)+len(resource) > 16<<10 {
			return
		}
		files := []objects.File{
			{Path: "d/kustomization.yaml", Data: kustomization}, {Path: "d/a.yaml", Data: resource}, {Path: "d/e", Data: []byte("a=b\n")},
			{Path: "d/b/kustomization.yaml", Data: []byte("resources: [../a.yaml]\n")},
		}
		objs, err := Render(files, "d")
		if err != nil {
			return
		}
		data, err := objects.Encode(objs)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := objects.Decode([]objects.File{{Path: "again.yaml", Data: data}}, objects.DefaultLimits()); err != nil || !reflect.DeepEqual(objs, again) {
			t.Fatalf("read back: %v\n%s", err, data)
		}
		again, err := Render(files, "d")
		if err != nil {
			t.Fatalf("rendered again: %v", err)
		}
		if second, err := objects.Encode(again); err != nil || string(second) != string(data) {
			t.Fatalf("rendered again: %v\n%s\n%s", err, data, second)
		}
	})
}
