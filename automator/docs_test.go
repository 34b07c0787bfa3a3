package automator

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
)

// TestDocumentedFields: the page's examples are valid, and have every field between them.
func TestDocumentedFields(t *testing.T) {
	page, err := os.ReadFile("../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	wantFields(reflect.TypeFor[v1alpha1.Automate](), "", missing)
	if len(missing) < 40 {
		t.Fatalf("only %d fields", len(missing))
	}
	for _, block := range strings.Split(string(page), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "\n```")
		if !strings.Contains(block, "kind: Config\n") {
			continue
		}
		if _, err := parseSettings([]byte(block)); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		var tree map[string]any
		if err := yaml.Unmarshal([]byte(block), &tree); err != nil {
			t.Fatal(err)
		}
		tick(tree["automate"], "", missing)
	}
	if len(missing) > 0 {
		t.Errorf("no example has %q", slices.Sorted(maps.Keys(missing)))
	}
}

// wantFields names the fields of a type, as paths without the indices of lists.
func wantFields(of reflect.Type, path string, into map[string]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.Name() == "Age" {
		into[path] = true
		return
	}
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		wantFields(field.Type, path+"."+name, into)
	}
}

func tick(value any, path string, missing map[string]bool) {
	delete(missing, path)
	switch v := value.(type) {
	case map[string]any:
		for name, below := range v {
			tick(below, path+"."+name, missing)
		}
	case []any:
		for _, below := range v {
			tick(below, path, missing)
		}
	}
}
