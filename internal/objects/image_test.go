package objects

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestImageFields(t *testing.T) {
	pod := "{containers: [{image: c}, {name: x}, {image: 1}, x], initContainers: [{image: i}], ephemeralContainers: [{image: e}], volumes: [{image: {reference: v}}, {image: w}]}"
	for name, c := range map[string]struct{ object, want string }{
		"Pod":                    {"apiVersion: v1\nkind: Pod\nspec: " + pod, "c e i v"},
		"Deployment":             {"apiVersion: apps/v1\nkind: Deployment\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"StatefulSet":            {"apiVersion: apps/v1\nkind: StatefulSet\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"DaemonSet":              {"apiVersion: apps/v1\nkind: DaemonSet\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"ReplicaSet":             {"apiVersion: apps/v1\nkind: ReplicaSet\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"ReplicationController":  {"apiVersion: v1\nkind: ReplicationController\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"Job":                    {"apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: " + pod + "}}", "c e i v"},
		"CronJob":                {"apiVersion: batch/v1\nkind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: " + pod + "}}}}", "c e i v"},
		"PodTemplate":            {"apiVersion: v1\nkind: PodTemplate\ntemplate: {spec: " + pod + "}", "c e i v"},
		"of another group":       {"apiVersion: example.com/v1\nkind: Deployment\nspec: {template: {spec: " + pod + "}}", ""},
		"by group":               {"apiVersion: example.com/v3\nkind: Cart\nspec: {image: a, images: [b, '', 3], parts: [{image: d}]}", "a b d"},
		"by version":             {"apiVersion: example.org/v1\nkind: Cart\nspec: {image: a}", "a"},
		"by another version":     {"apiVersion: example.org/v2\nkind: Cart\nspec: {image: a}", ""},
		"elsewhere":              {"apiVersion: example.org/v1\nkind: Cart\nspec: [image]", ""},
		"a list instead of text": {"apiVersion: example.org/v1\nkind: Cart\nspec: {image: [a]}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			objs := parseImages(t, c.object)
			extra := []ImagePath{
				{APIVersion: "example.com", Kind: "Cart", Fields: fields(t, "spec.image", "spec.images[*]", "spec.parts[*].image")},
				{APIVersion: "example.org/v1", Kind: "Cart", Fields: fields(t, "spec.image")},
			}
			if got := strings.Join(Images(objs, extra...), " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			err := EachImage(objs, extra, func(_ *unstructured.Unstructured, image string) (string, error) { return image + "!", nil })
			want := strings.TrimSpace(strings.ReplaceAll(c.want+" ", " ", "! "))
			if c.want == "" {
				want = ""
			}
			if got := strings.Join(Images(objs, extra...), " "); got != want || err != nil {
				t.Errorf("replaced %q, want %q, %v", got, want, err)
			}
			no := errors.New("no")
			err = EachImage(objs, extra, func(*unstructured.Unstructured, string) (string, error) { return "", no })
			if (c.want != "") != errors.Is(err, no) {
				t.Error(err)
			}
		})
	}
}

func parseImages(t *testing.T, object string) []*unstructured.Unstructured {
	t.Helper()
	objs, err := Decode([]File{{Path: "a.yaml", Data: []byte("metadata: {name: a}\n" + object + "\n")}}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func fields(t *testing.T, paths ...string) []Field {
	t.Helper()
	var all []Field
	for _, path := range paths {
		f, err := ParseField(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

func TestParseField(t *testing.T) {
	for _, path := range []string{"", ".", "a.", "a..b", "[*]", "a.[*]", "a[0]", "a[*][*]", "a[*", "*"} {
		if f, err := ParseField(path); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%q: %v, %v", path, f, err)
		}
	}
}
