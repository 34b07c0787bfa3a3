package edit

import (
	"fmt"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
)

const newDigest = "sha256:2222222222222222222222222222222222222222222222222222222222222222"

func shopImage() Image {
	return Image{Policy: "a:b", Repo: "r.example.com:5000/shop", Tag: "1.2.3", Digest: newDigest}
}

// write makes the edit that a target asks for, and says why values are left alone.
func write(t *testing.T, path, text string, img Image, targets ...v1alpha1.Target) (string, []string) {
	t.Helper()
	var checked []Target
	for _, target := range targets {
		if target.Path == "" {
			target.Path = path
		}
		c, err := NewTarget(img.Policy, target)
		if err != nil {
			t.Fatal(err)
		}
		checked = append(checked, c)
	}
	f, err := Read(path, []byte(text), checked)
	if err != nil {
		return text, []string{err.Error()}
	}
	values, reasons := f.Texts(func(policy string) (Image, bool) { return img, policy == img.Policy })
	var left []string
	for i := range f.Places() {
		if reasons[i] != "" {
			left = append(left, reasons[i])
		}
	}
	out, err := f.Set(values)
	if err != nil {
		return text, append(left, err.Error())
	}
	return string(out), left
}

func TestTargets(t *testing.T) {
	key := func(key, write string) v1alpha1.Target { return v1alpha1.Target{Key: key, Write: write} }
	for name, test := range map[string]struct {
		path, text, want string
		target           v1alpha1.Target
	}{
		"YAML":                 {"values.yaml", "# top\r\nimage:\r\n  tag:   1.0  # mine\r\n", "# top\r\nimage:\r\n  tag:   1.2.3  # mine\r\n", key("image.tag", "tag")},
		"YAML ref":             {"a.yml", "image: \"old\"", `image: "r.example.com:5000/shop:1.2.3@` + newDigest + `"`, key("image", "")},
		"YAML name":            {"a.yml", "- {name: x}\n- {name: shop, image: 'old'}\n", "- {name: x}\n- {name: shop, image: 'r.example.com:5000/shop'}\n", key("[name=shop].image", "name")},
		"YAML digest":          {"a.yml", "a.b:\n  c: {d/e: sha256:11}\n", "a.b:\n  c: {d/e: " + newDigest + "}\n", key(`"a.b".c.d/e`, "digest")},
		"YAML index":           {"a.yaml", "- [x, y]\n- [x, y]\n", "- [x, y]\n- [x, 1.2.3]\n", key("[1][1]", "tag")},
		"YAML quoted item":     {"a.yaml", "- {'na.me': \"x ]\", t: 1}\n", "- {'na.me': \"x ]\", t: 1.2.3}\n", key(`["na.me"="x ]"].t`, "tag")},
		"YAML bracket":         {"a.yaml", "a: {b.c: x}\n", "a: {b.c: 1.2.3}\n", key(`a['b.c']`, "tag")},
		"YAML documents":       {"a.yaml", "t: 1\n---\nu: 1\n---\nt: 2\n", "t: 1.2.3\n---\nu: 1\n---\nt: 1.2.3\n", key("t", "tag")},
		"YAML null":            {"a.yaml", "t: ~\n", "t: 1.2.3\n", key("t", "tag")},
		"Kustomization":        {"b/Kustomization", "images:\n- name: shop\n  newTag: '1'\n- name: x\n  newTag: 2\n", "images:\n- name: shop\n  newTag: '1.2.3'\n- name: x\n  newTag: 2\n", key("images[name=shop].newTag", "tag")},
		"JSON":                 {"a.json", "\ufeff{\"a\": 1.50,\r\n\t\"image\" : \"o\\u006cd\\/x\" , \"b\":[true,null,\"1.2.3\"]}", "\ufeff{\"a\": 1.50,\r\n\t\"image\" : \"1.2.3\" , \"b\":[true,null,\"1.2.3\"]}", key("image", "tag")},
		"JSON item":            {"a.json", `[{"name":"a","t":"x"},{"name":"b","t":"x"},{"name":1}]`, `[{"name":"a","t":"x"},{"name":"b","t":"1.2.3"},{"name":1}]`, key("[name=b].t", "tag")},
		"JSON text":            {"a.json", `"x"`, `"x"`, v1alpha1.Target{Regexp: "(x)x?", Path: "other", Write: "tag"}},
		"TOML":                 {"a.toml", "# top\n[a.\"b.c\"]\nimage = 'old' # mine\n[[d]]\nt = \"1\"\n[[d]]\nt = \"2\"\n", "# top\n[a.\"b.c\"]\nimage = '1.2.3' # mine\n[[d]]\nt = \"1\"\n[[d]]\nt = \"2\"\n", key(`a."b.c".image`, "tag")},
		"TOML array of tables": {"a.toml", "[[d]]\nname = \"x\"\nt = \"1\"\r\n[[d]]\nname = \"y\"\n  t    = \"2\"\n", "[[d]]\nname = \"x\"\nt = \"1\"\r\n[[d]]\nname = \"y\"\n  t    = \"1.2.3\"\n", key("d[name=y].t", "tag")},
		"TOML inline":          {"a.toml", "d = [ {n = 'x', t.u = \"\"\"1\"\"\"}, 3 ]", "d = [ {n = 'x', t.u = \"\"\"1.2.3\"\"\"}, 3 ]", key("d[0].t.u", "tag")},
		"TOML below an array":  {"a.toml", "[[d]]\n[d.e]\nt = '1'\n[[d]]\n[d.e]\nt = '2'\n", "[[d]]\n[d.e]\nt = '1'\n[[d]]\n[d.e]\nt = '1.2.3'\n", key("d[1].e.t", "tag")},
		"Dockerfile":           {"Dockerfile", "FROM r.example.com:5000/shop:1.0 AS a\nFROM x\nFROM r.example.com:5000/shop:1.1\n", "FROM r.example.com:5000/shop:1.2.3 AS a\nFROM x\nFROM r.example.com:5000/shop:1.2.3\n", v1alpha1.Target{Regexp: `(?m)^FROM r\.example\.com:5000/shop:(\S+)`, Write: "tag"}},
		"HCL":                  {"main.tf", "a { image = \"old\" }\n", "a { image = \"r.example.com:5000/shop\" }\n", v1alpha1.Target{Regexp: `(image) = "(?P<value>[^"]*)"`, Write: "name"}},
		"a template":           {"t.yaml", "{{ if x }}\nimage: old\n{{ end }}\n", "{{ if x }}\nimage: 1.2.3\n{{ end }}\n", v1alpha1.Target{Regexp: `image: (\S*)`, Write: "tag"}},
		"part of a YAML value": {"t.yaml", "args: [--image=old, b] # c\n", "args: [--image=1.2.3, b] # c\n", v1alpha1.Target{Regexp: `--image=([^,]*)`, Write: "tag"}},
		"kustomize":            {"k.yaml", "images:\n- name: x\n  newTag: '1'\n- name: shop\n  newName: old\n  newTag: 1.0 # t\n  digest: sha256:11\n", "images:\n- name: x\n  newTag: '1'\n- name: shop\n  newName: r.example.com:5000/shop\n  newTag: 1.2.3 # t\n  digest: " + newDigest + "\n", v1alpha1.Target{Kustomize: "shop"}},
		"kustomize, a tag":     {"k.yaml", "images: [{name: shop, newTag: \"1.0\"}]", "images: [{name: shop, newTag: \"1.2.3\"}]", v1alpha1.Target{Kustomize: "shop"}},
		"helm":                 {"values.yaml", "image:\n  repository: old\n  tag: \"1.0\"\n  digest: \"\"\n", "image:\n  repository: r.example.com:5000/shop\n  tag: \"1.2.3\"\n  digest: \"" + newDigest + "\"\n", v1alpha1.Target{Helm: &v1alpha1.HelmTarget{Repository: "image.repository", Tag: "image.tag", Digest: "image.digest"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := write(t, test.path, test.text, shopImage(), test.target)
			if got != test.want || len(left) > 0 {
				t.Errorf("got  %q\nwant %q\n%q", got, test.want, left)
			}
			again, left := write(t, test.path, got, shopImage(), test.target)
			if again != got || len(left) > 0 {
				t.Errorf("a second edit: %q, %q", again, left)
			}
		})
	}
}

func TestTargetsThatLeadNowhere(t *testing.T) {
	for name, test := range map[string]struct{ path, text, key, want string }{
		"absent":           {"a.yaml", "a: b\n", "a.b", "a.b: it leads to no value"},
		"absent item":      {"a.json", `[]`, "[0]", "leads to no value"},
		"two keys":         {"a.json", "{\"a\":\"x\",\n\"a\":\"y\"}", "a", "lines 1 and 2 are both a: it is ambiguous"},
		"two YAML keys":    {"a.yaml", "a: x\na: y\n", "a", "ambiguous"},
		"two items":        {"a.yaml", "- {name: x, t: 1}\n- {name: x, t: 1}\n", "[name=x].t", "lines 1 and 2 are both [name=x]"},
		"a mapping":        {"a.toml", "[a]\nb = 'x'\n", "a", "a mapping or a list"},
		"an alias":         {"a.yaml", "x: &x y\na: *x\n", "a", "an alias"},
		"a block":          {"a.yaml", "a: |\n  x\n", "a", "a block scalar"},
		"empty":            {"a.yaml", "a:\n", "a", "there is no value"},
		"a number":         {"a.json", `{"a": 1.5}`, "a", "no text: write it in quotes"},
		"null":             {"a.json", `{"a": null}`, "a", "no text"},
		"a TOML number":    {"a.toml", `a = 1.5`, "a", "no text"},
		"a TOML date":      {"a.toml", `a = 1979-05-27`, "a", "no text"},
		"TOML lines":       {"a.toml", "a = '''\nx'''\n", "a", "spans lines"},
		"not JSON":         {"a.json", "{\n // comment\n}", "a", "line 2: invalid character"},
		"commas":           {"a.json", "[1,]", "a", "invalid character"},
		"JSON lines":       {"a.json", "{}\n{}", "a", "line 2"},
		"deep JSON":        {"a.json", strings.Repeat("[", 300) + strings.Repeat("]", 300), "a", "nested deeper than 200"},
		"not TOML":         {"a.toml", "a = 'x'\nb\n", "a", "line 2"},
		"TOML twice":       {"a.toml", "a = 'x'\na = 'y'\n", "a", "line 2"},
		"deep TOML":        {"a.toml", "a = " + strings.Repeat("[", 20_000), "a", "nested"},
		"long TOML key":    {"a.toml", "a" + strings.Repeat(".a", 20_000) + " = 1", "a", "more than 200 parts"},
		"another language": {"a.tf", "a = 1", "a", "hint: use regexp"},
		"not UTF-8":        {"a.json", "{\"a\": \"\xff\"}", "a", "not UTF-8"},
		"NUL":              {"a.json", "{\"a\": \"x\"}\x00", "a", "NUL"},
		"large":            {"a.json", "{\"a\": \"x\"}" + strings.Repeat(" ", MaxBytes), "a", "larger than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := write(t, test.path, test.text, shopImage(), v1alpha1.Target{Key: test.key})
			if got != test.text || len(left) != 1 || !strings.Contains(left[0], test.want) {
				t.Errorf("%.200q, want %q", left, test.want)
			}
		})
	}
}

func TestTargetsThatOverlap(t *testing.T) {
	tag := v1alpha1.Target{Key: "a", Write: "tag"}
	got, left := write(t, "x.yaml", "a: x # {\"$imagepolicy\": \"a:b:tag\"}\n", shopImage(), tag, tag)
	if got != "a: 1.2.3 # {\"$imagepolicy\": \"a:b:tag\"}\n" || len(left) > 0 {
		t.Errorf("the same three times: %q, %q", got, left)
	}
	for name, target := range map[string]v1alpha1.Target{
		"another part": {Key: "a", Write: "name"}, "in the value": {Regexp: "x(y)z", Write: "tag"}, "around it": {Regexp: "(a: xyz)", Write: "tag"},
	} {
		got, left := write(t, "x.yaml", "a: xyz # {\"$imagepolicy\": \"a:b:tag\"}\n", shopImage(), target)
		if !strings.HasPrefix(got, "a: xyz ") || len(left) != 2 || !strings.Contains(fmt.Sprint(left), "writes there, too") {
			t.Errorf("%s: %q, %q", name, got, left)
		}
	}
}

func TestBadTargets(t *testing.T) {
	for want, target := range map[string]v1alpha1.Target{
		"path: 1 to 4096 bytes":            {Key: "a"},
		"a plain path from":                {Path: "../a.yaml", Key: "a"},
		`path "/a.yaml"`:                   {Path: "/a.yaml", Key: "a"},
		`path "a//b"`:                      {Path: "a//b", Key: "a"},
		`path "a\\b"`:                      {Path: `a\b`, Key: "a"},
		"more than 200 parts":              {Path: strings.Repeat("a/", 200) + "a", Key: "a"},
		"0 of key, regexp, kustomize":      {Path: "a"},
		"2 of key, regexp, kustomize":      {Path: "a", Key: "a", Regexp: "(a)"},
		`"tags" is none of ref, tag`:       {Path: "a", Key: "a", Write: "tags"},
		"it belongs to key and regexp":     {Path: "a", Kustomize: "a", Write: "tag"},
		"neither tag nor digest":           {Path: "a", Helm: &v1alpha1.HelmTarget{Repository: "a"}},
		`helm: key "a..b"`:                 {Path: "a", Helm: &v1alpha1.HelmTarget{Tag: "a..b"}},
		`key "a[b]": [b] is no number`:     {Path: "a", Key: "a[b]"},
		`key "a[1": a [ is not closed`:     {Path: "a", Key: "a[1"},
		`key "a[-1]": [-1] is no number`:   {Path: "a", Key: "a[-1]"},
		`a quote is not closed`:            {Path: "a", Key: `"a`},
		`a dot is wanted`:                  {Path: "a", Key: `"a"b`},
		`key "a."`:                         {Path: "a", Key: `a.`},
		"more than 100 parts":              {Path: "a", Key: strings.Repeat("a.", 100) + "a"},
		"key: it has more than 1024 bytes": {Path: "a", Key: strings.Repeat("a", 2000)},
		"missing closing )":                {Path: "a", Regexp: "(a"},
		"it has 0 groups":                  {Path: "a", Regexp: "a"},
		"it has 2 groups":                  {Path: "a", Regexp: "(a)(b)"},
		"more than 1024 bytes":             {Path: "a", Regexp: strings.Repeat("a", 2000)},
		"more than 1000 steps":             {Path: "a", Regexp: "(a{400}b{400}c{400})"},
	} {
		if _, err := NewTarget("a:b", target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRegexpsThatLeadAstray(t *testing.T) {
	for name, test := range map[string]struct{ path, text, expr, want string }{
		"nothing":       {"a", "b", "(a)", "it matches nothing"},
		"lines":         {"a", "b\nb", "(?s)(.*)", "more than one value on one line"},
		"too often":     {"a", strings.Repeat("a\n", 1001), "(?m)^(a)", "more than 1000 times"},
		"too much work": {"a", strings.Repeat("a\n", 500_000), "(?m)^(a.{90})?", "more than 11 times"},
		"never again":   {"a", "v: 0.1", `v: (0\.\d)`, "it would match something else"},
		"eats more":     {"a", "a aa", `(a)\b`, "it would match something else"},
		"not YAML then": {"a.yaml", "a: [b, cd]\n", `a: (\S.*)`, "the edit would change more"},
		"another type":  {"a.yaml", "a: b\n", `a: (\S+)`, ""},
		"not JSON then": {"a.json", `{"a": 1}`, `: (1)`, "after the edit"},
		"a TOML type":   {"a.toml", `a = 1`, `= (1)`, "after the edit"},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := write(t, test.path, test.text, shopImage(), v1alpha1.Target{Regexp: test.expr, Write: "tag"})
			if test.want == "" {
				if got == test.text || len(left) > 0 {
					t.Errorf("%q, %q", got, left)
				}
				return
			}
			if got != test.text || len(left) == 0 || !strings.Contains(left[0], test.want) {
				t.Errorf("%.200q, %q, want %q", got, left, test.want)
			}
		})
	}
	img := shopImage()
	img.Tag = "1.5"
	if got, left := write(t, "a.yaml", "a: v1 # c\n", img, v1alpha1.Target{Regexp: "a: (\\S+)", Write: "tag"}); len(left) != 1 {
		t.Errorf("text becomes a number: %q, %q", got, left)
	}
}

func TestGlobs(t *testing.T) {
	for _, test := range []struct {
		glob, path string
		want       bool
	}{
		{"a.yaml", "a.yaml", true}, {"a.yaml", "b/a.yaml", false}, {"*.yaml", "a.yaml", true}, {"*.yaml", "b/a.yaml", false},
		{"**/a.yaml", "a.yaml", true}, {"**/a.yaml", "b/c/a.yaml", true}, {"b/**", "b/c/a", true}, {"b/**", "c/a", false},
		{"b/**/c/*", "b/c/a", true}, {"b/**/c/*", "b/x/c/y/c/a", true}, {"b/**/c/*", "b/x/c/y/a", false},
		{"a?c", "abc", true}, {"a?c", "a/c", false}, {"a?c", "aключ", false}, {"?", "ж", true}, {"*a*b*", "xxaxxbxx", true},
		{"*a*b", "ba", false}, {"**", "a/b", true}, {"a**b", "axb", true}, {"a**b", "a/b", false}, {"[ab]", "a", false}, {"[ab]", "[ab]", true},
		{strings.Repeat("*a", 2000), strings.Repeat("a", 4000), true}, {strings.Repeat("*a", 2000) + "b", strings.Repeat("a", 4000), false},
		{strings.Repeat("**/a/", 99) + "b", strings.Repeat("a/", 2000) + "c", false},
	} {
		target, err := NewTarget("a:b", v1alpha1.Target{Path: test.glob, Key: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Matches(test.path); got != test.want {
			t.Errorf("%.40s, %.40s: %v", test.glob, test.path, got)
		}
	}
}
