package tailor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// deployments are n objects of which each has two containers.
func deployments(n int) []*unstructured.Unstructured {
	var objs []*unstructured.Unstructured
	for i := range n {
		labels := map[string]any{"app": fmt.Sprint("web", i)}
		containers := []any{map[string]any{"name": "web", "image": "web:1", "env": []any{map[string]any{"name": "A", "value": "b"}}}, map[string]any{"name": "side", "image": "side:1"}}
		objs = append(objs, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": fmt.Sprint("web", i), "namespace": "shop", "labels": labels},
			"spec": map[string]any{"replicas": int64(1), "selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": containers}}}}})
	}
	return objs
}

// large is a merge patch of so many values.
func large(values int) string {
	var patch strings.Builder
	patch.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec:\n")
	for i := range values {
		fmt.Fprintf(&patch, "  k%d: v\n", i)
	}
	return patch.String()
}

func TestPatchesAreBounded(t *testing.T) {
	all := Target{Kind: "Deployment"}
	copies := `[` + strings.Repeat(`{"op":"copy","from":"/spec","path":"/spec/a"},`, maxCopies) + `{"op":"copy","from":"/spec","path":"/spec/a"}]`
	for name, test := range map[string]struct {
		objects int
		patch   string
		target  Target
		words   string
	}{
		"values":         {400, large(600), all, "patches[0]"},
		"for one object": {1, large(maxOneWeight), all, "patches[0]"},
		"for one":        {400, large(600), Target{Kind: "Deployment", Name: "web7"}, ""},
		"copies":         {1, copies, all, "copy more than"},
		"renamed":        {maxTogether + 1, `[{"op":"replace","path":"/metadata/name","value":"x"}]`, all, "rename nothing"},
		"bytes":          {300, "- {op: add, path: /metadata/annotations, value: {a: " + strings.Repeat("x", 60<<10) + "}}", all, "bytes of the objects"},
	} {
		_, err := new(Tailor).Apply(t.Context(), deployments(test.objects), Options{Patches: []Patch{{Patch: test.patch, Target: &test.target}}})
		if test.words == "" && err == nil {
			continue
		}
		if test.words == "" || !errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %.300v", name, err)
		}
	}
}

// ends is a context that is over when it was asked so often.
type ends struct {
	context.Context
	after int
}

func (e *ends) Err() error {
	if e.after--; e.after < 0 {
		return context.Canceled
	}
	return nil
}

// TestKustomizeIsInterrupted: a Delivery that is told to end does so after a batch.
func TestKustomizeIsInterrupted(t *testing.T) {
	ctx := &ends{t.Context(), 2}
	_, err := new(Tailor).Apply(ctx, deployments(4*maxBatch), Options{TargetNamespace: "x"})
	if !errors.Is(err, context.Canceled) || ctx.after != -1 {
		t.Errorf("got %v, with %d batches left", err, ctx.after)
	}
}

// TestOthersAreLeftAlone: what no patch is for stays the release's own object.
func TestOthersAreLeftAlone(t *testing.T) {
	objs := deployments(3)
	made, err := new(Tailor).Apply(t.Context(), objs, Options{Patches: []Patch{{Patch: "- {op: replace, path: /spec/replicas, value: 3}", Target: &Target{Name: "web1"}}}})
	if err != nil || made[0] != objs[0] || made[1] == objs[1] || made[2] != objs[2] {
		t.Errorf("made %v, %v", made, err)
	}
	for wrong, words := range map[Patch]string{
		{Patch: "{}", Target: &Target{LabelSelector: "a in"}}:                               "patches[0].target: labelSelector",
		{Patch: "{}", Target: &Target{Kind: "(", Name: "nobody"}}:                           "patches[0].target: error parsing regexp",
		{Patch: "[{op: remove, path: /a}]", Target: &Target{Name: "nobody"}}:                "unable to parse",
		{Patch: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nobody}\n", Target: nil}: "nobody",
		{Patch: "- {op: remove, path: /a}", Target: nil}:                                    "has no target",
	} {
		if _, err := new(Tailor).Apply(t.Context(), objs, Options{Patches: []Patch{wrong}}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %s", wrong.Patch, err, words)
		}
	}
}

// BenchmarkKustomize patches two fields of every object, or moves all.
func BenchmarkKustomize(b *testing.B) {
	patched := Options{Patches: []Patch{
		{Patch: "- {op: replace, path: /spec/replicas, value: 3}", Target: &Target{Kind: "Deployment"}},
		{Patch: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {priorityClassName: high}}}\n", Target: &Target{Kind: "Deployment"}},
	}}
	for _, n := range []int{100, 1000, 5000} {
		objs := deployments(n)
		for name, o := range map[string]Options{"patch": patched, "move": {TargetNamespace: "other"}} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				for b.Loop() {
					if _, err := new(Tailor).Apply(b.Context(), objs, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
