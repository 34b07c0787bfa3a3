package objects

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func decode(t *testing.T, files ...File) ([]*unstructured.Unstructured, error) {
	t.Helper()
	return Decode(files, DefaultLimits())
}

func TestDecodeRefuses(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		laughs += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	for name, c := range map[string]struct{ data, want string }{
		"broken":                  {configMap + "---\nkind: [\n", `"f.yaml" line `},
		"broken, late":            {configMap + "---\n" + configMap + "bad: [\n  x\n---\n", `"f.yaml" line 7`},
		"tab":                     {"kind: X\n\tname: y\n", `"f.yaml" line 2`},
		"scalar":                  {"hello\n", "a Kubernetes object is wanted"},
		"sequence":                {"- a\n", "a Kubernetes object is wanted"},
		"no kind":                 {"apiVersion: v1\nmetadata: {name: a}\n", "without kind"},
		"no apiVersion":           {"kind: ConfigMap\nmetadata: {name: a}\n", "without apiVersion"},
		"no metadata":             {"apiVersion: v1\nkind: ConfigMap\n", "without metadata.name"},
		"no name":                 {"apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "without metadata.name"},
		"line of no name":         {configMap + "---\n\n\napiVersion: v1\nkind: Secret\nmetadata: {}\n", `"f.yaml" line 7`},
		"generateName":            {"apiVersion: v1\nkind: Pod\nmetadata: {name: x, generateName: a-}\n", "hint: give it metadata.name instead, or make it a hook"},
		"generateName 1":          {"apiVersion: v1\nkind: Pod\nmetadata: {generateName: 1, annotations: {sealift.dev/hook: Sync}}\n", "not a string, but 1"},
		"name yes":                {"apiVersion: v1\nkind: Pod\nmetadata: {name: yes}\n", "not a string, but true"},
		"name 012":                {"apiVersion: v1\nkind: Pod\nmetadata: {name: 012}\n", "not a string, but 10"},
		"name 0x1F":               {"apiVersion: v1\nkind: Pod\nmetadata: {name: 0x1F}\n", "not a string, but 31"},
		"name 1e3":                {"apiVersion: v1\nkind: Pod\nmetadata: {name: 1e3}\n", "not a string, but 1000"},
		"name with slash":         {"apiVersion: v1\nkind: Pod\nmetadata: {name: a/b}\n", "is not a name"},
		"name with percent":       {"apiVersion: v1\nkind: Pod\nmetadata: {name: a%2fb}\n", "is not a name"},
		"name of dots":            {"apiVersion: v1\nkind: Pod\nmetadata: {name: ..}\n", "is not a name"},
		"name with escape":        {"apiVersion: v1\nkind: Pod\nmetadata: {name: \"a\\e[31m\"}\n", "is not a name"},
		"namespace with slash":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: ../b}\n", "is not a namespace"},
		"apiVersion with dots":    {"apiVersion: ../v1\nkind: Pod\nmetadata: {name: a}\n", "is not an apiVersion"},
		"kind with slash":         {"apiVersion: v1\nkind: a/b\nmetadata: {name: a}\n", "is not a kind"},
		"owner":                   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, ownerReferences: [{uid: x}]}\n", "ownerReferences"},
		"label true":              {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {a: true}}\n", `labels["a"] is not a string`},
		"duplicate key":           {configMap + "data: {a: b}\ndata: {c: d}\n", `"data" is there twice`},
		"duplicate key by type":   {configMap + "data: {1: b, \"1\": d}\n", `"1" is there twice`},
		"duplicate object":        {configMap + "---\n" + configMap, `ConfigMap a is there twice; the first is in "f.yaml" line 1`},
		"merged namespace":        {"x: &x {namespace: kube-system}\napiVersion: v1\nkind: Pod\nmetadata: {name: a, <<: *x}\n", "merge key in metadata"},
		"merged object":           {"x: &x {kind: Secret}\napiVersion: v1\n<<: *x\nmetadata: {name: a}\n", "merge key at the top"},
		"merged item":             {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a, <<: {namespace: b}}\n", "merge key in metadata"},
		"billion laughs":          {configMap + laughs, "aliases are expanded"},
		"quadratic aliases":       {configMap + "a: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.Repeat("*a, ", 1000) + "]\n", "aliases are expanded"},
		"alias cycle":             {configMap + "a: &a [*a]\n", "contains itself"},
		"100,000 brackets":        {configMap + "a: " + strings.Repeat("[", 100_000), "line 4"},
		"101 levels":              {configMap + "a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101), "levels deep"},
		"400,000 values":          {configMap + "a: [" + strings.Repeat("[],", 100_000) + "]", "more than 300000 values"},
		"100,000 documents":       {strings.Repeat("---\nx: 1\n", 100_000), "more than 20000 documents"},
		"large document":          {configMap + "data: {a: " + strings.Repeat("x", 4<<20) + "}\n", "more than 4194304 bytes"},
		"UTF-16":                  {"\xff\xfea\x00:\x00", "not UTF-8"},
		"NUL":                     {configMap + "data: {a: \x00}\n", "control character U+0000"},
		"escape":                  {configMap + "data: {a: \x1b[31m}\n", "control character U+001B"},
		"picture":                 {"\x89PNG\r\n\x1a\n", "not UTF-8"},
		"list with a bad child":   {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {}}]\n", "without metadata.name"},
		"list in list, 1000 deep": {"apiVersion: v1\nkind: List\nitems: " + strings.Repeat("[{apiVersion: v1, kind: List, items: ", 1000) + "[]" + strings.Repeat("}]", 1000), "levels deep"},
		"list of scalars":         {"apiVersion: v1\nkind: List\nitems: [a]\n", "item 0 of the list"},
		"content after ...":       {configMap + "...\n" + configMap, "second document"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(t, File{"f.yaml", []byte(c.data)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(err.Error(), `"f.yaml"`) {
				t.Fatalf("%q does not name the file", err)
			}
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want string
	}{
		"plain":                   {configMap, "ConfigMap a"},
		"byte order mark":         {"\uFEFF" + configMap, "ConfigMap a"},
		"carriage returns":        {strings.ReplaceAll(configMap, "\n", "\r\n") + "---\r\n", "ConfigMap a"},
		"comments only":           {"# nothing\n---\n# here\n", ""},
		"two documents":           {configMap + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "ConfigMap a,Secret a"},
		"same name, other place":  {configMap + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n", "ConfigMap a,ConfigMap b/a"},
		"quoted yes":              {"apiVersion: v1\nkind: Pod\nmetadata: {name: \"yes\"}\n", "Pod yes"},
		"colon in a name":         {"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: system:a}\n", "ClusterRole system:a"},
		"merge key further down":  {configMap + "data:\n  <<: {a: b}\n", "ConfigMap a"},
		"aliases":                 {configMap + "a: &a [x]\nb: [*a, *a]\n", "ConfigMap a"},
		"99 levels":               {configMap + "a: " + strings.Repeat("[", 95) + strings.Repeat("]", 95), "ConfigMap a"},
		"brackets in a text":      {configMap + "data:\n  a: |\n    " + strings.Repeat("[", 1000) + "\n", "ConfigMap a"},
		"a marker in a text":      {configMap + "data:\n  a: |\n    x\n    ---\n    y\n", "ConfigMap a"},
		"1 MiB of numbers":        {configMap + "data:\n  a: \"" + strings.Repeat("1,", 1<<19) + "\"\n", "ConfigMap a"},
		"list":                    {"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n", "Pod a,Pod b"},
		"typed list":              {"apiVersion: v1\nkind: PodList\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: a}}]\n", "Pod a"},
		"resource with items":     {"apiVersion: x.y/v1\nkind: ShoppingList\nmetadata: {name: a}\nitems: [milk]\n", "ShoppingList a"},
		"empty owners, no status": {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, ownerReferences: }\nstatus: {}\n", "Pod a"},
	} {
		t.Run(name, func(t *testing.T) {
			objs, err := decode(t, File{"f.yaml", []byte(c.data)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range objs {
				got = append(got, Name(u))
			}
			if strings.Join(got, ",") != c.want {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestDecodeJSON(t *testing.T) {
	good := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},` + "\t" + `"spec":{"n":1}}`
	objs, err := decode(t, File{"f.json", []byte(good)})
	if err != nil || len(objs) != 1 {
		t.Fatal(objs, err)
	}
	for data, want := range map[string]string{
		`{"kind":"Pod","kind":"Secret"}`: `"kind" is there twice`,
		good + good:                      "bytes follow",
		"{\n\"a\": }":                    `"f.json" line 2`,
		strings.Repeat("[", 200):         "levels",
	} {
		if _, err := decode(t, File{"f.json", []byte(data)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", data, err, want)
		}
	}
}

func TestDecodeNamesBothFilesOfADuplicate(t *testing.T) {
	_, err := decode(t, File{"x.yaml", []byte(configMap)}, File{"y.yaml", []byte("\n\n" + configMap)})
	if err == nil || err.Error() != `"y.yaml" line 3: ConfigMap a is there twice; the first is in "x.yaml" line 1` {
		t.Fatal(err)
	}
}

func TestDecodeStripsWhatTheClusterWrites(t *testing.T) {
	objs, err := decode(t, File{"f.yaml", []byte(`
apiVersion: v1
kind: Pod
metadata:
  {name: a, uid: x, resourceVersion: "1", generation: 2, creationTimestamp: null, deletionTimestamp: x,
   managedFields: [], selfLink: x, deletionGracePeriodSeconds: 1, labels: {a: b}, finalizers: [x/y]}
spec: {status: kept}
status: {phase: Running}
`)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "a", "labels": map[string]any{"a": "b"}, "finalizers": []any{"x/y"}},
		"spec":     map[string]any{"status": "kept"},
	}
	if !reflect.DeepEqual(objs[0].Object, want) {
		t.Fatalf("got %v", objs[0].Object)
	}
}

func TestDecodeLimits(t *testing.T) {
	limits := DefaultLimits()
	limits.Total = int64(2*len(configMap)) - 1
	_, err := Decode([]File{{"x.yaml", []byte(configMap)}, {"y.yaml", []byte(configMap)}}, limits)
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "y.yaml") {
		t.Fatal(err)
	}
	// Small files of many values are large in memory, each within its own limit.
	many := []byte(configMap + "data: [" + strings.Repeat("{},", DefaultLimits().Values/10) + "]\n")
	var files []File
	for i := range 8 {
		files = append(files, File{fmt.Sprintf("%d.yaml", i), bytes.Replace(many, []byte("name: a"), fmt.Appendf(nil, "name: a%d", i), 1)})
	}
	if _, err := Decode(files, DefaultLimits()); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "values") {
		t.Fatal(err)
	}
	limits = DefaultLimits()
	limits.Documents = 2
	list := "apiVersion: v1\nkind: List\nitems:\n"
	for i := range 3 {
		list += fmt.Sprintf("- {apiVersion: v1, kind: Pod, metadata: {name: p%d}}\n", i)
	}
	if _, err := Decode([]File{{"x.yaml", []byte(list)}}, limits); !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
}

func TestEncodeIsDeterministicAndReadsBack(t *testing.T) {
	data := configMap + "data: {yes: \"yes\", a: \"012\", n: \"1e3\", z: \"null\", t: \"\\u0000\\e\"}\nn: [1, 1.5, 1e30, true, null, -0.0]\n"
	objs, err := decode(t, File{"f.yaml", []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	first := roundTrip(t, objs)
	for range 20 {
		if next := roundTrip(t, objs); string(next) != string(first) {
			t.Fatalf("%s\n%s", first, next)
		}
	}
}

// TestEncodeKeepsEveryCharacter: a line's end that few know, U+0085, once became a blank.
func TestEncodeKeepsEveryCharacter(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		text := "a" + string(r) + "b"
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"},
			"data": map[string]any{text: text, string(r): string(r) + " x"}}}
		roundTrip(t, []*unstructured.Unstructured{u})
	}
}

// roundTrip encodes objects and checks that they decode to the same.
func roundTrip(t *testing.T, objs []*unstructured.Unstructured) []byte {
	t.Helper()
	data, err := Encode(objs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode([]File{{"again.yaml", data}}, DefaultLimits())
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if len(again) != len(objs) {
		t.Fatalf("%d objects became %d", len(objs), len(again))
	}
	for i := range objs {
		if !reflect.DeepEqual(objs[i].Object, again[i].Object) {
			t.Fatalf("%v became %v in\n%s", objs[i].Object, again[i].Object, data)
		}
	}
	return data
}

func TestSort(t *testing.T) {
	objs, err := decode(t, File{"f.yaml", []byte(`
{apiVersion: v1, kind: Secret, metadata: {name: b}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}
---
{apiVersion: v1, kind: Secret, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: z}}
`)})
	if err != nil {
		t.Fatal(err)
	}
	Sort(objs)
	var got []string
	for _, u := range objs {
		got = append(got, Name(u))
	}
	if s := strings.Join(got, ","); s != "ConfigMap z,Secret a,Secret b,Deployment a" {
		t.Fatal(s)
	}
}

func TestImages(t *testing.T) {
	objs, err := decode(t, File{"f.yaml", []byte(`
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{image: "r/b:1"}, {image: "r/a"}], initContainers: [{image: "r/b:1"}]}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {ephemeralContainers: [{image: "r/c@sha256:x"}], containers: [null, {}]}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: a}, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: r/d}]}}}}}}
---
{apiVersion: example.com/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{image: not/ours}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: odd}
`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(Images(objs), " "); got != "r/a r/b:1 r/c@sha256:x r/d" {
		t.Fatal(got)
	}
}
