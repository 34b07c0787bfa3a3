package edit

import (
	"strings"
	"testing"
)

// setAll sets every marked value of a YAML file that can be set.
func setAll(data []byte, value string) ([]byte, []Place, error) {
	f, err := Read("x.yaml", data, nil)
	if err != nil {
		return nil, nil, err
	}
	values := map[int]string{}
	var changed []Place
	for i, p := range f.Places() {
		if p.Problem == "" && p.Value != value {
			values[i] = value
			changed = append(changed, p)
		}
	}
	out, err := f.Set(values)
	return out, changed, err
}

const shopMarker = `# {"$imagepolicy": "a:b"}`

// TestEdit replaces OLD by the new value; MARK stands for the marker.
func TestEdit(t *testing.T) {
	const value = "r/shop:1.2.3"
	for name, text := range map[string]string{
		"plain":                 "image: OLD MARK\n",
		"aligned":               "image:    OLD\t \tMARK\n",
		"double quoted":         "image: \"OLD\" MARK\n",
		"single quoted":         "image: 'OLD' MARK\n",
		"escaped quote":         "{\"a\\\"b\": 1}\n---\nimage: \"OLD\" MARK\n",
		"anchor":                "image: &img OLD MARK\nother: *img\n",
		"tag":                   "image: !!str OLD MARK\n",
		"anchor, tag, quotes":   "image: &img !!str \"OLD\" MARK\nother: *img\n",
		"sequence item":         "args:\n- OLD MARK\n",
		"comment above item":    "args:\n  # one\n\n  MARK\n  - OLD\n",
		"top-level sequence":    "- op: replace\n  value: OLD MARK\n",
		"top-level items":       "MARK\n- OLD\n",
		"several documents":     "a: b\n---\n# head\n---\nimage: OLD MARK\n...\n---\nz: {}\n",
		"CRLF":                  "a: 1\r\n\r\nimage: OLD MARK\r\nb:   2\r\n",
		"BOM":                   "\ufeffimage: OLD MARK\n",
		"BOM, next line":        "\ufeffa: b\nimage: OLD MARK\n",
		"no final newline":      "image: OLD MARK",
		"wide characters":       "\"ключ 漢字 😀\": OLD MARK\n",
		"unicode line breaks":   "a: \"x\u2028y\u0085z\"\nimage: OLD MARK\n",
		"comments everywhere":   "# top\n\nimage: OLD MARK\n# foot\n\n# head\nb: c # line\n",
		"flow mapping":          "x: {a: b,\n  image: OLD MARK\n }\n",
		"block scalars around":  "a: |\n  image: x MARK\n   y\nimage: OLD MARK\nz: >-\n  folded\n\n  text\n",
		"several in a file":     "a: OLD MARK\nb: OLD MARK\nc:\n- OLD MARK\n",
		"extra marker key":      "image: OLD # {\"$imagepolicy\": \"a:b\", \"note\": \"x\"}\n",
		"several hash signs":    "image: OLD ### {\"$imagepolicy\":\"a:b\"}\n",
		"old value is a number": "image: 1.5 MARK\n",
		"old value is a date":   "image: 2024-01-02 MARK\n",
		"kind List":             "kind: List\nitems:\n- spec:\n    image: OLD MARK\n- {}\n",
		"long key":              "? image\n: OLD MARK\n",
		"tabs before comment":   "image: OLD\t\t\tMARK\t\n",
		"trailing blanks":       "image: OLD MARK   \nb: c   \n",
		"no blank, as Flux":     "image: 'OLD'MARK\nb: {c: OLD,MARK\n }\n",
	} {
		t.Run(name, func(t *testing.T) {
			text = strings.ReplaceAll(text, "MARK", shopMarker)
			before := strings.ReplaceAll(text, "OLD", "r/shop:1.0.0")
			want := strings.NewReplacer("OLD", value, " 1.5 ", " "+value+" ", " 2024-01-02 ", " "+value+" ").Replace(text)
			got, changed, err := setAll([]byte(before), value)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want || len(changed) == 0 {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func TestEditLeavesAlone(t *testing.T) {
	for name, text := range map[string]string{
		"comment above a key":     "MARK\nimage: OLD\n",
		"two comment lines":       "a:\n  # note\n  MARK\n  - OLD\n",
		"line comment goes first": "a:\n  MARK\n  - OLD # note\n",
		"words before":            "image: OLD # see {\"$imagepolicy\": \"a:b\"}\n",
		"words behind":            "image: OLD MARK please\n",
		"single-quoted JSON":      "image: OLD # {'$imagepolicy': 'a:b'} \"$imagepolicy\"\n",
		"value not text":          "image: OLD # {\"$imagepolicy\": \"a:b\", \"n\": 1}\n",
		"null value":              "image: OLD # {\"$imagepolicy\": \"a:b\", \"n\": null}\n",
		"unknown suffix":          "image: OLD # {\"$imagepolicy\": \"a:b:tagg\"}\n",
		"no namespace":            "image: OLD # {\"$imagepolicy\": \"b\"}\n",
		"empty name":              "image: OLD # {\"$imagepolicy\": \"a:\"}\n",
		"four fields":             "image: OLD # {\"$imagepolicy\": \"a:b:tag:x\"}\n",
		"inside a block scalar":   "a: |\n  image: OLD MARK\n",
		"inside a quoted scalar":  "a: 'OLD MARK'\n",
		"alias":                   "x: &a OLD\nimage: *a MARK\n",
		"key":                     "OLD: MARK\n  a: b\n",
		"root scalar":             "OLD MARK\n",
		"block scalar":            "a: | MARK\n  OLD\n",
		"two lines, plain":        "a: OLD\n  OLD MARK\n",
		"two lines, quoted":       "a: 'OLD\n  OLD' MARK\n",
		"foreign tag":             "a: !mine OLD MARK\n",
		"numeric tag":             "a: !!float 1.0 MARK\n",
		"empty":                   "a: MARK\n",
		"a collection":            "a: [OLD, OLD] MARK\n",
	} {
		t.Run(name, func(t *testing.T) {
			text = strings.NewReplacer("MARK", shopMarker, "OLD", "r/shop:1.0.0").Replace(text)
			got, changed, err := setAll([]byte(text), "r/shop:1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != text || len(changed) > 0 {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestEditQuotesWhatIsNotText(t *testing.T) {
	for value, want := range map[string]string{
		"1.2": `"1.2"`, "1e3": `"1e3"`, "012": `"012"`, "0x1F": `"0x1F"`, "yes": `"yes"`, "on": `"on"`, "n": `"n"`,
		"null": `"null"`, "true": `"true"`, "2024-01-02": `"2024-01-02"`, "12:30": `"12:30"`, ".5": `".5"`,
		"685e5134": `"685e5134"`, "0xffffffffffffffffffff": `"0xffffffffffffffffffff"`, "685f5134": "685f5134", "0xg": "0xg",
		"1.2.3": "1.2.3", "v1": "v1", "r/a:1.2.3": "r/a:1.2.3", "localhost:5000/a": "localhost:5000/a",
	} {
		got, _, err := setAll([]byte("a: x "+shopMarker+"\n"), value)
		if err != nil || string(got) != "a: "+want+" "+shopMarker+"\n" {
			t.Errorf("%s: got %q, %v", value, got, err)
		}
	}
}

func TestEditRefuses(t *testing.T) {
	alias := "a: &a [x, x]\n" + strings.Repeat("b: [*a, *a, *a]\n", 10)
	for name, test := range map[string]struct{ text, value, want string }{
		"broken YAML":        {"a: x MARK\nb: [\n", "y", "line 2"},
		"broken later":       {"a: x MARK\n---\n}\n", "y", "did not find"},
		"too deep":           {"a: x MARK\nb: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "y", "deeper than 200"},
		"far too deep":       {"a: x MARK\nb: " + strings.Repeat("[", 100_000), "y", "exceeded max depth"},
		"unknown alias":      {"a: x MARK\nb: *nowhere\n", "y", "unknown anchor"},
		"UTF-16":             {"\xff\xfea\x00:\x00", "y", "not UTF-8"},
		"control characters": {"a: x MARK\nb: \x01\n", "y", "control characters"},
		"hostile value":      {"a: x MARK\n" + alias, "y # b: c", "no part of an image reference"},
		"line break":         {"a: x MARK\n" + alias, "y\nb: c", "no part of an image reference"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(test.text, "MARK", shopMarker)
			got, _, err := setAll([]byte(text), test.value)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.100q, %v, want %q", got, err, test.want)
			}
		})
	}
	if _, changed, err := setAll([]byte("a: x "+shopMarker+"\n"+alias), "y"); err != nil || len(changed) != 1 {
		t.Errorf("the benign twin: %v, %v", changed, err)
	}
}

// TestHostileFiles: files made to be slow. What takes quadratic time does not end before
// the test's own deadline.
func TestHostileFiles(t *testing.T) {
	fill := func(unit string) string {
		unit = strings.ReplaceAll(unit, "MARK", shopMarker)
		return strings.Repeat(unit, (MaxBytes-200)/len(unit))
	}
	for name, text := range map[string]string{
		"one long line":      "a: x MARK\nb: [" + fill("a,") + "]\n",
		"many items":         "a: x MARK\nb:\n" + fill("- a\n"),
		"many markers":       fill("- a MARK\n"),
		"markers on a line":  "a: x MARK\n" + fill(" MARK"),
		"markers, no values": "a: x MARK\n" + fill("# MARK\n"),
		"markers, stray":     "a: x MARK\nb: [\n" + fill("MARK\n") + "]\n",
		"many comments":      "a: x MARK\nb: c\n" + fill("#\n"),
		"hash signs":         "a: x MARK\nb: c " + fill("#"),
		"blank hash signs":   "a: x MARK\nb: c" + fill(" #") + ` "$imagepolicy"`,
		"commented items":    "a: x MARK\nb:\n" + fill("# c\n- a\n"),
		"many documents":     "a: x MARK\n" + fill("---\n"),
		"one long value":     "a: x MARK\nb: " + fill("c"),
		"one long quote":     "a: x MARK\nb: '" + fill("''") + "'\n",
		"many anchors":       "a: x MARK\nb: [" + fill("&a b,") + "]\n",
		"many aliases":       "a: &a x MARK\nb: [" + fill("*a ,") + "]\n",
		"many dashes":        "a: x MARK\nb:\n  " + fill("- "),
		"brackets":           "a: x MARK\nb: " + fill("["),
		"braces":             "a: x MARK\nb: " + fill("{"),
		"question marks":     "a: x MARK\n" + fill("? "),
		"blanks in a flow":   "a: x MARK\nb: [" + fill("a,   \t  ") + "]\n",
		"quotes over lines":  "a: x MARK\nb: '" + fill("a\n ") + "'\n",
		"quoted over lines":  "a: x MARK\nb:\n" + fill("- 'a\n  b'\n"),
		"blocks":             "a: x MARK\nb:\n" + fill("- |\n  b\n"),
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.ReplaceAll(text, "MARK", shopMarker))
			if len(data) > MaxBytes {
				t.Fatalf("it has %d bytes", len(data))
			}
			out, changed, err := setAll(data, "y")
			if err == nil && len(changed) == 0 || err != nil && out != nil {
				t.Errorf("%d changed, %v", len(changed), err)
			}
		})
	}
}

func TestVerifyCatchesOtherChanges(t *testing.T) {
	text := "a: x # c\nb: [1, '2']\n"
	before, err := readYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{3: "y"}
	if err := before.verify([]byte("a: y # c\nb: [1, '2']\n"), want, false); err != nil {
		t.Errorf("the benign twin: %v", err)
	}
	for _, after := range []string{
		text, "a: y # d\nb: [1, '2']\n", "a: y # c\nb: [1, 2]\n", "a: y # c\nb: [1, '3']\n", "a: y # c\nb: [1, '2', 3]\n",
		"a: y # c\n\nb: [1, '2']\n", "a: y # c\nc: [1, '2']\n", "a: &a y # c\nb: [1, '2']\n", "a: !!int y # c\nb: [1, '2']\n", "a: [\n",
	} {
		if before.verify([]byte(after), want, false) == nil {
			t.Errorf("%q passes", after)
		}
	}
}
