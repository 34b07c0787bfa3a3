package objects

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// nodesIn is what the parser makes of data. ok says that it takes it.
func nodesIn(data []byte) (n int, ok bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
			return n, true
		} else if err != nil {
			return n, false
		}
		n += count(&root)
	}
}

func count(n *yaml.Node) int {
	total := 1
	for _, child := range n.Content {
		total += count(child)
	}
	return total
}

func TestNodesAtMost(t *testing.T) {
	text := strings.Repeat("a,b: [{c}] - d\n", 1000)
	lines := func(indent string) string {
		return indent + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+indent) + "\n"
	}
	flow := "[" + strings.Repeat("[],", 1000) + "]"
	for name, c := range map[string]struct {
		data string
		most int // at most this is counted; 0: at least as much as there is
	}{
		"block scalar":              {"data:\n  a: |\n" + lines("    ") + "  b: x\n", 40},
		"folded, in a list":         {"data:\n- - a.b/c: >-\n" + lines("       ") + "- x\n", 40},
		"item":                      {"- |\n" + lines("  ") + "- x\n", 40},
		"double quotes":             {"a: \"" + text + "\\\"" + text + "\"\nb: x\n", 40},
		"single quotes":             {"a: '" + text + "''" + text + "'\nb: x\n", 40},
		"quotes in brackets":        {"a: [\"" + text + "\", '" + text + "']\n", 40},
		"JSON in YAML":              {`{"a":"` + strings.ReplaceAll(text, "\n", "") + `","b":[1]}`, 40},
		"quote on the next line":    {"a:\n  \"" + text + "\"\n", 40},
		"comments":                  {"a: b # " + strings.ReplaceAll(text, "\n", " ") + "\n# " + text[:10] + "\n", 40},
		"dashes":                    {strings.Repeat(strings.Repeat("- ", 90)+"a\n", 100), 0},
		"empty values":              {strings.Repeat("- a: \n", 1000), 0},
		"sets":                      {"{" + strings.Repeat("a,", 1000) + "}", 0},
		"questions":                 {strings.Repeat("? a\n", 1000), 0},
		"pairs in a list":           {"[" + strings.Repeat("a: b, ", 1000) + "]", 0},
		"quote in a plain text":     {"x: [foo \"bar, " + flow + ", \"baz]\n", 0},
		"quote behind a plain key":  {"x: [a:\"b, " + flow + ", c:\"d]\n", 0},
		"dash before a quote":       {"x: [a - \"b, " + flow + " ]\ny: \"\n", 0},
		"quote on a continued line": {"a: foo\n  \"bar\nb: " + flow + "\nc: \"\n", 0},
		"key with a quote":          {"\"k: \"\n: " + flow + "\nc: \"\"\n", 0},
		"sibling of an empty block": {"- key: |\n  other: " + flow + "\n", 0},
		"text less indented":        {"key: |\n    text\n  # x\nother: " + flow + "\n", 0},
		"comment, no block":         {"a: # b: |\n  " + flow + "\n", 0},
		"block after a comment":     {"a: | # x\n  text\nb: " + flow + "\n", 0},
		"odd line break":            {"a: |\n  x\u2028b: " + flow + "\n", 0},
		"carriage returns":          {"a: |\n  x\rb: " + flow + "\n", 0},
		"tagged quote":              {"x: [!!str \"a\", " + flow + ", \"b\"]\n", 0},
		"comment in brackets":       {"x: [ # ]\n a,\n " + flow + "]\n", 0},
	} {
		n, ok := nodesIn([]byte(c.data))
		got := nodesAtMost([]byte(c.data), false)
		if got < n || c.most > 0 && (!ok || got > c.most) {
			t.Errorf("%s: counted %d, the parser makes %d (%v)", name, got, n, ok)
		}
	}
	if got := nodesAtMost([]byte(`{"a":"`+strings.ReplaceAll(text, "\n", "")+`\"[","b":[{},1]}`), true); got > 40 {
		t.Errorf("JSON: counted %d", got)
	}
}

// FuzzNodes: a parser never makes more nodes than were counted.
func FuzzNodes(f *testing.F) {
	for _, seed := range []string{
		configMap, "- |\n  x\n- >-\n   y\n  z\n", "a: |\n  b\n c: d\n", "- - k: |\n     x\n    y: z\n", "a: 'b''c, [d]' # e\n", "[a \"b, c\", d:\"e\", {f}]\n", "? a\n: b\n? - c\n",
		"a:\n  \"b\n\n  c\": d\n", "{\"a\":\"b\",'c':'d'}\n", "a: foo\n  \"bar\nb: [[],[]]\n", "- - - a\n-\n  - {a,b,c: }\n", "&a a: *a\n!!set {b}: !t c\n", "a: |\r\n  b\r\nc: d\r\n", "\"k: \"\n: [x]\n",
		"a: |\n  [Z]\nb: [Z]\n", "- k: \"[Z\"\n  l: [Z]\n", "[a, \"Z\", 'Z', b: \"Z\", {\"c\":\"Z\"}, Z] # Z\n", "# Z\na:\n  'Z'\n", "a: \"x\n  Z\"\nb: |\n\n  Z\n # Z\nc: [Z]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.ReplaceAll(data, []byte("Z"), []byte(strings.Repeat("[],", 300))) // what is passed over wrongly shows
		if len(data) > 64<<10 || checkText(data) != nil || bytes.Contains(data, []byte("---")) {
			return
		}
		if n, _ := nodesIn(data); nodesAtMost(data, false) < n {
			t.Fatalf("counted %d, the parser makes %d of %q", nodesAtMost(data, false), n, data)
		}
	})
}
