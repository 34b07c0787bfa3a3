package flux

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
)

func changes() []Change {
	image := ImageRef{Ref: "registry.example.com:5000/apps/shop:1.2.0@sha256:ab", Tag: "1.2.0", NamespacedPolicy: "x:shop"}
	other := ImageRef{Ref: "nginx:1.27", Tag: "1.27", NamespacedPolicy: "x:web"}
	return []Change{
		{File: "b.yaml", Object: Object{"apps/v1", "Deployment", "x", "web"}, OldValue: "1.1.0", NewValue: "1.2.0", Setter: "x:shop:tag", Image: image},
		{File: "a.yaml", Object: Object{"v1", "Pod", "x", "a"}, OldValue: "nginx:1.26", NewValue: "nginx:1.27", Setter: "x:web", Image: other},
		{File: "a.yaml", Object: Object{"apps/v1", "Deployment", "x", "web"}, OldValue: "x", NewValue: "y", Setter: "x:shop", Image: image},
	}
}

func TestMessages(t *testing.T) {
	for _, test := range []struct{ template, want string }{
		{"", ""},
		{" \n", ""},
		{"Update by bots", "Update by bots"},
		{"{{ .AutomationObject }} {{ .AutomationObject.Name }} {{ .AutomationObject.Namespace }}", "x/all all x"},
		{"{{ .Values.cluster }}{{ .Values.none }}", "prod"},
		{"{{ range $file, $objects := .Changed.FileChanges }}{{ $file }}:{{ range $o, $changes := $objects }} {{ $o.Kind }}={{ len $changes }}{{ end }};{{ end }}", "a.yaml: Deployment=1 Pod=1;b.yaml: Deployment=1;"},
		{"{{ range $o, $changes := .Changed.Objects }}{{ $o.APIVersion }} {{ $o.Namespace }}/{{ $o.Name }}{{ range $changes }} {{ .OldValue }}>{{ .NewValue }}{{ end }};{{ end }}", "apps/v1 x/web 1.1.0>1.2.0 x>y;v1 x/a nginx:1.26>nginx:1.27;"},
		{"{{ range .Changed.Changes }}{{ .Setter }} {{ end }}", "x:shop:tag x:web x:shop "},
		{"{{ range $file, $_ := .Updated.Files }}{{ $file }} {{ end }}", "a.yaml b.yaml "},
		{"{{ range $o, $images := .Updated.Objects }}{{ $o.Kind }}:{{ range $images }} {{ .Identifier }}{{ end }};{{ end }}", "Deployment: 1.2.0 1.2.0;Pod: 1.27;"},
		{"{{ range .Updated.Images }}{{ . }} {{ .Registry }} {{ .Repository }} {{ .Name }} {{ .Policy }};{{ end }}",
			"registry.example.com:5000/apps/shop:1.2.0@sha256:ab registry.example.com:5000 apps/shop registry.example.com:5000/apps/shop:1.2.0 x/shop;" +
				"nginx:1.27 index.docker.io library/nginx index.docker.io/library/nginx:1.27 x/web;"},
		{`{{ (index .Changed.Changes 0).NewValue | replace "." "_" | upper | quote }}`, `"1_2_0"`},
		{`{{ default "none" .Values.none }} {{ "ABC" | lower | trunc 2 }} {{ ternary "a" "b" (contains "p" "prod") }} {{ printf "%s-%03d%%" "x" 7 }}`, `none ab a x-007%`},
		{`{{ define "one" }}[{{ . }}]{{ end }}{{ template "one" "a" }}{{ block "two" "b" }}<{{ . }}>{{ end }}`, "[a]<b>"},
	} {
		a := Automation{Namespace: "x", Name: "all", Message: test.template, Values: map[string]string{"cluster": "prod"}}
		if got, err := a.Render(changes()); err != nil || got != test.want {
			t.Errorf("%s: got %q, %v, want %q", test.template, got, err, test.want)
		}
	}
}

// Whoever may write a template may not keep the automator busy, or fill its memory.
func TestHostileTemplates(t *testing.T) {
	nested := func(n int, body string) string {
		return strings.Repeat("{{range .Changed.Changes}}{{with $}}", n) + body + strings.Repeat("{{end}}{{end}}", n)
	}
	for _, test := range []struct{ template, want string }{
		{"{{ .Nothing }}", "Nothing"},
		{"{{ env \"HOME\" }}", `function "env" not defined`},
		{"{{ ", "unclosed action"},
		{strings.Repeat("x", maxTemplate+1), "more than"},
		{nested(3, ""), "too much"},
		{nested(5, "x"), "too much"},
		{nested(2, "{{ .Changed }}"), "more than"},
		{nested(2, strings.Repeat("{{if contains \"q\" (lower .AutomationObject)}}{{end}}", 200)), "too much"},
		{`{{define "a"}}{{template "a"}}{{template "a"}}{{end}}{{template "a"}}`, "too much"},
		{`{{$x := "&"}}` + strings.Repeat(`{{$x = html $x}}`, 100) + `{{$x = printf "%s%s" $x $x}}{{range .Changed.Changes}}{{$x = printf "%s%s" $x $x}}{{end}}`, "more than"},
		{`{{printf "%1000000d" 1}}`, "two digits"},
		{`{{printf "%*d" 1000000 1}}`, "two digits"},
		{`{{printf "%[1]*d" 1000000}}`, "two digits"},
		{`{{$x := "aaaaaaaaaaaaaaaa"}}{{range .Changed.Changes}}{{$x = replace "a" "aaaaaaaaaaaaaaaa" $x}}{{end}}`, "more than"},
		{`{{$x := "a"}}{{range .Changed.Changes}}{{$x = print $x $x}}{{end}}`, "more than"},
		{`{{range .Changed.Changes}}{{.}}{{.}}{{.}}{{end}}`, "more than"},
		{`{{call .Values}}`, "not offered"},
	} {
		many := make([]Change, 5_000)
		for i := range many {
			many[i] = Change{File: fmt.Sprintf("f%d.yaml", i), OldValue: strings.Repeat("x", 2_000)}
		}
		a := Automation{Message: test.template}
		if got, err := a.Render(many); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80s: got %.80q, %v, want an error about %q", test.template, got, err, test.want)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("{{ range .Changed.Changes }}{{ .OldValue | upper }}{{ else }}{{ end }}")
	f.Add(`{{ define "a" }}{{ break }}{{ end }}{{ with $x := .Updated }}{{ trunc -1 $x }}{{ end }}`)
	f.Fuzz(func(t *testing.T, template string) {
		message, err := Automation{Message: template}.Render(changes())
		if err != nil && message != "" || len(message) > maxMessage {
			t.Errorf("%d bytes, %v", len(message), err)
		}
	})
}

// TestExampleOfTheDocumentation reads the automation that the page shows.
func TestExampleOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Flux documents\n")
	_, example, _ := strings.Cut(section, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	found := Read([]File{{Path: "a.yaml", Data: []byte(example)}})
	if len(found.Automations) != 1 {
		t.Fatal(found.reasons())
	}
	a := found.Automations[0]
	if a.Path != "clusters/prod" || a.PushBranch != "main" || a.Author.Name != "fluxcdbot" {
		t.Fatalf("%+v, %s", a, found.reasons())
	}
	image := Image{Image: v1alpha1.Image{Namespace: "flux-system", Name: "shop"}, Labels: map[string]string{"team": "web"}}
	if !a.Writes(image, "clusters/prod/a.yaml") || a.Writes(image, "clusters/dev/a.yaml") {
		t.Error("the scope is wrong")
	}
	if got, err := a.Render(changes()[:1]); err != nil || got != "Update 1.1.0 -> 1.2.0\n\n" {
		t.Errorf("got %q, %v", got, err)
	}
}
