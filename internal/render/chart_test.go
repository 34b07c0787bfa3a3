package render

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const shopChart = `
-- charts/shop/Chart.yaml --
apiVersion: v2
name: shop
version: 1.0.0
appVersion: "7"
dependencies:
- {name: cache, version: ^1.0.0, repository: https://charts.example.com, condition: cache.enabled}
-- charts/shop/values.yaml --
replicas: 1
image: {tag: "1"}
cache: {enabled: true}
list: [a, b]
-- charts/shop/values.schema.json --
{"properties": {"replicas": {"type": "integer", "maximum": 9}}}
-- charts/shop/.helmignore --
*.bak
drafts/
-- charts/shop/crds/crd.yaml --
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.example.com}
-- charts/shop/templates/_names.tpl --
{{- define "shop.name" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
-- charts/shop/templates/NOTES.txt --
Thank you for {{ .Chart.Name }}.
-- charts/shop/templates/shop.yaml.bak --
{{ fail "ignored" }}
-- charts/shop/templates/drafts/x.yaml --
{{ fail "ignored, too" }}
-- charts/shop/templates/empty.yaml --
{{- if false }}
x: y
{{- end }}
-- charts/shop/templates/shop.yaml --
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "shop.name" . }}
  namespace: {{ .Release.Namespace }}
data:
  replicas: {{ .Values.replicas | quote }}
  tag: {{ .Values.image.tag | quote }}
  app: {{ .Chart.AppVersion }}-{{ .Values.list | join "" }}
  kube: {{ .Capabilities.KubeVersion.Version }} {{ .Capabilities.APIVersions.Has "example.com/v1" }}
  found: {{ lookup "v1" "Secret" "" "" | len | quote }}
  host: {{ getHostByName "localhost" | quote }}
  file: {{ .Files.Get "motd.txt" | quote }}
---
apiVersion: v1
kind: Pod
metadata: {name: test, annotations: {helm.sh/hook: "test-success, test"}}
-- charts/shop/motd.txt --
hello
-- charts/shop/charts/cache/Chart.yaml --
apiVersion: v2
name: cache
version: 1.2.3
-- charts/shop/charts/cache/templates/a.yaml --
apiVersion: v1
kind: ConfigMap
metadata: {name: cache, labels: {global: {{ .Values.global | default dict | len | quote }} }}
-- prod.yaml --
replicas: 3
list: [c]
`

func shopOf(change func(*Chart)) Chart {
	c := Chart{Files: newMemory(tree(shopChart)), ValuesFrom: newMemory(tree(shopChart)), Folder: "charts/shop", Release: "prod"}
	if change != nil {
		change(&c)
	}
	return c
}

func data(objs []*unstructured.Unstructured, name string) map[string]string {
	for _, u := range objs {
		if u.GetName() == name {
			values, _, _ := unstructured.NestedStringMap(u.Object, "data")
			return values
		}
	}
	return nil
}

func TestChart(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Chart)
		want   string            // the objects
		data   map[string]string // of the shop's ConfigMap
	}{
		"defaults": {nil, "CustomResourceDefinition carts.example.com, ConfigMap cache, ConfigMap default/prod-shop",
			map[string]string{"replicas": "1", "tag": "1", "app": "7-ab", "kube": "v1.36.0 false", "found": "0", "host": "", "file": "hello\n"}},
		"values, set": {func(c *Chart) {
			c.Values = []string{"prod.yaml"}
			c.Set = map[string]any{"image.tag": "2", "list[1]": "d", "cache.enabled": false}
			c.Release, c.Namespace, c.KubeVersion, c.APIVersions = "x", "shop", "1.30.1", []string{"example.com/v1"}
			c.SkipCRDs = true
		}, "ConfigMap shop/x-shop", map[string]string{"replicas": "3", "tag": "2", "app": "7-cd", "kube": "v1.30.1 true"}},
		"set goes before values": {func(c *Chart) { c.Values = []string{"prod.yaml"}; c.Set = map[string]any{"replicas": 4.0} }, "",
			map[string]string{"replicas": "4"}},
		"a whole list": {func(c *Chart) { c.Set = map[string]any{"list": []any{"x", "y"}} }, "", map[string]string{"app": "7-xy"}},
		"null":         {func(c *Chart) { c.Set = map[string]any{"image.tag": nil} }, "", map[string]string{"tag": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			objs, err := shopOf(c.change).Render(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := names(objs); c.want != "" && got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			got := data(objs, map[bool]string{true: "x-shop", false: "prod-shop"}[name == "values, set"])
			for key, want := range c.data {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
		})
	}
}

// TestChartRefuses adds a template, or replaces a file, of a chart that renders.
func TestChartRefuses(t *testing.T) {
	named := func(value string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {x: " + value + "}\n"
	}
	hook := func(event string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: job, annotations: {helm.sh/hook: \"" + event + "\"}}\n"
	}
	for name, c := range map[string]struct{ file, content, want string }{
		"random":          {"templates/x.yaml", named(`{{ randAlphaNum 8 | quote }}`), `the template "charts/shop/templates/x.yaml" renders ConfigMap made differently`},
		"uuid":            {"templates/x.yaml", named(`{{ uuidv4 | quote }}`), "renders ConfigMap made differently"},
		"the time since":  {"templates/x.yaml", named(`{{ durationRound (toDate "2006" "2000") | quote }}`), "renders ConfigMap made differently"},
		"an unknown zone": {"templates/x.yaml", named(`{{ dateInZone "2006" 0 "Europe/Atlantis" | quote }}`), `the time zone "Europe/Atlantis" is not known on this machine`},
		"a digit":         {"templates/x.yaml", named(`{{ randNumeric 1 | quote }}`), "renders ConfigMap made differently"},
		"a letter":        {"templates/x.yaml", named(`{{ randAlpha 1 | lower | quote }}`), "renders ConfigMap made differently"},
		"any letter":      {"templates/x.yaml", named(`{{ randAlphaNum 1 | lower | quote }}`), "renders ConfigMap made differently"},
		"a sign":          {"templates/x.yaml", named(`{{ randAscii 1 | quote }}`), "renders ConfigMap made differently"},
		"a byte":          {"templates/x.yaml", named(`{{ randBytes 1 | quote }}`), "renders ConfigMap made differently"},
		"half a byte":     {"templates/x.yaml", named(`{{ uuidv4 | trunc 1 | quote }}`), "renders ConfigMap made differently"},
		"much chance":     {"templates/x.yaml", `{{ randAlpha 1000000000000 }}`, "over the limit"},
		"a coin":          {"templates/x.yaml", named(`{{ randInt 0 2 | quote }}`), "renders ConfigMap made differently"},
		"a certificate":   {"templates/x.yaml", named(`{{ (genCA "x" 1).Cert | b64enc | quote }}`), "renders ConfigMap made differently"},
		"the year":        {"templates/x.yaml", named(`{{ now | date "2006" | quote }}`), "renders ConfigMap made differently"},
		"the year of nil": {"templates/x.yaml", named(`{{ date "2006" "x" | quote }}`), "renders ConfigMap made differently"},
		"a map's order":   {"templates/x.yaml", named(`{{ keys .Values.cache .Values.image | join "," | quote }}` + `{{ keys (dict "a" 1 "b" 2) | first }}`), "differently each time"},
		"a made-up name":  {"templates/x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a{{ randInt 0 9 }}}\n", "renders ConfigMap a0 differently"},
		"a hook":          {"templates/x.yaml", hook("pre-install,pre-upgrade"), `"charts/shop/templates/x.yaml": Pod job is a hook (pre-install,pre-upgrade)`},
		"half a test":     {"templates/x.yaml", hook("test,post-delete"), "is a hook"},
		"fail":            {"templates/x.yaml", `{{ fail "no luck" }}`, "no luck"},
		"required":        {"templates/x.yaml", `{{ required "name it" .Values.none }}`, "name it"},
		"syntax":          {"templates/x.yaml", "a: {{ \n", "templates/x.yaml:"},
		"no YAML":         {"templates/x.yaml", "a: [\n", `"charts/shop/templates/x.yaml" line`},
		"no object":       {"templates/x.yaml", "a: b\n", `"charts/shop/templates/x.yaml" line 1: an object without kind`},
		"twice":           {"templates/x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cache}\n", "ConfigMap cache is there twice"},
		"recursion":       {"templates/x.yaml", `{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, "nested reference name"},
		"deep recursion":  {"templates/x.yaml", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, "exceeded maximum template depth"},
		"much of little":  {"templates/x.yaml", `{{ repeat 1000000000000 "x" }}`, "over the limit"},
		"many numbers":    {"templates/x.yaml", `{{ range until 1000000000000 }}x{{ end }}`, "over the limit"},
		"much in little":  {"templates/x.yaml", `{{ $b := repeat 1000000 "x" }}{{ replace "" $b $b | len }}`, "replace: it makes more than 67108864 bytes"},
		"much between":    {"templates/x.yaml", `{{ $b := repeat 1000000 "x" }}{{ join $b (until 1000000) | len }}`, "join: it makes more than 67108864 bytes"},
		"wide":            {"templates/x.yaml", `{{ indent 1000000000000 "x" }}`, "over the limit"},
		"environment":     {"templates/x.yaml", `{{ env "HOME" }}`, `function "env" not defined`},
		"panic":           {"templates/x.yaml", `{{ index .Values.list 7 }}`, "out of range"},
		"missing": {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: database, version: 1.x, repository: https://charts.example.com}]\n",
			`the dependency "database" (1.x) of shop is not in its charts folder; hint: helm dependency build`},
		"missing, disabled": {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: database, version: 1.x, condition: database.enabled}]\n", "is not in its charts folder"},
		"another version":   {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: cache, version: ^2.0.0}]\n", `the dependency "cache" (^2.0.0) of shop is not`},
		"the same twice":    {"charts/store/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.2.3\n", `the charts folder of shop holds "cache" in the version "1.2.3" twice; hint:`},
		"below":             {"charts/cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.2.3\ndependencies: [{name: disk, version: 1.x}]\n", `the dependency "disk" (1.x) of shop/cache is not`},
		"an empty one":      {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [null]\n", "charts/shop"},
		"a library":         {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\ntype: library\n", "library chart"},
		"no name":           {"Chart.yaml", "apiVersion: v2\nversion: 1.0.0\n", "chart.metadata.name is required"},
		"another cluster":   {"Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\nkubeVersion: '>=1.99'\n", "it is for Kubernetes >=1.99, not v1.36.0; hint:"},
		"chart's YAML":      {"Chart.yaml", "a: &a [*a]\n", `"charts/shop/Chart.yaml" line`},
		"chart's values":    {"values.yaml", "a: 1\na: 2\n", `"charts/shop/values.yaml" line 2: key "a" is there twice`},
		"laughs":            {"values.yaml", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + laughs(), "over the limit"},
		"schema":            {"values.yaml", "replicas: 10\n", "the values do not fit the schema of shop: "},
		"schema elsewhere":  {"values.schema.json", `{"$ref": "https://example.com/schema.json"}`, "nothing is fetched"},
		"schema's file":     {"values.schema.json", `{"$ref": "file:///etc/passwd"}`, "nothing is fetched"},
		"odd schema":        {"values.schema.json", `[`, "schema of shop"},
		"definition":        {"crds/crd.yaml", "a: b\n", `"charts/shop/crds/crd.yaml" line 1`},
		"odd ignore":        {".helmignore", "a**b\n", `"charts/shop/.helmignore": `},
		"conflict": {"values.yaml", "a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n",
			`"charts/shop/values.yaml" line 2 is a conflict marker of Git (<<<<<<<)`},
		"no archive": {"charts/x.tgz", "x", `"charts/x.tgz": reading gzip`},
	} {
		t.Run(name, func(t *testing.T) {
			files := newMemory(tree(shopChart))
			files["charts/shop/"+c.file] = []byte(c.content)
			objs, err := shopOf(func(s *Chart) { s.Files = files }).Render(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %v, want %q", names(objs), err, c.want)
			}
		})
	}
}

// laughs refers ten times to what refers ten times to a.
func laughs() string {
	var b strings.Builder
	for c := 'b'; c < 'k'; c++ {
		b.WriteString(string(c) + ": &" + string(c) + " [")
		b.WriteString(strings.Repeat("*"+string(c-1)+",", 9) + "*" + string(c-1) + "]\n")
	}
	return b.String()
}

func TestChartOptionsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Chart)
		want   string
	}{
		"no chart":        {func(c *Chart) { c.Folder = "charts" }, `there is no chart in "charts"`},
		"no folder":       {func(c *Chart) { c.Folder = "none" }, `there is no chart in "none"`},
		"above":           {func(c *Chart) { c.Folder = "../x" }, "is no folder of the repository"},
		"absolute":        {func(c *Chart) { c.Folder = "/charts" }, "is no folder of the repository"},
		"no values":       {func(c *Chart) { c.Values = []string{"none.yaml"} }, `the values: "none.yaml"`},
		"values above":    {func(c *Chart) { c.Values = []string{"../x.yaml"} }, "are no file of the repository"},
		"a list":          {func(c *Chart) { c.ValuesFrom = newMemory(tree("-- a --\n- b\n")); c.Values = []string{"a"} }, `"a": `},
		"two documents":   {func(c *Chart) { c.ValuesFrom = newMemory(tree("-- a --\na: b\n---\nc: d\n")); c.Values = []string{"a"} }, "2 YAML documents"},
		"no key":          {func(c *Chart) { c.Set = map[string]any{"": 1} }, "is no path"},
		"two keys":        {func(c *Chart) { c.Set = map[string]any{"a=1,b": 1} }, "is no path"},
		"odd key":         {func(c *Chart) { c.Set = map[string]any{"a[": 1.0} }, `set: "a["`},
		"a large index":   {func(c *Chart) { c.Set = map[string]any{"a[100000000]": 1.0} }, `set: "a[100000000]"`},
		"a large number":  {func(c *Chart) { c.Set = map[string]any{"a": float64(9007199254740993)} }, `set: "a": holds a number of more than 2^53`},
		"one in a list":   {func(c *Chart) { c.Set = map[string]any{"a": map[string]any{"b": []any{-1e30}}} }, `set: "a": holds a number of more than 2^53`},
		"schema":          {func(c *Chart) { c.Set = map[string]any{"replicas": "3"} }, "got string, want integer"},
		"no kube version": {func(c *Chart) { c.KubeVersion = "x" }, `kubeVersion "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shopOf(c.change).Render(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestHooks: tests are dropped, other hooks only on demand.
func TestHooks(t *testing.T) {
	files := newMemory(tree(shopChart))
	files["charts/shop/templates/x.yaml"] = []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: job, annotations: {helm.sh/hook: post-install}}\n")
	objs, err := shopOf(func(c *Chart) { c.Files, c.NoHooks = files, true }).Render(t.Context())
	if err != nil || strings.Contains(names(objs), "Pod") {
		t.Errorf("%s, %v", names(objs), err)
	}
}

// pack makes the archive of a chart, as helm package does.
func pack(t *testing.T, files string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, f := range tree(files) {
		if err := archive.WriteHeader(&tar.Header{Name: f.Path, Mode: 0o644, Size: int64(len(f.Data)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(f.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestVendoredArchive(t *testing.T) {
	inner := pack(t, "-- disk/Chart.yaml --\napiVersion: v2\nname: disk\nversion: 1.0.0\n-- disk/templates/a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: disk}\n")
	outer := pack(t, "-- cache/Chart.yaml --\napiVersion: v2\nname: cache\nversion: 1.9.0\ndependencies: [{name: disk, version: 1.x}]\n"+
		"-- cache/templates/a.yaml --\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cache}\n-- cache/charts/disk-1.0.0.tgz --\nDISK\n")
	files := newMemory(tree(shopChart))
	delete(files, "charts/shop/charts/cache/Chart.yaml")
	delete(files, "charts/shop/charts/cache/templates/a.yaml")
	files["charts/shop/charts/cache-1.9.0.tgz"] = outer
	if _, err := shopOf(func(c *Chart) { c.Files = files }).Render(t.Context()); err == nil || !strings.Contains(err.Error(), `"charts/cache-1.9.0.tgz.d/charts/disk-1.0.0.tgz"`) {
		t.Error(err)
	}
	// A tar cannot be written from a txtar with binary in it: the inner one lies beside.
	unpackedOuter, err := Unpack(outer)
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "charts/shop/charts/cache-1.9.0.tgz")
	for _, f := range unpackedOuter {
		files["charts/shop/charts/"+f.Path] = f.Data
	}
	files["charts/shop/charts/cache/charts/disk-1.0.0.tgz"] = inner
	objs, err := shopOf(func(c *Chart) { c.Files = files }).Render(t.Context())
	if err != nil || names(objs) != "CustomResourceDefinition carts.example.com, ConfigMap disk, ConfigMap cache, ConfigMap default/prod-shop" {
		t.Errorf("%s, %v", names(objs), err)
	}
}

// TestArchiveBomb: 1 GiB of zeros in 1 MB are refused while they are read.
func TestArchiveBomb(t *testing.T) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for range 80 {
		if err := archive.WriteHeader(&tar.Header{Name: "a/b", Mode: 0o644, Size: 1 << 20, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	_ = archive.Close()
	_ = zip.Close()
	files := newMemory(tree(shopChart))
	files["charts/shop/charts/bomb-1.tgz"] = out.Bytes()
	if _, err := shopOf(func(c *Chart) { c.Files = files }).Render(t.Context()); err == nil {
		t.Error("accepted")
	}
}

// TestChartDialsNobody: neither schemas nor lookups reach the network.
func TestChartDialsNobody(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	files := newMemory(tree(shopChart))
	files["charts/shop/values.schema.json"] = []byte(`{"$ref": "` + server.URL + `/schema.json"}`)
	if _, err := shopOf(func(c *Chart) { c.Files = files }).Render(t.Context()); err == nil || asked > 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}
