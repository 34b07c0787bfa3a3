package compare

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func planOfThree() Plan {
	secret := func(value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret",
			"metadata": map[string]any{"name": "s"}, "data": map[string]any{"password": value}}}
	}
	p := Plan{Delivery: "shop/shop", Release: Side{Reference: "example.com/shop@sha256:1", Revision: "main\x1b[31m`"}, SignedBy: []string{"ci"},
		Irreversible: []string{"Job shop/migrate runs"},
		Objects: []Planned{
			{Action: "Create", Kind: "ConfigMap", Namespace: "shop", Name: "new", Refused: "it says ```"},
			{Action: "Update", Kind: "Secret", Namespace: "shop", Name: "s", Fields: Fields(secret("one"), secret("two"), false, Mask{})},
			{Action: "Keep", Kind: "Namespace", Name: "old", Reason: "protected kind"},
		}}
	p.Finish()
	return p
}

func TestPlanText(t *testing.T) {
	want := `- cluster, delivery shop/shop
+ example.com/shop@sha256:1 (main·[31m` + "`" + `)
signed by ci

1 create, 1 update, 1 keep
  + ConfigMap shop/new: create; refused: it says ` + "```" + `
  ~ Secret shop/s: update
      data.password: (masked) → (masked)
  = Namespace old: keep, protected kind
irreversible: Job shop/migrate runs
`
	if got := planOfThree().Text(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestPlanMarkdown(t *testing.T) {
	whole := planOfThree().Markdown(MaxComment)
	for _, want := range []string{"\n````diff\n+ ConfigMap shop/new", "\n# Secret shop/s: update\n  data.password\n-   (masked)\n+   (masked)\n", "\n````\n", "- `irreversible: Job shop/migrate runs`"} {
		if !strings.Contains(whole, want) {
			t.Errorf("%q is missing in:\n%s", want, whole)
		}
	}
	p := planOfThree()
	for range 1000 {
		p.Objects = append(p.Objects, p.Objects[0])
	}
	if cut := p.Markdown(5000); len(cut) > 5000 || !strings.Contains(cut, "were left out") || strings.Count(cut, "````") != 2 {
		t.Errorf("%d bytes:\n%s", len(cut), cut[len(cut)-300:])
	}
}

func TestPlanIsDifferent(t *testing.T) {
	for _, tt := range []struct {
		action    string
		different bool
	}{{"Create", true}, {"Prune", true}, {"Drifted", true}, {"Keep", false}, {"Skip", false}} {
		p := Plan{Objects: []Planned{{Action: tt.action}}}
		if p.Finish(); p.Different != tt.different {
			t.Errorf("%s: different is %v", tt.action, p.Different)
		}
	}
}

// TestMask: what a variable took from a Secret is hidden wherever it stands, with what
// stood there before; what was encrypted is hidden whole.
func TestMask(t *testing.T) {
	object := func(value string, port int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "c"},
			"data": map[string]any{"dsn": "postgres://shop:" + value + "@db", "plain": "1", "port": port}}}
	}
	m := NewMask([]string{"two-words", "2"}, []string{"line\nbreak"})
	got := Fields(object("one-word", 1), object("two-words", 2), false, m)
	if len(got) != 2 || got[0] != (Field{Path: "data.dsn", Old: Masked, New: Masked}) || got[1] != (Field{Path: "data.port", Old: Masked, New: Masked}) {
		t.Errorf("fields: %v", got)
	}
	added := m.value(map[string]any{"list": []any{"x two-words y", "as it is"}, "none": nil})
	if want := map[string]any{"list": []any{Masked, "as it is"}, "none": nil}; !reflect.DeepEqual(added, want) {
		t.Errorf("an element that is new: %v", added)
	}
	if got := Fields(object("a", 1), object("b", 1), true, Mask{}); len(got) != 1 || got[0] != (Field{Path: "data.dsn", Old: Masked, New: Masked}) {
		t.Errorf("private: %v", got)
	}
	if got := m.Text(`2: Invalid value: "two-words", "line\nbreak"`); got != `2: Invalid value: "(masked)", "(masked)"` {
		t.Errorf("text: %s", got)
	}
	if got := (Mask{}).Text("as it is"); got != "as it is" {
		t.Errorf("no mask: %s", got)
	}
}
