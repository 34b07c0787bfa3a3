package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"sealift.dev/api/v1alpha1"
)

const fuzzed = "r/shop:1.2.3"

// fuzzSplice sets every place that can be set, and proves what Set has proved: the other bytes
// are the same, and there is nothing left to do.
func fuzzSplice(t *testing.T, path string, data []byte, targets []Target) (out []byte, changed int) {
	f, err := Read(path, data, targets)
	if err != nil {
		return nil, 0
	}
	values := map[int]string{}
	var places []Place
	for i, p := range f.Places() {
		if p.Problem == "" && p.Value != fuzzed {
			values[i] = fuzzed
			places = append(places, p)
		}
	}
	out, err = f.Set(values)
	if err != nil {
		return nil, 0
	}
	rest, restOut, at := data, out, 0
	for _, p := range places {
		same := p.start - at
		if same < 0 || len(restOut) < same || !bytes.Equal(rest[:same], restOut[:same]) {
			t.Fatalf("other bytes changed: %q to %q", data, out)
		}
		rest, restOut, at = rest[p.end-at:], restOut[same:], p.end
		for _, written := range []string{fuzzed, p.quote + fuzzed + p.quote, `"` + fuzzed + `"`} {
			if bytes.HasPrefix(restOut, []byte(written)) {
				restOut = restOut[len(written):]
				break
			}
		}
	}
	if !bytes.Equal(rest, restOut) {
		t.Fatalf("other bytes changed: %q to %q", data, out)
	}
	again, err := Read(path, out, targets)
	if err != nil {
		t.Fatalf("%q is edited to %q: %v", data, out, err)
	}
	for _, p := range again.Places() {
		if p.Problem == "" && p.Value != fuzzed {
			t.Fatalf("%q is edited to %q, in which %+v is left", data, out, p)
		}
	}
	return out, len(places)
}

func FuzzMarker(f *testing.F) {
	for _, comment := range []string{
		shopMarker, `## {"$imagepolicy":"a:b:tag"}  `, `# {"$imagepolicy": "a:b", "$sealift": "hold"}`, `# {"$imagepolicy": "a:b:"}`,
		`# {"$imagepolicy": "a:b", "$imagepolicy": "c:d"}`, `# {"$imagepolicy": null}`, `#{"$imagepolicy":0,"$imagepolicy":"0:0"}`, `# {"\u0024imagepolicy": "a:b"} {}`, `# {"$imagepolicy": "a:b\ud800"}`,
	} {
		f.Add(comment)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		m, ok := parseMarker(comment)
		var object map[string]*string
		err := json.Unmarshal([]byte(strings.TrimLeft(comment, "#")), &object)
		valid := err == nil && strings.HasPrefix(comment, "#") && object["$imagepolicy"] != nil &&
			regexp.MustCompile(`\A(?s:[^:]+:[^:]+(:(tag|name|digest))?)\z`).MatchString(*object["$imagepolicy"])
		for _, value := range object {
			valid = valid && value != nil
		}
		if ok != valid {
			t.Fatalf("%q: %+v, %v", comment, m, ok)
		}
		if ok && strings.TrimSuffix(m.policy+":"+string(m.part), ":ref") != *object["$imagepolicy"] {
			t.Fatalf("%q: %+v", comment, m)
		}
	})
}

// FuzzYAML: an edit changes the marked values only, and all of them are such that Flux
// would write them, too.
func FuzzYAML(f *testing.F) {
	for _, text := range []string{
		"image: x MARK\n", "\ufeffa: 'x' MARK\r\n- b\r\n", "- &a !!str \"x\" MARK\n- *a\n", "a:\n  MARK\n  - x\n", "a: |\n  x\n---\nb: 1.0 MARK",
		"{a: b, c: d MARK\n}", "a: MARK\n", "? x\n: y MARK\n", "a: [x, MARK\n y , MARK\n z]", "- a # MARK\n- MARK\n", "a: b\n\tMARK", "- - MARK\n  - x\n",
		"a: 'x'MARK", "[0: #\n00 MARK\n]", "a: \"\\\n x\" MARK", "a: !t x MARK\n...\nMARK\n--- x MARK",
	} {
		f.Add([]byte(strings.ReplaceAll(text, "MARK", shopMarker)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		if _, n := fuzzSplice(t, "x.yaml", data, nil); n == 0 {
			return
		}
		file, err := Read("x.yaml", data, nil)
		if err != nil {
			t.Fatal(err)
		}
		nodes := file.parsed.(*yamlFile).nodes
		for _, p := range file.Places() {
			if p.Problem != "" {
				continue
			}
			comment := nodes[p.node].LineComment
			if comment == "" && nodes[p.node].isItem {
				comment = strings.TrimSpace(nodes[p.node].HeadComment)
			}
			// The parser hands comments of lines before to values in flow collections.
			comment = comment[strings.LastIndexByte(comment, '\n')+1:]
			if m, ok := parseMarker(comment); !ok || m.policy != p.Policy || m.part != p.Part {
				t.Fatalf("%q: line %d is written, but has the comment %q", data, p.Line, comment)
			}
		}
	})
}

// allTexts are targets of every string of a tree.
func allTexts(t *testing.T, s language) []Target {
	var targets []Target
	var visit func(n *node, key string)
	visit = func(n *node, key string) {
		if n.kind == kindText && key != "" && len(targets) < 50 {
			if target, err := NewTarget("a:b", v1alpha1.Target{Path: "**", Key: key}); err == nil {
				targets = append(targets, target)
			}
		}
		for i, child := range n.children {
			switch {
			case n.kind == kindSequence:
				visit(child, key+"["+itoa(i)+"]")
			case !strings.Contains(child.key, `"`):
				visit(child, strings.TrimPrefix(key+`."`+child.key+`"`, "."))
			}
		}
	}
	for _, root := range s.roots() {
		visit(root, "")
	}
	return targets
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) }

func FuzzJSON(f *testing.F) {
	for _, text := range []string{
		`{"a": "x", "b": [1, "y", {"c": null}]}`, "\ufeff[\"\\u0061\\\"\", \"x\"]\r\n", `{"a":"x","a":"y"}`, `{"":"x", "a.b":{"'":"y"}}`, `"x"`, `[[],{}]`, "{} {}", `[1,]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 || checkText(data) != nil {
			return
		}
		parsed, err := readJSON(data)
		if valid := json.Valid(bytes.TrimPrefix(data, []byte("\ufeff"))); err == nil != valid && !strings.Contains(err.Error(), "deeper") {
			t.Fatalf("%q: %v", data, err)
		}
		if err != nil {
			return
		}
		out, n := fuzzSplice(t, "x.json", data, allTexts(t, parsed))
		if n > 0 && !json.Valid(bytes.TrimPrefix(out, []byte("\ufeff"))) {
			t.Fatalf("%q is edited to %q", data, out)
		}
	})
}

func FuzzTOML(f *testing.F) {
	for _, text := range []string{
		"a = 'x'\n[b.\"c.d\"]\ne = \"y\" # c\n", "[[a]]\nb = '''x'''\r\n[[a]]\nb = \"\"\"y\"\"\"", "a = [ 'x', { b.c = \"\\u0061\" }, 1979-05-27 ]", "a.b = 'x'\na.c = 'y'\n[a.d]\n",
		"[a]\n[[a.b]]\nc='x'\n[a.b.d]\ne='y'\n[[a.b]]\n", "\ufeffa = \"\"\"\n x\"\"\"", "a = ''''x''''", "a = []\n[[b]]\n", "'' = ''",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 || checkText(data) != nil {
			return
		}
		var checked map[string]any
		valid := toml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &checked)
		parsed, err := readTOML(data)
		if err != nil && valid == nil && !strings.Contains(err.Error(), "more than 200") {
			t.Fatalf("%q: %v", data, err)
		}
		if err == nil && valid != nil && strings.Contains(valid.Error(), "already") {
			t.Fatalf("%q: %v", data, valid)
		}
		if err != nil || valid != nil {
			return // the decoder also checks what numbers and dates mean
		}
		out, n := fuzzSplice(t, "x.toml", data, allTexts(t, parsed))
		var was, is map[string]any
		if n == 0 {
			return
		}
		err = errors.Join(toml.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &was), toml.Unmarshal(bytes.TrimPrefix(out, []byte("\ufeff")), &is))
		if err != nil {
			t.Fatalf("%q is edited to %q: %v", data, out, err)
		}
		changes := differences(was, is)
		for _, c := range changes {
			if c.is != fuzzed {
				t.Fatalf("%q is edited to %q: %v becomes %v", data, out, c.was, c.is)
			}
		}
		if len(changes) != n {
			t.Fatalf("%q is edited to %q: %d values, %d wanted", data, out, len(changes), n)
		}
	})
}

func FuzzKeyedYAML(f *testing.F) {
	f.Add([]byte("a: x\n---\n- b: 'y'\n  c: [d, {e: \"f\"}]\n"))
	f.Add([]byte("a: &x [b, *x]\n? {c: d}\n: e\nf: !!str g\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 || checkText(data) != nil {
			return
		}
		parsed, err := readYAML(data)
		if err != nil {
			return
		}
		out, n := fuzzSplice(t, "x.yaml", data, allTexts(t, parsed))
		if n == 0 {
			return
		}
		decoder := yaml.NewDecoder(bytes.NewReader(out))
		for {
			var document yaml.Node
			if err := decoder.Decode(&document); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%q is edited to %q: %v", data, out, err)
			}
		}
	})
}

func FuzzRegexp(f *testing.F) {
	f.Add("(?m)^FROM r/shop:(\\S+)", "x", []byte("FROM r/shop:1.0 AS a\n"))
	f.Add("(a*)", "x", []byte("baab"))
	f.Add("a|(b)", "x.yaml", []byte("a: b\nb: [a, b]\n"))
	f.Add(`"(?P<value>[^"]*)"`, "x.json", []byte(`{"a": "b", "c": 1}`))
	f.Add(`= '(.*)'`, "x.toml", []byte("a = 'b'\nc = 1\n"))
	f.Add(`\b(a)\b`, "x", []byte("a a aa a"))
	f.Fuzz(func(t *testing.T, expr, path string, data []byte) {
		target, err := NewTarget("a:b", v1alpha1.Target{Path: "**", Regexp: expr})
		if err != nil || len(data) > 4096 || !utf8.ValidString(path) {
			return
		}
		fuzzSplice(t, path, data, []Target{target})
	})
}

func FuzzKey(f *testing.F) {
	for _, key := range []string{"a.b", `"a.b"[0]['c']`, "images[name=shop].newTag", `[a="b]"].c`, "a..b", "[", "a[1"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		steps, err := parseKey(key)
		if err == nil && (len(steps) == 0 || len(steps) > maxSteps) {
			t.Fatalf("%q: %v", key, steps)
		}
	})
}
