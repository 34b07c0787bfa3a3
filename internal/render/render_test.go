package render

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// tree reads files written as "-- path --" and their content.
func tree(text string) []objects.File {
	var files []objects.File
	for _, f := range txtar.Parse([]byte(text)).Files {
		files = append(files, objects.File{Path: f.Name, Data: f.Data})
	}
	return files
}

func names(objs []*unstructured.Unstructured) string {
	var all []string
	for _, u := range objs {
		all = append(all, objects.Name(u))
	}
	return strings.Join(all, ", ")
}

const shop = `
-- deploy/base/kustomization.yaml --
resources: [pod.yaml]
configMapGenerator:
- name: texts
  files: [greeting=../../texts/hello.txt]
-- deploy/base/pod.yaml --
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec: {containers: [{name: shop, image: registry.example.com/shop:1}]}
-- texts/hello.txt --
hello
-- deploy/prod/kustomization.yaml --
namespace: shop
resources: [../base, namespace.yaml]
components: [../labels]
patches: [{path: patch.yaml}]
images: [{name: registry.example.com/shop, newTag: "2"}]
-- deploy/prod/namespace.yaml --
apiVersion: v1
kind: Namespace
metadata: {name: shop}
-- deploy/prod/patch.yaml --
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec: {hostname: prod}
-- deploy/labels/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
labels: [{pairs: {team: shop}}]
`

func TestKustomization(t *testing.T) {
	objs, err := Render(tree(shop), "deploy/prod")
	if err != nil {
		t.Fatal(err)
	}
	if got := names(objs); !strings.HasPrefix(got, "Namespace shop, ConfigMap shop/texts-") || !strings.HasSuffix(got, ", Pod shop/shop") {
		t.Fatal(got)
	}
	if data, _, _ := unstructured.NestedString(objs[1].Object, "data", "greeting"); data != "hello\n" {
		t.Errorf("the file above the kustomization is %q", data)
	}
	pod := objs[2]
	hostname, _, _ := unstructured.NestedString(pod.Object, "spec", "hostname")
	if images := objects.Images(objs); pod.GetLabels()["team"] != "shop" || hostname != "prod" || len(images) != 1 || images[0] != "registry.example.com/shop:2" {
		t.Errorf("the pod is %v", pod.Object)
	}
}

func TestPlain(t *testing.T) {
	for name, c := range map[string]struct{ folder, files, want string }{
		"folder": {"deploy", `
-- deploy/b/x.json --
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
-- deploy/a.yml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
-- deploy/.hidden.yaml --
[
-- deploy/.git/x.yaml --
[
-- deploy/README.md --
[
-- deployed/x.yaml --
[
`, "ConfigMap a, ConfigMap b"},
		"root": {".", `
-- sealift.yaml --
apiVersion: sealift.dev/v1alpha1
kind: Config
-- a.yaml --
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
`, "ConfigMap a"},
		"hidden root": {".deploy", "-- .deploy/a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", "ConfigMap a"},
		"slash":       {"./deploy/", "-- deploy/a.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", "ConfigMap a"},
	} {
		objs, err := Render(tree(c.files), c.folder)
		if err != nil || names(objs) != c.want {
			t.Errorf("%s: %s, %v", name, names(objs), err)
		}
	}
}

func TestRefuses(t *testing.T) {
	const object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
	for name, c := range map[string]struct{ folder, files, want string }{
		"no folder":           {"prod", "-- deploy/a.yaml --\n" + object, `there is no folder "prod"`},
		"outside":             {"../prod", "-- deploy/a.yaml --\n" + object, `"../prod" is no folder of the repository`},
		"absolute":            {"/deploy", "-- deploy/a.yaml --\n" + object, `"/deploy" is no folder of the repository`},
		"nothing to render":   {"deploy", "-- deploy/README.md --\nhello\n", `"deploy" holds no YAML or JSON files`},
		"no objects":          {"deploy", "-- deploy/a.yaml --\n# nothing yet\n", `"deploy" holds no objects`},
		"kustomized, empty":   {"deploy", "-- deploy/kustomization.yaml --\nresources: [a.yaml]\n-- deploy/a.yaml --\n# nothing\n", `"deploy" holds no objects`},
		"broken":              {"deploy", "-- deploy/a.yaml --\n" + object + "---\nkind: [\n", `"deploy/a.yaml" line 3`},
		"no kind":             {"deploy", "-- deploy/a.yaml --\n\n{apiVersion: v1, metadata: {name: a}}\n", `"deploy/a.yaml" line 2: an object without kind`},
		"no name":             {"deploy", "-- deploy/a.yaml --\n{apiVersion: v1, kind: Pod, metadata: {}}\n", `"deploy/a.yaml" line 1`},
		"twice":               {"deploy", "-- deploy/a.yaml --\n" + object + "-- deploy/b.yaml --\n" + object, `"deploy/b.yaml" line 1: ConfigMap a is there twice; the first is in "deploy/a.yaml" line 1`},
		"two kustomizations":  {"deploy", "-- deploy/kustomization.yaml --\n-- deploy/Kustomization --\n", "two kustomizations"},
		"a kustomization":     {"deploy", "-- deploy/a/kustomization.yaml --\nresources: []\n", `"deploy/a/kustomization.yaml" is a kustomization`},
		"kustomized, broken":  {"deploy", "-- deploy/kustomization.yaml --\nresources: [a.yaml]\n-- deploy/a.yaml --\n\n\nkind: [\n", `"deploy/a.yaml" line `},
		"kustomized, no name": {"deploy", "-- deploy/kustomization.yaml --\nresources: [a.yaml]\n-- deploy/a.yaml --\n{apiVersion: v1, kind: Pod}\n", `building the kustomization in "deploy"`},
		"kustomized, twice":   {"deploy", "-- deploy/kustomization.yaml --\nresources: [a.yaml, b.yaml]\n-- deploy/a.yaml --\n" + object + "-- deploy/b.yaml --\n" + object, `building the kustomization in "deploy"`},
		"kustomized, crash":   {"deploy", "-- deploy/kustomization.yaml --\ncrds: [a.json]\n-- deploy/a.json --\n", `kustomize fails on it`},
		"bad kustomization":   {"deploy", "-- deploy/kustomization.yaml --\nresources: [\n", `"deploy/kustomization.yaml" line `},
		"unknown field":       {"deploy", "-- deploy/kustomization.yaml --\nresource: [a.yaml]\n", `unknown field "resource"`},
		"missing":             {"deploy", "-- deploy/kustomization.yaml --\nresources: [b.yaml]\n", `"deploy/kustomization.yaml": resources: "b.yaml" is not in the repository`},
		"missing below":       {"deploy", "-- deploy/kustomization.yaml --\nresources: [b]\n-- deploy/b/kustomization.yaml --\ncomponents: [c]\n", `"deploy/b/kustomization.yaml": components: "c" is not in the repository`},
		"out":                 {"deploy", "-- deploy/kustomization.yaml --\nresources: [../../etc]\n", `"../../etc" leads out of the repository`},
		"absolute entry":      {"deploy", "-- deploy/kustomization.yaml --\nresources: [/etc/passwd]\n", `"/etc/passwd" is an absolute path`},
		"cycle":               {"a", "-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\nresources: [../a]\n", `the kustomization in "a" includes itself`},
		"chart":               {"a", "-- a/kustomization.yaml --\nhelmCharts: [{name: x}]\n", "helmCharts is not supported"},
		"old chart":           {"a", "-- a/kustomization.yaml --\nhelmChartInflationGenerator: [{chartName: x}]\n", "helmChartInflationGenerator is not supported"},
		"generator":           {"a", "-- a/kustomization.yaml --\ngenerators: [x.yaml]\n", "generators is not supported"},
		"transformer":         {"a", "-- a/kustomization.yaml --\ntransformers: [x.yaml]\n", "transformers is not supported"},
		"validator":           {"a", "-- a/kustomization.yaml --\nvalidators: [x.yaml]\n", "validators is not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			objs, err := Render(tree(c.files), c.folder)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v, want %q", names(objs), err, c.want)
			}
		})
	}
}

// TestRemote gives every field of a kustomization that takes a path an address,
// and looks whether somebody is called.
func TestRemote(t *testing.T) {
	called := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called = r.URL.Path }))
	t.Cleanup(server.Close)
	bin := t.TempDir()
	ran := filepath.Join(bin, "ran")
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\necho \"$@\" >>"+ran+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	for _, address := range []string{
		server.URL + "/x.yaml", strings.Replace(server.URL, "http", "HTTP", 1) + "/x", "git::" + server.URL + "/x", "github.com/acme/deploy",
		"GitHub.com/acme/deploy?ref", "git@github.com:acme/deploy.git", "github.com:acme/deploy", "file:///tmp/x.git", "ssh://git@localhost/x",
		"http:/x",
	} {
		for _, field := range []string{
			"resources: ['%s']", "bases: ['%s']", "components: ['%s']", "crds: ['%s']", "configurations: ['%s']", "openapi: {path: '%s'}",
			"patchesStrategicMerge: ['%s']", "patches: [{path: '%s'}]", "patchesJson6902: [{path: '%s', target: {version: v1, kind: Pod, name: a}}]",
			"replacements: [{path: '%s'}]", "configMapGenerator: [{name: a, files: ['%s']}]", "configMapGenerator: [{name: a, files: ['key=%s']}]",
			"configMapGenerator: [{name: a, envs: ['%s']}]", "secretGenerator: [{name: a, env: '%s'}]", "resources: ['below/%s/../../ok']",
		} {
			text := fmt.Sprintf("-- a/kustomization.yaml --\nresources: [../b]\n-- b/kustomization.yaml --\n"+field+"\n", address)
			_, err := Render(tree(text+"-- b/"+address+"/kustomization.yaml --\nnamePrefix: a\n"), "a")
			if err == nil || !strings.Contains(err.Error(), "is remote") && !strings.Contains(field, "below") {
				t.Errorf("%s of %q: %v", field, address, err)
			}
		}
	}
	if commands, _ := os.ReadFile(ran); called != "" || len(commands) > 0 {
		t.Errorf("rendering has asked for %q and run git %s", called, commands)
	}
}

// TestLongVariables: kustomize would leave out a line that is too long, and all after it.
func TestLongVariables(t *testing.T) {
	for length, want := range map[int]int{65_500: 3, 65_534: 3, 65_535: 0, 70_000: 0} {
		for _, generator := range []string{"configMapGenerator: [{name: a, envs: [e]}]", "secretGenerator: [{name: a, env: e}]"} {
			objs, err := Render(tree("-- p/kustomization.yaml --\n"+generator+"\n-- p/e --\nA=1\n"+"B="+strings.Repeat("x", length-2)+"\nC=1\n"), "p")
			if want == 0 && (!errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), `"p/e" line 2 has more than 65534 bytes`)) {
				t.Errorf("%d, %s: %v", length, generator, err)
			}
			if want > 0 && (err != nil || len(objs[0].Object["data"].(map[string]any)) != want) {
				t.Errorf("%d, %s: %d objects, %v", length, generator, len(objs), err)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	var doubling strings.Builder
	for i := range 20 {
		fmt.Fprintf(&doubling, "-- k%d/kustomization.yaml --\nresources: [../x%d, ../y%d]\n", i, i, i)
		for _, side := range []string{"x", "y"} {
			fmt.Fprintf(&doubling, "-- %s%d/kustomization.yaml --\nnamePrefix: %s-\nresources: [../k%d]\n", side, i, side, i+1)
		}
	}
	doubling.WriteString("-- k20/kustomization.yaml --\nresources: [a.yaml]\n-- k20/a.yaml --\n{apiVersion: v1, kind: Pod, metadata: {name: a}}\n")
	files := tree(doubling.String())
	if _, err := Render(files, "k0"); !errors.Is(err, objects.ErrLimit) {
		t.Errorf("2^20 bases: %v", err)
	}
	if objs, err := Render(files, "k17"); err != nil || len(objs) != 8 {
		t.Errorf("2^3 bases: %s, %v", names(objs), err)
	}
	r := &reader{tree: newMemory(tree(shop)), limits: objects.DefaultLimits()}
	r.limits.Total = 100
	if _, err := build(r, "deploy/prod"); !errors.Is(err, objects.ErrLimit) {
		t.Errorf("more bytes than the limit: %v", err)
	}
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	for _, file := range []string{"resources: [x.yaml]", "patches: [{path: x.yaml}]", "configurations: [x.yaml]"} {
		text := "-- a/kustomization.yaml --\n" + file + "\n-- a/x.yaml --\n" + laughs
		if _, err := Render(tree(text), "a"); !errors.Is(err, objects.ErrLimit) {
			t.Errorf("%s of a billion laughs: %v", file, err)
		}
	}
}

// TestInlinePatches gives every patch that a kustomization holds itself a billion
// laughs, and then something good.
func TestInlinePatches(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	indent := func(text string) string {
		return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
	}
	const object = "-- a/x.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}\n"
	const merge = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: patched}\n"
	const operations = "- {op: add, path: /data, value: {a: patched}}\n"
	for field, c := range map[string]struct{ before, good string }{
		"patches[0].patch":         {"patches:\n- target: {kind: ConfigMap}\n  patch: |\n", operations},
		"patchesJson6902[0].patch": {"patchesJson6902:\n- target: {version: v1, kind: ConfigMap, name: x}\n  patch: |\n", operations},
		"patchesStrategicMerge[0]": {"patchesStrategicMerge:\n- |\n", merge},
	} {
		head := "-- a/kustomization.yaml --\nresources: [x.yaml]\n" + c.before
		_, err := Render(tree(head+indent(bomb)+object), "a")
		if !errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), "a/kustomization.yaml: "+field) {
			t.Errorf("%s of a billion laughs: %v", field, err)
		}
		objs, err := Render(tree(head+indent(c.good)+object), "a")
		if err != nil {
			t.Errorf("%s: %v", field, err)
			continue
		}
		if data, _, _ := unstructured.NestedString(objs[0].Object, "data", "a"); data != "patched" {
			t.Errorf("%s gives %v", field, objs[0].Object)
		}
	}
}

// TestCopies doubles a field 40 times, by operations on JSON and by a file of them.
func TestCopies(t *testing.T) {
	const object = "-- a/x.yaml --\n{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b}}\n"
	for _, c := range []struct {
		copies int
		ok     bool
	}{{40, false}, {1, true}} {
		operations := "- {op: copy, from: /data/a, path: /data/b}\n"
		for i := range c.copies - 1 {
			operations += fmt.Sprintf("- {op: copy, from: /data, path: /data/x%d}\n", i)
		}
		for place, text := range map[string]string{
			"inline": "patches:\n- target: {kind: ConfigMap}\n  patch: |\n    " + strings.ReplaceAll(strings.TrimSpace(operations), "\n", "\n    ") + "\n",
			"file":   "patches:\n- target: {kind: ConfigMap}\n  path: p.yaml\n-- a/p.yaml --\n" + operations,
		} {
			_, err := Render(tree("-- a/kustomization.yaml --\nresources: [x.yaml]\n"+text+object), "a")
			if c.ok != (err == nil) || !c.ok && !strings.Contains(err.Error(), `building the kustomization in "a"`) {
				t.Errorf("%d copies %s: %v", c.copies, place, err)
			}
		}
	}
}

func TestKustomizedObjectsAreBounded(t *testing.T) {
	documents := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a%d}}\n", i)
		}
		return b.String()
	}
	list := "{apiVersion: v1, kind: List, items: [" +
		strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(documents(maxKustomized+1), "---\n", ""), "\n", ","), ",") + "]}\n"
	generators := "configMapGenerator:\n" + strings.Repeat("- {name: x, literals: [a=b]}\n", maxKustomized+1)
	const resources = "-- a/kustomization.yaml --\nresources: [x.yaml]\n"
	for name, text := range map[string]string{
		"documents":  resources + "-- a/x.yaml --\n" + documents(maxKustomized),
		"list":       resources + "-- a/x.yaml --\n" + list,
		"lists":      resources + "-- a/x.yaml --\n{apiVersion: v1, kind: List, items: [" + strings.TrimSpace(list) + "]}\n",
		"generators": "-- a/kustomization.yaml --\n" + generators,
		"two bases":  "-- a/kustomization.yaml --\nresources: [b, c]\n-- a/b/kustomization.yaml --\nresources: [../x.yaml]\n-- a/c/kustomization.yaml --\nresources: [../x.yaml]\n-- a/x.yaml --\n" + documents(maxKustomized/2),
	} {
		_, err := Render(tree(text), "a")
		if !errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), "more than 3000 objects") || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if objs, err := Render(tree("-- a/x.yaml --\n"+documents(maxKustomized+1)), "a"); err != nil || len(objs) != maxKustomized+1 {
		t.Errorf("plain: %d objects, %v", len(objs), err)
	}
	if objs, err := Render(tree(resources+"-- a/x.yaml --\n"+documents(200)), "a"); err != nil || len(objs) != 200 {
		t.Errorf("kustomized: %d objects, %v", len(objs), err)
	}
}
