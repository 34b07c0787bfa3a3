package edit

import (
	"fmt"
	"strings"
	"testing"
)

// TestStrayMarkers names the lines of markers that nothing can be done for.
func TestStrayMarkers(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"behind a value":         {"a: x MARK\nb: y MARK\n", ""},
		"above an item":          {"a:\n# MARK\n- x\nb:\nMARK\n- y\n", ""},
		"empty":                  {"b: c\na: MARK\n", "[2]"},
		"empty item":             {"- x\n- MARK\n", "[2]"},
		"empty, then another":    {"a: MARK\nb: c\n", "[1]"},
		"behind a comma":         {"a: [x, MARK\n  y MARK\n]\n", ""},
		"flow sequence, ends":    {"a: [\n  x,\n  y] MARK\n", "[3]"},
		"flow mapping":           {"a: {b: x, MARK\n  c: y, MARK\n}\n", ""},
		"line in a flow":         {"a: [\n  MARK\n  x\n]\n", "[2]"},
		"above a key":            {"MARK\na: x\n", "[1]"},
		"behind a key":           {"a: MARK\n  b: x\n", "[1]"},
		"two lines":              {"a: x\n  y MARK\nb: c\n", "[1]"},
		"two quoted lines":       {"a: 'x\n  y' MARK\nb: c\n", "[1]"},
		"an escaped line break":  {"a: \"x\\\n  y\" MARK\nb: c MARK\n", "[1]"},
		"block scalar":           {"a: | MARK\n  x\n", "[1]"},
		"alias":                  {"x: &a y\na: *a MARK\n", "[2]"},
		"inside a block scalar":  {"a: |\n  image: x MARK\n  MARK\nb: >-\n  MARK\nc: d\n", ""},
		"inside quotes":          {"a: 'x\n  MARK\n  y'\nb: 'x MARK'\n", ""},
		"commented out":          {"# image: x MARK\na: b\n", ""},
		"somebody else's":        {"a: # {\"$imagepolicy\": \"other:one\"}\n", "[1]"},
		"words for people":       {"a: # see MARK please\n", ""},
		"two documents":          {"a: |\n  x\n---\na: MARK\n---\nb: x MARK\n", "[4]"},
		"CRLF and wide letters":  {"ключ: x\r\nb: MARK\r\n", "[2]"},
		"behind a document mark": {"--- MARK\na: b\n", "[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("# MARK", shopMarker, "MARK", shopMarker).Replace(test.text)
			f, err := Read("x.yaml", []byte(text), nil)
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, p := range f.Places() {
				if p.Problem != "" {
					lines = append(lines, p.Line)
				}
			}
			if got := fmt.Sprint(lines); got != test.want && (test.want != "" || len(lines) > 0) {
				t.Errorf("lines %v, want %s", lines, test.want)
			}
		})
	}
}
