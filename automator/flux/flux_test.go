package flux

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"sealift.dev/api/v1alpha1"
)

// tree reads files from a text in txtar's format.
func tree(text string) []File {
	var files []File
	for _, f := range txtar.Parse([]byte(text)).Files {
		if MayHaveDocuments(f.Name, f.Data) {
			files = append(files, File{Path: f.Name, Data: f.Data})
		}
	}
	return files
}

func repository(name, image, more string) string {
	return document1("v1", "ImageRepository", name, "image: "+image+more)
}

func policy(name, more string) string { return document1("v1", "ImagePolicy", name, more) }

// document1 has a name of the form NAMESPACE/NAME, or NAME.
func document1(version, kind, name, spec string) string {
	metadata := "name: " + name
	if namespace, name, ok := strings.Cut(name, "/"); ok {
		metadata = "name: " + name + ", namespace: " + namespace
	}
	return fmt.Sprintf("---\napiVersion: image.toolkit.fluxcd.io/%s\nkind: %s\nmetadata: {%s}\nspec:\n  %s\n", version, kind, metadata, strings.ReplaceAll(spec, "\n", "\n  "))
}

const semver1 = "imageRepositoryRef: {name: shop}\npolicy: {semver: {range: 1.x}}"

func (f Found) names() string {
	var names []string
	for _, i := range f.Images {
		names = append(names, i.Policy())
	}
	return strings.Join(names, " ")
}

func (f Found) reasons() string {
	var reasons []string
	for _, n := range f.Notes {
		reasons = append(reasons, n.File+": "+n.Object+": "+n.Reason)
	}
	return strings.Join(reasons, "\n")
}

func TestTheTreeOfTheGuide(t *testing.T) {
	data, err := os.ReadFile("testdata/podinfo.txtar")
	if err != nil {
		t.Fatal(err)
	}
	found := Read(tree(string(data)))
	if found.names() != "flux-system:podinfo" || len(found.Automations) != 1 {
		t.Fatalf("%+v", found)
	}
	image := found.Images[0]
	if image.Image.Image != "registry.example.com/stefan/podinfo" || image.Select.Semver != "5.0.x" || image.File != "clusters/my-cluster/podinfo-policy.yaml" {
		t.Errorf("%+v", image)
	}
	a := found.Automations[0]
	if a.Path != "clusters/my-cluster" || a.Branch != "main" || a.PushBranch != "main" || *a.Author != (v1alpha1.CommitAuthor{Name: "fluxcdbot", Email: "fluxcdbot@users.noreply.example.com"}) {
		t.Errorf("%+v", a)
	}
	if !a.Writes(image, "clusters/my-cluster/podinfo-deployment.yaml") || a.Writes(image, "apps/elsewhere.yaml") || a.Writes(image, "clusters/my-cluster-2/x.yaml") {
		t.Error("files are in the wrong scope")
	}
	if len(found.Notes) != 1 || !strings.Contains(found.reasons(), "spec.sourceRef is not followed") {
		t.Errorf("notes: %s", found.reasons())
	}
	message, err := a.Render([]Change{{
		File: "clusters/my-cluster/podinfo-deployment.yaml", Object: Object{Kind: "Deployment", Name: "podinfo"},
		OldValue: "registry.example.com/stefan/podinfo:5.0.0", NewValue: "registry.example.com/stefan/podinfo:5.0.3",
	}})
	want := `Automated image update

Automation name: flux-system/flux-system

Files:
- clusters/my-cluster/podinfo-deployment.yaml
Objects:
- Deployment podinfo
  Changes:
    - registry.example.com/stefan/podinfo:5.0.0 -> registry.example.com/stefan/podinfo:5.0.3
`
	if err != nil || message != want {
		t.Errorf("got %q, %v", message, err)
	}
}

func TestPolicies(t *testing.T) {
	for _, test := range []struct {
		name string
		spec string
		want v1alpha1.Select
		pin  v1alpha1.PinMode
	}{
		{"semver", "policy: {semver: {range: '>=1.0.0 <2.0.0'}}", v1alpha1.Select{Semver: ">=1.0.0 <2.0.0"}, ""},
		{"alphabetical", "policy: {alphabetical: {order: desc}}", v1alpha1.Select{Alphabetical: "desc"}, ""},
		{"alphabetical, no order", "policy: {alphabetical: {}}", v1alpha1.Select{Alphabetical: "asc"}, ""},
		{"numerical", "policy: {numerical: {order: ASC}}", v1alpha1.Select{Numerical: "ASC"}, ""},
		{"several: semver goes first", "policy: {numerical: {}, alphabetical: {}, semver: {range: 1.x}}", v1alpha1.Select{Semver: "1.x"}, ""},
		{"several: then alphabetical", "policy: {numerical: {}, alphabetical: {}}", v1alpha1.Select{Alphabetical: "asc"}, ""},
		{"filter", "policy: {numerical: {}}\nfilterTags: {pattern: '^main-(?P<ts>\\d+)', extract: $ts}", v1alpha1.Select{Numerical: "asc", Match: `^main-(?P<ts>\d+)`, Extract: "$ts"}, ""},
		{"digest", "policy: {alphabetical: {}}\ndigestReflectionPolicy: Always\ninterval: 10m", v1alpha1.Select{Alphabetical: "asc"}, v1alpha1.PinAlways},
	} {
		found := Read(tree("-- a.yaml --\n" + repository("x/shop", "registry.example.com/shop:5000/shop", "") + policy("x/shop", "imageRepositoryRef: {name: shop}\n"+test.spec)))
		if len(found.Images) != 1 || found.Images[0].Select.Semver != test.want.Semver || fmt.Sprint(found.Images[0].Select) != fmt.Sprint(test.want) || found.Images[0].Pin != test.pin {
			t.Errorf("%s: %+v, %s", test.name, found.Images, found.reasons())
		}
	}
}

func TestRepositories(t *testing.T) {
	found := Read(tree("-- a.yaml --\n" + repository("x/shop", "localhost:5000/shop", "\nexclusionList: ['^bad', '^worse']\ninsecure: true") + policy("x/shop", semver1) +
		repository("other/shop", "shop", "\nexclusionList: []\nsuspend: true") + policy("other/shop", semver1)))
	if found.names() != "other:shop x:shop" {
		t.Fatal(found.names(), found.reasons())
	}
	x, y := found.Images[1], found.Images[0]
	if !slices.Equal(x.Select.Ignore, []string{"^bad", "^worse"}) || x.Suspended || x.Image.Image != "localhost:5000/shop" {
		t.Errorf("%+v", x)
	}
	if y.Select.Ignore == nil || len(y.Select.Ignore) != 0 || !y.Suspended || !strings.Contains(found.reasons(), "--plain-http") {
		t.Errorf("%+v", y)
	}
}

// What a version of the API does not have, Flux does not see.
func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"v1": true, "v1beta2": true, "v1beta1": false} {
		found := Read(tree("-- a.yaml --\n" +
			document1(version, "ImageRepository", "x/shop", "image: shop\ninsecure: true") +
			document1(version, "ImagePolicy", "x/shop", semver1+"\ndigestReflectionPolicy: Always") +
			document1(version, "ImageUpdateAutomation", "x/all", "policySelector: {matchLabels: {team: web}}\ngit: {commit: {messageTemplateValues: {a: b}}, push: {options: {ci.skip: ''}}}")))
		if len(found.Images) != 1 || len(found.Automations) != 1 {
			t.Fatalf("%s: %s", version, found.reasons())
		}
		i, a := found.Images[0], found.Automations[0]
		if strings.Contains(found.reasons(), "insecure") != want || (i.Pin == v1alpha1.PinAlways) != want || (len(a.Values) > 0) != want || (len(a.PushOptions) > 0) != want || a.Writes(i, "a.yaml") == want {
			t.Errorf("%s: %+v, %+v", version, i, a)
		}
	}
}

func TestWhatIsBroken(t *testing.T) {
	ok := repository("x/shop", "shop", "")
	for _, test := range []struct{ name, text, want string }{
		{"not YAML", "apiVersion: image.toolkit.fluxcd.io/v1\nkind: [", "a.yaml: : a document cannot be read"},
		{"a broken document hides no other", ok + "---\na: [ # image.toolkit.fluxcd.io/v1\n" + policy("x/shop", semver1), "a.yaml: : a document cannot be read"},
		{"twice the same key", "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nkind: ImagePolicy", "cannot be read"},
		{"an old version", document1("v1alpha2", "ImagePolicy", "x/shop", semver1), "hint: v1, v1beta2 and v1beta1"},
		{"no namespace", policy("shop", semver1), "ImagePolicy /shop: it is in no namespace; hint"},
		{"no name", policy("x/", semver1), "metadata.name is missing"},
		{"no spec", "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: a, namespace: b}", "spec is missing"},
		{"a spec of another kind", "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: a, namespace: b}\nspec: []", "reading spec"},
		{"twice", ok + ok, "it is in a.yaml already"},
		{"no repository", policy("x/shop", semver1), "ImageRepository x/shop is not in the tree"},
		{"no reference", ok + policy("x/shop", "policy: {semver: {range: 1.x}}"), "imageRepositoryRef.name is missing"},
		{"no policy", ok + policy("x/shop", "imageRepositoryRef: {name: shop}"), "there is no policy"},
		{"an empty range", ok + policy("x/shop", "imageRepositoryRef: {name: shop}\npolicy: {semver: {range: ''}}"), "there is no policy"},
		{"a bad range", ok + policy("x/shop", "imageRepositoryRef: {name: shop}\npolicy: {semver: {range: 1x}}"), "semver range"},
		{"a bad order", ok + policy("x/shop", "imageRepositoryRef: {name: shop}\npolicy: {numerical: {order: up}}"), "asc or desc"},
		{"a bad pattern", ok + policy("x/shop", semver1+"\nfilterTags: {pattern: '('}"), "match"},
		{"a bad reflection", ok + policy("x/shop", semver1+"\ndigestReflectionPolicy: Now"), "digestReflectionPolicy"},
		{"a tag", repository("x/shop", "shop:1", ""), "without a tag"},
		{"a scheme", repository("x/shop", "oci://shop", ""), "without a scheme"},
		{"a strategy", document1("v1", "ImageUpdateAutomation", "x/a", "update: {strategy: Magic}"), "strategy"},
		{"a selector", document1("v1", "ImageUpdateAutomation", "x/a", "policySelector: {matchExpressions: [{key: a, operator: Like}]}"), "policySelector"},
		{"another namespace", repository("other/shop", "shop", "") + policy("x/shop", "imageRepositoryRef: {name: shop, namespace: other}\npolicy: {semver: {range: 1.x}}"), "accessFrom"},
		{"refspec", document1("v1", "ImageUpdateAutomation", "x/a", "git: {push: {refspec: 'a:b'}}"), "refspec is not followed"},
		{"tag", document1("v1", "ImageUpdateAutomation", "x/a", "git: {checkout: {ref: {tag: v1}}}"), "by its branch only"},
		{"signing", document1("v1", "ImageUpdateAutomation", "x/a", "git: {commit: {signingKey: {secretRef: {name: a}}}}"), "hint: sealift automate --signing-key"},
	} {
		found := Read(tree("-- a.yaml --\n" + test.text))
		if !strings.Contains(found.reasons(), test.want) || len(found.Notes) != 1 {
			t.Errorf("%s: got %q, want %q", test.name, found.reasons(), test.want)
		}
		if n := strings.Count(test.name, "hides no other"); len(found.Images) != n {
			t.Errorf("%s: %d images, want %d", test.name, len(found.Images), n)
		}
	}
}

func TestReferencesAcrossNamespaces(t *testing.T) {
	other := policy("x/shop", "imageRepositoryRef: {name: shop, namespace: other}\npolicy: {semver: {range: 1.x}}")
	for _, test := range []struct {
		access string
		want   string
	}{
		{"accessFrom: {namespaceSelectors: [{matchLabels: {}}]}", "x:shop"},
		{"accessFrom: {namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: x}}]}", "x:shop"},
		{"accessFrom: {namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: z}}, {matchLabels: {team: web}}]}", "x:shop"},
		{"accessFrom: {namespaceSelectors: [{matchLabels: {team: web, tier: one}}]}", ""},
		{"accessFrom: {namespaceSelectors: []}", ""},
	} {
		found := Read(tree("-- ns.yaml --\napiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {team: web}}\n-- a.yaml --\n" +
			repository("other/shop", "shop", "\n"+test.access) + other))
		if found.names() != test.want {
			t.Errorf("%s: %q, %s", test.access, found.names(), found.reasons())
		}
	}
}

func TestScope(t *testing.T) {
	image := Image{Image: v1alpha1.Image{Namespace: "x", Name: "shop"}, Labels: map[string]string{"team": "web"}}
	for _, test := range []struct {
		name, automation, path string
		want                   bool
	}{
		{"another namespace", document1("v1", "ImageUpdateAutomation", "other/a", "update: {path: .}"), "a.yaml", false},
		{"the root", document1("v1", "ImageUpdateAutomation", "x/a", "update: {path: .}"), "a.yaml", true},
		{"no path", document1("v1", "ImageUpdateAutomation", "x/a", "interval: 1m"), "a.yaml", true},
		{"a folder", document1("v1", "ImageUpdateAutomation", "x/a", "update: {path: ./apps/prod/}"), "apps/prod/a.yaml", true},
		{"outside the folder", document1("v1", "ImageUpdateAutomation", "x/a", "update: {path: ./apps/prod}"), "apps/production/a.yaml", false},
		{"no way out", document1("v1", "ImageUpdateAutomation", "x/a", "update: {path: ../../apps}"), "apps/a.yaml", true},
		{"labels", document1("v1", "ImageUpdateAutomation", "x/a", "policySelector: {matchLabels: {team: web}}"), "a.yaml", true},
		{"other labels", document1("v1", "ImageUpdateAutomation", "x/a", "policySelector: {matchLabels: {team: db}}"), "a.yaml", false},
		{"an expression", document1("v1", "ImageUpdateAutomation", "x/a", "policySelector: {matchExpressions: [{key: team, operator: NotIn, values: [db]}]}"), "a.yaml", true},
	} {
		found := Read(tree("-- f.yaml --\n" + test.automation))
		if len(found.Automations) != 1 || len(found.Notes) > 0 {
			t.Fatal(found.reasons())
		}
		if got := found.Automations[0].Writes(image, test.path); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestNamespacesOfKustomizations(t *testing.T) {
	both := repository("shop", "shop", "") + policy("shop", semver1)
	for _, test := range []struct{ name, text, want string }{
		{"beside", "-- a/kustomization.yaml --\nnamespace: nn\nresources: [f.yaml]\n-- a/f.yaml --\n" + both, "nn:shop"},
		{"above", "-- kustomization.yaml --\nnamespace: nn\nresources: [a]\n-- a/Kustomization --\nresources: [f.yaml]\n-- a/f.yaml --\n" + both, "nn:shop"},
		{"the outermost counts", "-- kustomization.yaml --\nnamespace: nn\nresources: [./a/]\n-- a/kustomization.yml --\nnamespace: m\nresources: [f.yaml]\n-- a/f.yaml --\n" + both, "nn:shop"},
		{"over its own", "-- kustomization.yaml --\nnamespace: nn\nresources: [f.yaml]\n-- f.yaml --\n" + strings.ReplaceAll(both, "{name: shop}\nspec:\n  i", "{name: shop, namespace: m}\nspec:\n  i"), "nn:shop"},
		{"two overlays", "-- base/kustomization.yaml --\nresources: [f.yaml]\n-- base/f.yaml --\n" + both + "-- o/a/kustomization.yaml --\nnamespace: a\nresources: [../../base]\n-- o/b/kustomization.yaml --\nnamespace: b\nbases: [../../base]\n", "a:shop b:shop"},
		{"target namespace", "-- flux.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {path: ./apps, targetNamespace: nn}\n-- apps/x/f.yaml --\n" + both, "nn:shop"},
		{"target namespace over a kustomization", "-- flux.yaml --\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {path: ./apps, targetNamespace: nn}\n-- apps/kustomization.yaml --\nnamespace: m\nresources: [f.yaml]\n-- apps/f.yaml --\n" + both, "nn:shop"},
		{"in a dotted folder", "-- .flux/kustomization.yaml --\nnamespace: nn\nresources: [f.yaml]\n-- .flux/f.yaml --\n" + both, "nn:shop"},
		{"a circle", "-- kustomization.yaml --\nnamespace: nn\nresources: [f.yaml, a]\n-- a/kustomization.yaml --\nresources: [b, ../..]\n-- a/b/kustomization.yaml --\nresources: [../../a]\n-- f.yaml --\n" + both, "nn:shop"},
		{"nobody lists it", "-- a/kustomization.yaml --\nnamespace: nn\nresources: [g.yaml, 'https://example.com/x', /etc]\n-- a/f.yaml --\n" + both, ""},
	} {
		found := Read(tree(test.text))
		if found.names() != test.want {
			t.Errorf("%s: got %q, want %q; %s", test.name, found.names(), test.want, found.reasons())
		}
	}
}

func TestLists(t *testing.T) {
	item := func(kind, spec string) string {
		return "- apiVersion: image.toolkit.fluxcd.io/v1beta2\n  kind: " + kind + "\n  metadata: {name: shop, namespace: x}\n  spec: " + spec + "\n"
	}
	found := Read(tree("-- a.yml --\napiVersion: v1\nkind: List\nitems:\n" + item("ImageRepository", "{image: shop}") +
		item("ImagePolicy", "{imageRepositoryRef: {name: shop}, policy: {semver: {range: 1.x}}}")))
	if found.names() != "x:shop" {
		t.Error(found.reasons())
	}
}

// Charts' templates and Flux's own components are passed over in silence.
func TestFilesThatAreNotMeant(t *testing.T) {
	for _, text := range []string{"{{ if .Values.x }}\napiVersion: v1\n{{ end }}", "a: [", "group: image.toolkit.fluxcd.io\nname: imagepolicies.image.toolkit.fluxcd.io"} {
		if MayHaveDocuments("a.yaml", []byte(text)) {
			t.Errorf("%q is read", text)
		}
	}
	for _, name := range []string{"a.json", "a.txt", "a.yaml.gotmpl"} {
		if MayHaveDocuments(name, []byte("apiVersion: image.toolkit.fluxcd.io/v1")) {
			t.Errorf("%s is read", name)
		}
	}
}

func TestObjectsOf(t *testing.T) {
	text := "# one\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\nkind: List\nitems:\n  - kind: Job\n    metadata: {name: b, namespace: nn}\n  - kind: Secret\n    metadata:\n      name: c\n---\n- no: object\n"
	for line, want := range map[int]Object{
		1: {}, 2: {APIVersion: "v1", Kind: "Pod", Name: "a"}, 5: {APIVersion: "v1", Kind: "Pod", Name: "a"},
		10: {Kind: "Job", Namespace: "nn", Name: "b"}, 13: {Kind: "Secret", Name: "c"}, 15: {},
	} {
		if got := ObjectsOf([]byte(text))(line); got != want {
			t.Errorf("line %d: got %v, want %v", line, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(repository("x/shop", "shop", "")+policy("x/shop", semver1)), []byte("namespace: nn\nresources: [f.yaml, .]"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: image.toolkit.fluxcd.io/v1, kind: ImagePolicy}]"), []byte("resources: [..]"))
	f.Fuzz(func(t *testing.T, document, kustomization []byte) {
		found := Read([]File{{Path: "a/f.yaml", Data: document}, {Path: "a/kustomization.yaml", Data: kustomization}, {Path: "kustomization.yaml", Data: kustomization}})
		for _, i := range found.Images {
			if i.Name == "" || i.Namespace == "" || i.Image.Image == "" {
				t.Errorf("%+v", i)
			}
			for _, a := range found.Automations {
				a.Writes(i, "a/f.yaml")
			}
		}
		ObjectsOf(document)(3)
	})
}
