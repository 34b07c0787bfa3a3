package render

import (
	"strings"
	"testing"

	"sealift.dev/internal/objects"
)

func TestConflictMarkers(t *testing.T) {
	for name, c := range map[string]struct{ path, content, want string }{
		"begin":           {"a.yaml", "a: b\n<<<<<<< HEAD\n", `"a.yaml" line 2`},
		"end":             {"a.txt", "x\r\n>>>>>>> abc\r\n", `"a.txt" line 2`},
		"base":            {"a.txt", "||||||| abc\n", `"a.txt" line 1`},
		"between in YAML": {"a.yml", "a: b\n=======\n", `"a.yml" line 2`},
		"in a helper":     {"a.tpl", "{{ define \"motd\" }}\nNews\n=======\n{{ end }}\n", ""},
		"a heading":       {"a.md", "Changes\n=======\n", ""},
		"a long heading":  {"a.yaml", "# Changes\n# ========\n========\n", ""},
		"in a text":       {"a.yaml", "a: |\n  <<<<<<< HEAD\n", ""},
		"eight":           {"a.yaml", "<<<<<<<<\n", ""},
		"none":            {"a.yaml", "", ""},
	} {
		err := checkConflict(c.path, []byte(c.content))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Render([]objects.File{{Path: "x/a.yaml", Data: []byte("a: b\n=======\n")}}, "x"); err == nil || !strings.Contains(err.Error(), "conflict marker") {
		t.Error(err)
	}
}
