package compare

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	objs, err := objects.Decode([]objects.File{{Path: "a.yaml", Data: []byte(text)}}, objects.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

func TestFields(t *testing.T) {
	const head = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"
	for name, c := range map[string]struct{ before, after, want string }{
		"the same":             {`spec: {a: 1}`, `spec: {a: 1}`, ``},
		"order of keys":        {`spec: {a: 1, b: 2}`, `spec: {b: 2, a: 1}`, ``},
		"scalar":               {`spec: {replicas: 2}`, `spec: {replicas: 3}`, `spec.replicas: 2 → 3`},
		"type":                 {`spec: {a: "1"}`, `spec: {a: 1}`, `spec.a: "1" → 1`},
		"added":                {`spec: {}`, `spec: {a: {b: 1}}`, `spec.a: (none) → {"b":1}`},
		"removed":              {`spec: {a: {b: 1}}`, `spec: {}`, `spec.a: {"b":1} → (none)`},
		"null is nothing":      {`spec: {a: null}`, `spec: {}`, ``},
		"odd key":              {`spec: {"a.b/c": 1}`, `spec: {"a.b/c": 2}`, `spec["a.b/c"]: 1 → 2`},
		"map for a list":       {`spec: {a: {b: 1}}`, `spec: {a: [1]}`, `spec.a: {"b":1} → [1]`},
		"containers reordered": {`spec: {containers: [{name: a, x: 1}, {name: b}]}`, `spec: {containers: [{name: b}, {name: a, x: 1}]}`, ``},
		"container changed":    {`spec: {containers: [{name: a, image: x}, {name: b}]}`, `spec: {containers: [{name: b}, {name: a, image: z}]}`, `spec.containers[name=a].image: "x" → "z"`},
		"container added":      {`spec: {containers: [{name: b}]}`, `spec: {containers: [{name: a}, {name: b}]}`, `spec.containers[name=a]: (none) → {"name":"a"}`},
		"init containers in turn": {`spec: {initContainers: [{name: a}, {name: b}]}`, `spec: {initContainers: [{name: b}, {name: a}]}`,
			`spec.initContainers (order): "name=a name=b" → "name=b name=a"`},
		"environment":          {`spec: {env: [{name: A, value: x}]}`, `spec: {env: [{name: B, value: z}, {name: A, value: x}]}`, `spec.env[name=B]: (none) → {"name":"B","value":"z"}`},
		"ports":                {`spec: {ports: [{port: 80}, {port: 80, protocol: UDP}]}`, `spec: {ports: [{port: 80, protocol: UDP, x: 1}, {port: 80}]}`, `spec.ports[port=80,protocol=UDP].x: (none) → 1`},
		"mounts":               {`spec: {volumeMounts: [{mountPath: /a, name: v}, {mountPath: /b, name: v}]}`, `spec: {volumeMounts: [{mountPath: /b, name: w}, {mountPath: /a, name: v}]}`, `spec.volumeMounts[mountPath=/b].name: "v" → "w"`},
		"no keys of their own": {`spec: {rules: [{name: a}, {name: a, x: 1}]}`, `spec: {rules: [{name: a}, {name: a, x: 2}]}`, `spec.rules[1].x: 1 → 2`},
		"scalars, one more":    {`spec: {args: [a, c]}`, `spec: {args: [a, b, c]}`, `spec.args[1]: (none) → "b"`},
		"scalars, one less":    {`spec: {args: [a, b, c]}`, `spec: {args: [a, c]}`, `spec.args[1]: "b" → (none)`},
		"scalars, another":     {`spec: {args: [a, b, c]}`, `spec: {args: [a, x, c]}`, `spec.args[1]: "b" → "x"`},
		"list emptied":         {`spec: {containers: [{name: a}]}`, `spec: {containers: []}`, `spec.containers[name=a]: {"name":"a"} → (none)`},
		"escape codes":         {`spec: {a: "\e[31m"}`, `spec: {a: "b"}`, `spec.a: "\u001b[31m" → "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			found := Objects(parse(t, head+c.before), parse(t, head+c.after))
			var lines []string
			for _, o := range found {
				for _, f := range o.Fields {
					before, after := f.shown()
					lines = append(lines, fmt.Sprintf("%s: %s → %s", f.Path, before, after))
				}
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestObjects(t *testing.T) {
	found := Objects(parse(t, `
apiVersion: v1
kind: Service
metadata: {name: gone, namespace: x}
---
apiVersion: networking.k8s.io/v1beta1
kind: Ingress
metadata: {name: moved}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: x}
`), parse(t, `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: moved}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: z}
`))
	var lines []string
	for _, o := range found {
		lines = append(lines, o.Change+" "+o.String()+fmt.Sprint(o.Fields))
	}
	want := "removed ConfigMap x/a[]\nremoved Service x/gone[]\nadded ConfigMap z/a[]\nchanged Ingress moved[{apiVersion networking.k8s.io/v1beta1 networking.k8s.io/v1}]"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got %s", got)
	}
}

// TestSecretsAreMasked looks for the values in every way of printing.
func TestSecretsAreMasked(t *testing.T) {
	secret := func(data string) []*unstructured.Unstructured {
		return parse(t, "apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata: {name: a, labels: {l: visible}}\n"+data)
	}
	for _, c := range [][2]string{
		{`data: {p: aHVudGVyMg==}`, `data: {p: aHVudGVyMw==}`},
		{`data: {"a.b": aHVudGVyMg==}`, `data: {"a.b": aHVudGVyMw==}`},
		{`data: {p: aHVudGVyMg==}`, ``},
		{``, `stringData: {p: aHVudGVyMg==}`},
		{`stringData: {p: aHVudGVyMg==}`, `stringData: {p: x, q: aHVudGVyMg==}`},
		// What no API server takes is printed before one is asked.
		{`stringData: [{name: aHVudGVyMg==}]`, `stringData: [{name: aHVudGVyMw==}]`},
		{`data: [{name: aHVudGVyMg==, v: 1}]`, `data: [{name: aHVudGVyMg==, v: 2}]`},
		{`data: [{name: aHVudGVyMg==}, {name: b}]`, `data: [{name: b}, {name: aHVudGVyMg==}]`},
		{`data: {p: [{name: aHVudGVyMg==, v: 1}]}`, `data: {p: [{name: aHVudGVyMg==, v: 2}]}`},
		{`data: {p: {aHVudGVyMg==: 1}}`, `data: {p: {aHVudGVyMg==: 2}}`},
		{`Data: {p: aHVudGVyMg==}`, `Data: {p: aHVudGVyMw==}`},
		{`binaryData: {p: aHVudGVyMg==}`, ``},
	} {
		r := Report{Environments: []Environment{{Name: "prod", Objects: Objects(secret(c[0]), secret(c[1]))}}}
		r.Finish()
		printed := r.Text() + r.Markdown(MaxComment) + fmt.Sprint(r.Environments[0].Objects[0].Fields)
		if strings.Contains(printed, "aHVudGVy") || !strings.Contains(printed, Masked) {
			t.Errorf("%v: %s", c, printed)
		}
	}
	for _, tool := range []string{"kubectl.kubernetes.io/last-applied-configuration", "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"} {
		annotated := func(value string) []*unstructured.Unstructured {
			return parse(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {l: "+value[:3]+"}, annotations: {"+tool+": '"+value+"', x: other}}")
		}
		printed := fmt.Sprint(Objects(annotated("one aHVudGVyMg=="), annotated("two aHVudGVyMw=="))[0].Fields)
		if strings.Contains(printed, "aHVudGVy") || !strings.Contains(printed, tool) || !strings.Contains(printed, "{metadata.labels.l one two}") {
			t.Error(printed)
		}
	}
	other := Objects(parse(t, "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: a}\ndata: {p: one}"),
		parse(t, "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: a}\ndata: {p: two}"))
	if other[0].Fields[0].New != "two" {
		t.Error("another group's kind is no Secret:", other)
	}
}

func TestLongValuesShowWhereTheyDiffer(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	before, after := Field{Old: long + "one", New: long + "two"}.shown()
	if !strings.Contains(before, `one"`) || !strings.Contains(after, `two"`) || len(before) > maxValue+8 {
		t.Error(before, after)
	}
}

// TestMarkdown has a hostile release: nothing of it is markup, and all fits.
func TestMarkdown(t *testing.T) {
	r := Report{Before: Side{Reference: "a`@team"}, After: Side{Reference: "b", Revision: "x```y\n# z"}}
	for _, name := range []string{"prod", "<b>@all</b>"} {
		e := Environment{Name: name}
		for i := range 3000 {
			e.Objects = append(e.Objects, Object{Change: Changed, Kind: "ConfigMap", Name: fmt.Sprint("a", i),
				Fields: []Field{{Path: "data.a", Old: "````\n</details>\x1b[31m\u202e", New: strings.Repeat("x", 500)}}})
		}
		r.Environments = append(r.Environments, e)
	}
	r.Finish()
	out := r.Markdown(MaxComment)
	if len(out) > MaxComment || !strings.Contains(out, "more differences were left out") {
		t.Error(len(out))
	}
	if strings.Contains(out, "<b>@all") || strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Error("the release's text is not escaped")
	}
	if opened, closed := strings.Count(out, "<details>"), strings.Count(out, "\n</details>"); opened != closed || opened == 0 {
		t.Error(opened, closed)
	}
	if fences := strings.Count(out, "\n`````"); fences%2 != 0 || fences == 0 {
		t.Error(fences, "fences")
	}
	small := Report{Before: Side{Reference: "a"}, After: Side{Reference: "b"}, Environments: []Environment{{Name: "prod", Objects: r.Environments[1].Objects[:1]}}}
	small.Finish()
	if out := small.Markdown(MaxComment); strings.Contains(out, "left out") || !strings.Contains(out, "# ConfigMap a0\n  data.a\n-   ") {
		t.Error(out)
	}
}

// TestOrderOfVariables: one that names another sees only those before it.
func TestOrderOfVariables(t *testing.T) {
	pod := func(env string) []*unstructured.Unstructured {
		return parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, env: ["+env+"]}]}")
	}
	for _, c := range []struct {
		before, after string
		want          int
	}{
		{"{name: A, value: x}, {name: B, value: y}", "{name: B, value: y}, {name: A, value: x}", 0},
		{"{name: A, value: x}, {name: B, value: $(A)}", "{name: B, value: $(A)}, {name: A, value: x}", 1},
	} {
		if found := Objects(pod(c.before), pod(c.after)); len(found) != c.want {
			t.Error(c, found)
		}
	}
}
