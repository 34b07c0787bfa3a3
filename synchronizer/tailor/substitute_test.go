package tailor

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestExpand(t *testing.T) {
	variables := map[string]string{"a": "Main Branch", "empty": "", "url": "https://x.example.com/p", "_1": "one", "evil": "${a}"}
	for text, want := range map[string]string{
		"":                          "",
		"no $a, $(a), {a} or $$a":   "no $a, $(a), {a} or $$a",
		"${a}":                      "Main Branch",
		"<${a}|${_1}>":              "<Main Branch|one>",
		"$${a} and ${_1}":           "${a} and one",
		"${evil}":                   "${a}",
		"${none:-x}${none:=y}":      "xy",
		"${none-x}${none=y}":        "xy",
		"${empty:-x}${empty-y}":     "x",
		"${none:-}":                 "",
		"${none:-${a:-x}}":          "Main Branch",
		"${none:-a:b/c}":            "a:b/c",
		"${a:5}${a:0:4}${a:90}":     "BranchMain",
		"${a:5:90}":                 "Branch",
		"${a/n/N}${a//n/N}":         "MaiN BranchMaiN BraNch",
		`${url/https:\/\//}`:        "x.example.com/p",
		"${url/x./${_1}.}":          "https://one.example.com/p",
		"${a^^}${a,,}${a^}${a,}":    "MAIN BRANCHmain branchMain Branchmain Branch",
		"${url#https://}":           "x.example.com/p",
		"${url%/p}":                 "https://x.example.com",
		"${a:string}":               "Main Branch",
		"${a ":                      "ERROR",
		"${":                        "ERROR",
		"${}":                       "ERROR",
		"${1}":                      "ERROR",
		"${a[@]}":                   "ERROR",
		"${#a}":                     "ERROR",
		"${a:x}":                    "ERROR",
		"${a:-1:2":                  "ERROR",
		"${a?no}":                   "ERROR",
		"${none}":                   "UNKNOWN none",
		"${a}${none^^}${other:0}":   "UNKNOWN none other",
		strings.Repeat("${a:-", 20): "ERROR",
	} {
		e := &expander{variables: variables, unknown: map[string]bool{}, left: 1000, work: new(maxWork)}
		got, err := e.expand(text)
		if err != nil {
			got.text = "ERROR"
		}
		for _, name := range []string{"none", "other"} {
			if e.unknown[name] {
				got.text = strings.TrimSuffix("UNKNOWN none"+map[bool]string{true: " other"}[e.unknown["other"]], " ")
			}
		}
		if got.text != want {
			t.Errorf("%s is %q (%v), want %q", text, got.text, err, want)
		}
	}
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}

const definition = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
	"spec":{"group":"example.com","names":{"kind":"Widget"},"versions":[{"name":"v1","schema":{"openAPIV3Schema":{"type":"object","properties":{
	"spec":{"type":"object","properties":{"size":{"type":"integer"},"ratio":{"type":"number"},"code":{"type":"string"},"port":{"x-kubernetes-int-or-string":true},
	"on":{"type":"boolean"},"list":{"type":"array","items":{"type":"integer"}},"map":{"additionalProperties":{"type":"boolean"}}}}}}}}]}}`

// TestTypes holds what a field becomes against what its kind says of it.
func TestTypes(t *testing.T) {
	variables := map[string]string{"n": "3", "zero": "007", "yes": "true", "word": "web", "f": "1.5"}
	for _, test := range []struct{ object, want string }{
		{`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","annotations":{"n":"${n}"}},"spec":{"replicas":"${n}","paused":"${yes}","template":{"spec":{"containers":[{"name":"a","env":[{"name":"N","value":"${n}"}],"ports":[{"containerPort":"80${n}"}],"resources":{"limits":{"cpu":"${n}"}},"livenessProbe":{"httpGet":{"port":"${word}"}},"readinessProbe":{"httpGet":{"port":"${n}"}}}]}}}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","annotations":{"n":"3"}},"spec":{"replicas":3,"paused":true,"template":{"spec":{"containers":[{"name":"a","env":[{"name":"N","value":"3"}],"ports":[{"containerPort":803}],"resources":{"limits":{"cpu":"3"}},"livenessProbe":{"httpGet":{"port":"web"}},"readinessProbe":{"httpGet":{"port":3}}}]}}}}`},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x${n}"},"data":{"n":"${n}","${word}":"${yes}"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x3"},"data":{"n":"3","web":"true"}}`},
		{`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":"${n}","ratio":"${f}","code":"${n}","port":"${n}","on":"${yes}","list":["${n}"],"map":{"a":"${yes}"},"more":"${n}"}}`,
			`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":3,"ratio":1.5,"code":"3","port":3,"on":true,"list":[3],"map":{"a":true},"more":3}}`},
		{`{"apiVersion":"other.com/v1","kind":"Thing","metadata":{"name":"a","labels":{"n":"${n}"}},"spec":{"n":"${n}","text":"${n:string}","both":"${n}${n}","zero":"${zero}","yes":"${yes}","f":"${f}"}}`,
			`{"apiVersion":"other.com/v1","kind":"Thing","metadata":{"name":"a","labels":{"n":"3"}},"spec":{"n":3,"text":"3","both":"33","zero":"007","yes":true,"f":"1.5"}}`},
		{`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"replicas":"${word}"}}`, "spec.replicas: the field holds an integer"},
		{`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"paused":"${n}"}}`, "spec.paused: the field holds true or false"},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"web":"","${word}":""}}`, "another key has the same name"},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${f}/${word}"}}`, "is not a name"},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"${x} ${y}","b":"${f(x)}"}}`, "data.b"},
		{`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"${x} ${y}"}}`, "ConfigMap a: data.a: the variable x has no value; ConfigMap a: data.a: the variable y has no value; hint:"},
	} {
		objs := []*unstructured.Unstructured{object(t, definition), object(t, test.object)}
		before, _ := json.Marshal(objs[1])
		made, err := new(Tailor).Apply(t.Context(), objs, Options{Substitute: true, Variables: variables})
		if after, _ := json.Marshal(objs[1]); string(after) != string(before) {
			t.Errorf("the release's own object became %s", after)
		}
		if err != nil {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", test.object, err, test.want)
			}
			continue
		}
		if made[0] != objs[0] {
			t.Error("an object without variables was copied")
		}
		if !strings.HasPrefix(test.want, "{") || !reflect.DeepEqual(made[1].Object, object(t, test.want).Object) {
			got, _ := json.Marshal(made[1])
			t.Errorf("got %s\nwant %s", got, test.want)
		}
	}
}

func TestSubstituteIsBounded(t *testing.T) {
	big := strings.Repeat("x", 64<<10)
	data := map[string]any{}
	for i := range 100 {
		data[fmt.Sprint(i)] = "${big}"
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}, "data": data}}
	_, err := new(Tailor).Apply(t.Context(), []*unstructured.Unstructured{u}, Options{Substitute: true, Variables: map[string]string{"big": big}})
	if err == nil || !strings.Contains(err.Error(), "substitution makes more than") {
		t.Errorf("got %v", err)
	}
	many := map[string]any{}
	for i := range 100 {
		many[fmt.Sprint(i)] = fmt.Sprintf("${x%d}", i)
	}
	u.Object["data"] = many
	_, err = new(Tailor).Apply(t.Context(), []*unstructured.Unstructured{u}, Options{Substitute: true})
	if err == nil || len(err.Error()) > 4000 {
		t.Errorf("the error about 100 variables is %v", err)
	}
}

// FuzzSubstitute holds that no text and no value makes structure, and that what is
// made is bounded.
func FuzzSubstitute(f *testing.F) {
	for _, seed := range []string{"${a}", "${a:-${b:=x}}", "$${a}", "${a//x/yy}", "${a:0:3}", "${a^^", `${a/\//}`, "${a}: {b}\n- c"} {
		f.Add(seed, "x: {y}\n- z")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}, "data": map[string]any{"k": text},
		}}
		made, err := new(Tailor).Apply(t.Context(), []*unstructured.Unstructured{u}, Options{Substitute: true, Variables: map[string]string{"a": value, "b": "1"}})
		if err != nil {
			return
		}
		data := made[0].Object["data"].(map[string]any)
		got, ok := data["k"].(string)
		if !ok || len(data) != 1 || len(got) > maxObject {
			t.Errorf("%q with %q made %v", text, value, data)
		}
	})
}
