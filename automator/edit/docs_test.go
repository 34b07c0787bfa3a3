package edit

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
)

// TestExamples makes the edits that docs/automation.md shows: what its diffs take away
// becomes what they add, by the markers in them and the targets in front of them.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Which values\n")
	text, _, _ = strings.Cut(text, "\n## Without Git\n")
	image := Image{Policy: "shop:shop", Repo: "registry.example.com/apps/shop", Tag: "1.2.0", Digest: "sha256:9f86d081"}
	var example struct {
		Targets []v1alpha1.Target `json:"targets"`
	}
	shown := map[string]bool{}
	diffs := 0
	for _, block := range regexp.MustCompile("(?ms)^```(yaml|diff)\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		if block[1] == "yaml" {
			example.Targets = nil
			if err := yaml.UnmarshalStrict([]byte(block[2]), &example); err != nil {
				t.Fatalf("%v in\n%s", err, block[2])
			}
			for _, target := range example.Targets {
				note(reflect.ValueOf(target), shown)
			}
			continue
		}
		diffs++
		path, before, after := sides(t, block[2])
		var targets []v1alpha1.Target
		for _, target := range example.Targets {
			if checked, err := NewTarget(image.Policy, target); err != nil {
				t.Fatal(err)
			} else if checked.Matches(path) {
				targets = append(targets, target)
			}
		}
		img := image
		if !strings.Contains(after, img.Digest) {
			img.Digest = ""
		}
		got, left := write(t, path, before, img, targets...)
		if got != after || strings.Contains(block[2], "hold") != (len(left) > 0) {
			t.Errorf("%s becomes\n%s%q, and the page says\n%s", path, got, left, after)
		}
	}
	if diffs < 9 {
		t.Errorf("%d diffs were found", diffs)
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[v1alpha1.Target](), reflect.TypeFor[v1alpha1.HelmTarget]()} {
		for field := range kind.NumField() {
			if name := kind.Name() + "." + kind.Field(field).Name; !shown[name] {
				t.Errorf("%s is in no example", name)
			}
		}
	}
}

// note notes the fields that are set.
func note(v reflect.Value, shown map[string]bool) {
	for i := range v.NumField() {
		field := v.Field(i)
		if !field.IsZero() {
			shown[v.Type().Name()+"."+v.Type().Field(i).Name] = true
		}
		if field.Kind() == reflect.Pointer && !field.IsNil() {
			note(field.Elem(), shown)
		}
	}
}

// sides are the file before and after a diff that shows all of it.
func sides(t *testing.T, diff string) (path, before, after string) {
	t.Helper()
	path, diff, ok := strings.Cut(diff, "\n")
	if path, _ = strings.CutPrefix(path, "--- "); !ok {
		t.Fatalf("a diff without a path: %s", diff)
	}
	for line := range strings.Lines(diff) {
		switch line[0] {
		case '-':
			before += line[1:]
		case '+':
			after += line[1:]
		default:
			before += line[1:]
			after += line[1:]
		}
	}
	return path, before, after
}
