package edit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"

	"sealift.dev/api/v1alpha1"
)

// TestEveryEditIsASplice: random files, one edit each. The bytes outside of the value are
// equal, and what the files mean differs in that value only.
func TestEveryEditIsASplice(t *testing.T) {
	for name, play := range map[string]func(*writer) (path string, targets []Target, read func([]byte) (any, error)){
		"YAML": yamlText, "JSON": jsonText, "TOML": tomlText,
	} {
		t.Run(name, func(t *testing.T) {
			edits := 0
			for seed := range uint64(1500) {
				w := &writer{Rand: rand.New(rand.NewPCG(seed, 1)), nl: "\n", values: map[string]string{}}
				path, targets, read := play(w)
				edits += checkSplice(t, fmt.Sprintf("%s %d", path, seed), w, path, targets, read)
			}
			if edits < 500 {
				t.Errorf("%d files were edited", edits)
			}
		})
	}
}

func checkSplice(t *testing.T, name string, w *writer, path string, targets []Target, read func([]byte) (any, error)) int {
	t.Helper()
	data := []byte(w.String())
	f, err := Read(path, data, targets)
	if err != nil {
		t.Fatalf("%s: %v in\n%q", name, err, data)
	}
	places := f.Places()
	if len(places) != len(w.values) {
		t.Fatalf("%s: %d places, %d wanted: %+v in\n%s", name, len(places), len(w.values), places, data)
	}
	for _, p := range places {
		if want, ok := w.values[p.Policy]; !ok || p.Problem != "" || p.Value != want {
			t.Fatalf("%s: %+v, want %q in\n%s", name, p, want, data)
		}
	}
	if len(places) == 0 {
		return 0
	}
	i := w.IntN(len(places))
	p := places[i]
	value := []string{"r.example.com:5000/shop:1.2.3@" + newDigest, "1.20", "12e3", "yes", "v1", "null", "2024-01-01"}[w.IntN(7)]
	if value == p.Value {
		return 0
	}
	out, err := f.Set(map[int]string{i: value})
	if err != nil {
		t.Fatalf("%s: line %d of\n%s: %v", name, p.Line, data, err)
	}
	if rest := len(data) - p.end; !bytes.Equal(out[:p.start], data[:p.start]) || !bytes.Equal(out[len(out)-rest:], data[p.end:]) {
		t.Fatalf("%s: other bytes changed: %q to %q", name, data, out)
	}
	before, err := read(data)
	if err != nil {
		t.Fatalf("%s: %v in\n%q", name, err, data)
	}
	after, err := read(out)
	if err != nil {
		t.Fatalf("%s: %v in\n%q", name, err, out)
	}
	changes := differences(before, after)
	for _, c := range changes {
		if c.is != value {
			t.Fatalf("%s: %v became %v in\n%s", name, c.was, c.is, out)
		}
	}
	if len(changes) == 0 || len(changes) > 1 && w.aliases == 0 {
		t.Fatalf("%s: %d values changed in\n%s", name, len(changes), out)
	}
	return 1
}

type difference struct{ was, is any }

// differences are the leaves of two trees that differ.
func differences(was, is any) []difference {
	switch was := was.(type) {
	case map[string]any:
		if is, ok := is.(map[string]any); ok && len(was) == len(is) {
			var all []difference
			for key := range was {
				all = append(all, differences(was[key], is[key])...)
			}
			return all
		}
	case []any:
		if is, ok := is.([]any); ok && len(was) == len(is) {
			var all []difference
			for i := range was {
				all = append(all, differences(was[i], is[i])...)
			}
			return all
		}
	}
	if reflect.DeepEqual(was, is) {
		return nil
	}
	return []difference{{was, is}}
}

// writer writes random text.
type writer struct {
	*rand.Rand
	strings.Builder
	nl      string
	values  map[string]string // by policy: what is there
	anchors []string
	names   int
	aliases int
}

func (w *writer) print(parts ...string) {
	for _, part := range parts {
		w.WriteString(strings.ReplaceAll(part, "\n", w.nl))
	}
}

// one is one of several texts.
func (w *writer) one(texts ...string) string { return texts[w.IntN(len(texts))] }

func (w *writer) chance(n int) bool { return w.IntN(n) == 0 }

// mark is a new policy whose value is there.
func (w *writer) mark(value string) string {
	policy := fmt.Sprintf("ns:p%d", len(w.values))
	w.values[policy] = value
	return policy
}

func (w *writer) name() string {
	w.names++
	return fmt.Sprintf("%s%d", w.one("a", "Key-", "ключ", "漢", "x.y/", "_"), w.names)
}

func yamlText(w *writer) (string, []Target, func([]byte) (any, error)) {
	w.nl = w.one("\n", "\n", "\r\n")
	if w.chance(4) {
		w.print("\ufeff")
	}
	for i := range 1 + w.IntN(3) {
		if i > 0 || w.chance(3) {
			w.print(w.one("---\n", "--- # document\n", "---\n\n# head\n"))
		}
		w.anchors = nil
		if w.chance(3) {
			w.sequence("", 0)
		} else {
			w.mapping("", 0)
		}
		if w.chance(5) {
			w.print("...\n---\n{}\n")
		}
	}
	text := w.String()
	if w.chance(3) {
		w.Reset()
		w.WriteString(strings.TrimRight(text, "\r\n"))
	}
	return "x.yaml", nil, readDocuments
}

func readDocuments(data []byte) (any, error) {
	var all []any
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document any
		if err := decoder.Decode(&document); err != nil {
			if err.Error() == "EOF" {
				return all, nil
			}
			return nil, err
		}
		all = append(all, document)
	}
}

func (w *writer) mapping(indent string, depth int) {
	for i := range 1 + w.IntN(4) {
		if i > 0 {
			w.between(indent)
			w.print(indent)
		} else if depth == 0 {
			w.print(indent)
		}
		key := w.name()
		w.print(w.one(key, key, "\""+key+"\"", "'"+key+"'", "? "+key+"\n"+indent), ":")
		w.value(indent, depth)
	}
}

func (w *writer) sequence(indent string, depth int) {
	for range 1 + w.IntN(4) {
		w.between(indent)
		w.print(indent, "-", w.one(" ", "   "))
		if w.chance(5) && depth < 4 {
			// The fields of an item stand below its first.
			text := w.String()
			line := text[strings.LastIndex(text, "\n")+1:]
			w.mapping(strings.Repeat(" ", len([]rune(strings.TrimPrefix(line, "\ufeff")))), depth+1)
			continue
		}
		w.scalar(indent + "  ")
	}
}

// between is what may stand between two entries.
func (w *writer) between(indent string) {
	if w.chance(3) {
		w.print(w.one("\n", "\n\n", indent+"# a comment\n", "# {\"not\": \"a marker\"}\n\n", "   \n"))
	}
}

func (w *writer) value(indent string, depth int) {
	switch n := w.IntN(10); {
	case n == 0 && depth < 4:
		w.print(w.one("\n", " # below\n", "\n\n"), indent, "  ")
		w.mapping(indent+"  ", depth+1)
	case n == 1 && depth < 4:
		w.print("\n")
		w.sequence(indent+w.one("", "  "), depth+1)
	default:
		w.print(w.one(" ", "   "))
		w.scalar(indent)
	}
}

// scalar writes the rest of a line, or some of them.
func (w *writer) scalar(indent string) {
	switch w.IntN(9) {
	case 0:
		w.print(w.one("|\n", ">-\n", "|+ # block\n"), indent, "   text # {\"$imagepolicy\": \"no:no\"}\n", indent, "     more\n\n")
	case 1:
		w.print("{a: b,  'c': [d , \"e\"], f: {}}", w.one("", " # flow"), "\n")
	case 2:
		w.print(w.one("~", "", "1.50", "true", "2001-01-01", "!!str 12", "\"a\\tb\\u00e9\"", "'it''s'", "plain # comment", "a#b"), "\n")
	case 3:
		w.print("\"spans\n", indent, "   lines # no comment\"\n")
	case 4:
		if len(w.anchors) > 0 {
			w.aliases++
			w.print("*", w.anchors[w.IntN(len(w.anchors))], "\n")
			return
		}
		w.print("plain\n", indent, "   on lines\n")
	default:
		w.marked()
	}
}

// marked writes a value with its marker.
func (w *writer) marked() {
	if w.chance(5) {
		name := fmt.Sprintf("anchor%d", len(w.anchors))
		w.anchors = append(w.anchors, name)
		w.print("&", name, " ")
	}
	value := w.one("old", "1.5", "yes", "r.example.com:5000/a:1.0", "sha256:11", "a,b", "x y", "漢字")
	comment := func(value string) string {
		return w.one(" ", "\t", "    ") + w.one("# ", "#", "### ") + fmt.Sprintf(w.one(`{"$imagepolicy": %q}`, `{ "$imagepolicy":%q , "n": "x"}`), w.mark(value)+w.one("", ":tag", ":name", ":digest"))
	}
	switch quote := w.one("", "'", "\""); {
	case w.chance(6):
		w.print("{a: b, c: ", quote, strings.ReplaceAll(value, ",", ";"), quote, w.one(",", " ,", ""), comment(strings.ReplaceAll(value, ",", ";")), "\n      }\n")
	case quote == "\"" && w.chance(3):
		w.print(`"\u0061\"b"`, comment(`a"b`), "\n")
	case quote == "'" && w.chance(3):
		w.print(`'a''b'`, comment(`a'b`), "\n")
	default:
		w.print(quote, value, quote, comment(value), w.one("", " "), "\n")
	}
}

func jsonText(w *writer) (string, []Target, func([]byte) (any, error)) {
	if w.chance(4) {
		w.print("\ufeff")
	}
	w.nl = w.one("\n", "\r\n")
	var targets []Target
	w.blank()
	w.json("", 0, &targets)
	w.blank()
	return "x.json", targets, func(data []byte) (any, error) {
		var value any
		err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &value)
		return value, err
	}
}

func (w *writer) blank() { w.print(w.one("", "", " ", "\n", "\t", "\n  ")) }

// target leads to a value that is there.
func (w *writer) target(path, key, value string, targets *[]Target) {
	if key == "" || !w.chance(2) {
		return
	}
	t, err := NewTarget(w.mark(value), v1alpha1.Target{Path: path, Key: key, Write: w.one("tag", "ref", "name", "digest")})
	if err != nil {
		panic(err)
	}
	*targets = append(*targets, t)
}

func (w *writer) json(key string, depth int, targets *[]Target) {
	switch n := w.IntN(8); {
	case n < 2 && depth < 5 || depth == 0:
		w.print("{")
		w.blank()
		for i := range w.IntN(5) {
			if i > 0 {
				w.print(",")
			}
			name := w.name()
			w.blank()
			w.print(`"`, name, `"`)
			w.blank()
			w.print(":")
			w.blank()
			w.json(strings.TrimPrefix(key+`."`+name+`"`, "."), depth+1, targets)
			w.blank()
		}
		w.print("}")
	case n == 2 && depth < 5:
		w.print("[")
		w.blank()
		for i := range w.IntN(4) {
			if i > 0 {
				w.print(",")
			}
			w.blank()
			w.json(fmt.Sprintf("%s[%d]", key, i), depth+1, targets)
			w.blank()
		}
		w.print("]")
	case n == 3:
		w.print(w.one("1.50", "-0", "1e9", "true", "null", "12345678901234567890"))
	default:
		value := w.one("", "old", `quo"te`, "tab\t/", "漢字 😀", "1.0")
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		w.print(w.one(string(text), strings.ReplaceAll(string(text), "o", `\u006f`)))
		w.target("x.json", key, value, targets)
	}
}

func tomlText(w *writer) (string, []Target, func([]byte) (any, error)) {
	w.nl = w.one("\n", "\r\n")
	var targets []Target
	w.pairs("", &targets)
	for range w.IntN(4) {
		name := w.name()
		w.between("")
		if w.chance(2) {
			w.print("[ \"", name, "\" . b ]", w.one("", " # table"), "\n")
			w.pairs(`"`+name+`".b`, &targets)
			continue
		}
		for i := range 1 + w.IntN(3) {
			w.print("[[\"", name, "\"]]\n")
			w.pairs(fmt.Sprintf(`"%s"[%d]`, name, i), &targets)
		}
	}
	if w.chance(3) {
		text := w.String()
		w.Reset()
		w.WriteString(strings.TrimRight(text, "\r\n"))
	}
	return "x.toml", targets, func(data []byte) (any, error) {
		value := map[string]any{}
		err := toml.Unmarshal(data, &value)
		return value, err
	}
}

func (w *writer) pairs(key string, targets *[]Target) {
	for range w.IntN(5) {
		w.between("  ")
		name := w.name()
		path := strings.TrimPrefix(key+`."`+name+`"`, ".")
		w.print(w.one("", "  "), `"`, name, `"`)
		if w.chance(4) {
			w.print(" . 'c.d'")
			path += `."c.d"`
		}
		w.print(w.one("=", " = ", "   ="))
		w.toml(path, 0, targets)
		w.print(w.one("", " # comment \"$imagepolicy\""), "\n")
	}
}

func (w *writer) toml(key string, depth int, targets *[]Target) {
	switch n := w.IntN(9); {
	case n == 0 && depth < 3:
		w.print("[ ")
		for i := range w.IntN(4) {
			w.toml(fmt.Sprintf("%s[%d]", key, i), depth+1, targets)
			w.print(" ,", w.one("", "\n", " # item\n"))
		}
		w.print("]")
	case n == 1 && depth < 3:
		w.print("{ a = ")
		w.toml(key+".a", depth+1, targets)
		w.print(", b.c=")
		w.toml(key+".b.c", depth+1, targets)
		w.print(" }")
	case n == 2:
		w.print(w.one("1.50", "0x1F", "true", "1979-05-27T07:32:00Z", "inf", "1_000", "07:32:00"))
	case n == 3:
		w.print("'''\nsome\n  lines'''")
	default:
		text, value := w.quoted()
		w.print(text)
		w.target("x.toml", key, value, targets)
	}
}

// quoted is a string of TOML on one line.
func (w *writer) quoted() (text, value string) {
	value = w.one("", "old", "r.example.com:5000/a:1", "漢字", "1.0", "# no comment", "[a]")
	switch w.IntN(6) {
	case 0:
		return "'" + value + "'", value
	case 1:
		return "'''" + value + "'''", value
	case 2:
		return `"""` + value + `"""`, value
	case 3:
		return `"\u0061\t\"` + value + `"`, "a\t\"" + value
	}
	return `"` + value + `"`, value
}
