package tailor

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"sealift.dev/internal/objects"
)

// cast makes up releases, and what clusters change in them.
type cast struct {
	*rand.Rand
	moved, single bool // whether all is moved, and in one namespace before
}

func (c cast) of(choices ...string) string { return choices[c.IntN(len(choices))] }
func (c cast) name() string                { return fmt.Sprint("n", c.IntN(12)) }

func (c cast) namespace() string {
	if c.single {
		return "a"
	}
	return c.of("", "default", "a", "b", "target")
}

// placed is a reference by name and, sometimes, namespace.
func (c cast) placed() string {
	if c.IntN(4) == 0 {
		return "name: " + c.of(c.name(), "default")
	}
	return fmt.Sprintf("name: %s, namespace: %s", c.of(c.name(), c.name(), "default"), c.of("default", "a", "b", "target"))
}

func (c cast) subjects() string {
	var all []string
	for range 1 + c.IntN(3) {
		all = append(all, fmt.Sprintf("{kind: %s, %s}", c.of("ServiceAccount", "ServiceAccount", "User"), c.placed()))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (c cast) pod() string {
	return fmt.Sprintf(`{serviceAccountName: %s, containers: [{name: web, image: x, env: [{name: A, valueFrom: {configMapKeyRef: {name: %s, key: k}}}], envFrom: [{secretRef: {name: %s}}]}], volumes: [{name: v, configMap: {name: %s}}]}`,
		c.name(), c.name(), c.name(), c.name())
}

// rest is an object of that kind, but for its metadata.
func (c cast) rest(kind string) string {
	switch kind {
	case "apps/v1 Deployment":
		return fmt.Sprintf("spec: {replicas: 1, selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: %s}}", c.pod())
	case "batch/v1 CronJob":
		return fmt.Sprintf("spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: %s}}}}", c.pod())
	case "rbac.authorization.k8s.io/v1 RoleBinding", "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
		return fmt.Sprintf("roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %s}\nsubjects: %s", c.of("Role", "ClusterRole"), c.name(), c.subjects())
	case "rbac.authorization.k8s.io/v1 Role", "rbac.authorization.k8s.io/v1 ClusterRole":
		return fmt.Sprintf("rules: [{apiGroups: [''], resources: [configmaps], resourceNames: [%s, %s], verbs: [get]}]", c.name(), c.name())
	case "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration":
		return fmt.Sprintf("webhooks: [{name: x.example.com, clientConfig: {service: {%s, path: /x}}}]", c.placed())
	case "apiextensions.k8s.io/v1 CustomResourceDefinition":
		return fmt.Sprintf("spec: {group: example.com, conversion: {strategy: Webhook, webhook: {clientConfig: {service: {%s}}}}}", c.placed())
	case "apiregistration.k8s.io/v1 APIService":
		return fmt.Sprintf("spec: {service: {%s}}", c.placed())
	case "networking.k8s.io/v1 Ingress":
		return fmt.Sprintf("spec: {defaultBackend: {service: {name: %s, port: {number: 80}}}, tls: [{secretName: %s}]}", c.name(), c.name())
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return fmt.Sprintf("spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}}", c.name())
	case "v1 ServiceAccount":
		return fmt.Sprintf("imagePullSecrets: [{name: %s}]", c.name())
	case "v1 Service":
		return "spec: {ports: [{port: 80, name: http}, {port: 81, name: https}]}"
	case "v1 ConfigMap", "v1 Secret":
		return fmt.Sprintf("data: {k: %s, n: 'yes', o: '012'}", c.name())
	case "example.com/v1 Thing":
		return fmt.Sprintf("spec: {ref: {%s}, list: [{name: a}, {name: b}], size: 1.50}", c.placed())
	}
	return ""
}

func kinds() (namespaced, cluster []string) {
	return []string{
			"apps/v1 Deployment", "batch/v1 CronJob", "rbac.authorization.k8s.io/v1 RoleBinding", "rbac.authorization.k8s.io/v1 RoleBinding",
			"rbac.authorization.k8s.io/v1 Role", "networking.k8s.io/v1 Ingress", "autoscaling/v2 HorizontalPodAutoscaler",
			"v1 ServiceAccount", "v1 ServiceAccount", "v1 ServiceAccount", "v1 Service", "v1 Service", "v1 ConfigMap", "v1 Secret", "example.com/v1 Thing",
		}, []string{
			"rbac.authorization.k8s.io/v1 ClusterRoleBinding", "rbac.authorization.k8s.io/v1 ClusterRole", "v1 Namespace",
			"admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration", "apiextensions.k8s.io/v1 CustomResourceDefinition", "apiregistration.k8s.io/v1 APIService",
		}
}

func (c cast) objects(t *testing.T, n int) []*unstructured.Unstructured {
	t.Helper()
	namespaced, cluster := kinds()
	var text strings.Builder
	seen := map[string]bool{}
	for range n {
		kind, namespace, name := namespaced[c.IntN(len(namespaced))], c.namespace(), c.name()
		if c.IntN(6) == 0 {
			kind, namespace = cluster[c.IntN(len(cluster))], ""
		}
		id, once := fmt.Sprint(kind, name, effective(namespace)), ""
		if c.moved && c.IntN(200) > 0 { // what would be the same one after the move is refused
			once = fmt.Sprint(kind, name)
		}
		if c.moved && kind == "v1 Namespace" {
			once = kind
		}
		if seen[id] || seen[once] {
			continue
		}
		seen[id], seen[fmt.Sprint(kind, name)], seen[kind] = true, c.moved, c.moved
		version, kind, _ := strings.Cut(kind, " ")
		fmt.Fprintf(&text, "---\napiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: '%s', labels: {tier: %s}, annotations: {team: %s}}\n%s\n",
			version, kind, name, namespace, c.of("x", "z"), c.of("p", "q"), c.rest(version+" "+kind))
	}
	objs, err := objects.Decode([]objects.File{{Path: "a.yaml", Data: []byte(text.String())}}, objects.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// head begins a merge patch for u.
func head(u *unstructured.Unstructured) string {
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: '%s', annotations: {patched: %s}}\n", u.GetAPIVersion(), u.GetKind(), u.GetName(), u.GetNamespace(), u.GetName())
}

func (c cast) target() *Target {
	t := Target{Kind: c.of("ServiceAccount", "Service", "Deployment", "RoleBinding", "Config.*|Secret", "")}
	switch c.IntN(5) {
	case 0:
		t.Name = c.of("n1.*", "n[0-4]", "n2|n3", c.name())
	case 1:
		t.LabelSelector = "tier=x"
	case 2:
		t.AnnotationSelector = "team in (p), !fixed"
	case 3:
		t.Namespace = c.of("a", "default", "b|target")
	}
	return &t
}

func (c cast) patch(objs []*unstructured.Unstructured) Patch {
	one, other := objs[c.IntN(len(objs))], objs[c.IntN(len(objs))]
	switch c.IntN(14) {
	case 0:
		return Patch{Patch: "- {op: add, path: /metadata/labels/cluster, value: eu}", Target: c.target()}
	case 1, 13:
		of := func(u *unstructured.Unstructured) bool {
			return slices.Contains([]string{"ServiceAccount", "ConfigMap", "Secret", "Service", "Role"}, u.GetKind())
		}
		if i := slices.IndexFunc(objs, of); i >= 0 {
			return Patch{Patch: `[{"op": "replace", "path": "/metadata/name", "value": "renamed"}]`, Target: &Target{Kind: objs[i].GetKind(), Name: objs[i].GetName()}}
		}
	case 2:
		return Patch{Patch: head(one)}
	case 3:
		return Patch{Patch: head(one) + "---\n" + head(other) + "more: yes\n"}
	case 4:
		return Patch{Patch: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{name: web, image: y}, {name: side, image: z}], volumes: [{name: v, $patch: delete}]}}}\n", Target: &Target{Kind: "Deployment", LabelSelector: c.of("", "tier=z")}}
	case 5:
		return Patch{Patch: "$patch: delete\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n", Target: &Target{Kind: "ServiceAccount", Name: c.of("n1.?", "n2.?", c.name())}}
	case 6:
		return Patch{Patch: "$patch: delete\n" + head(one)}
	case 7:
		return Patch{Patch: "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: x}\nsubjects: " + c.subjects() + "\n", Target: &Target{Kind: "RoleBinding", Name: c.of("", "n1.*")}}
	case 8:
		return Patch{Patch: "- {op: replace, path: /subjects/0/name, value: " + c.name() + "}", Target: &Target{Kind: "RoleBinding", Name: "n1.*"}}
	case 9:
		return Patch{Patch: "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80, targetPort: 8080}, {port: 82}]}\n", Target: &Target{Kind: "Service"}}
	case 10:
		return Patch{Patch: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {y1: yes, y2: null, k: null, n: 012}\n", Target: &Target{Kind: "ConfigMap|Secret", LabelSelector: "tier=x"}}
	case 11:
		return Patch{Patch: "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec: {list: [{name: c}], size: null}\n", Target: &Target{Kind: "Thing"}}
	}
	return Patch{Patch: "- {op: replace, path: /spec/replicas, value: " + strconv.Itoa(c.IntN(5)) + "}", Target: &Target{Kind: "Deployment"}}
}

// listed is what is compared: objects by what they are called, as YAML.
func listed(t *testing.T, objs []*unstructured.Unstructured) []string {
	t.Helper()
	var all []string
	for _, u := range objs {
		for _, field := range []string{"labels", "annotations"} {
			if of, _, _ := unstructured.NestedMap(u.Object, "metadata", field); len(of) == 0 {
				unstructured.RemoveNestedField(u.Object, "metadata", field)
			}
		}
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	slices.Sort(all)
	return all
}

// TestBatchesAreWhatKustomizeMakes: for releases and patches at random, the batches
// together are what kustomize makes of all objects at once, or both are refused.
func TestBatchesAreWhatKustomizeMakes(t *testing.T) {
	seeds := 24
	if more, err := strconv.Atoi(os.Getenv("SEALIFT_SEEDS")); err == nil {
		seeds = more
	}
	same, refused := 0, 0
	for seed := range seeds {
		c := cast{Rand: rand.New(rand.NewPCG(uint64(seed), 1)), moved: seed%2 == 0, single: seed%4 > 1}
		objs := c.objects(t, 30+c.IntN(70))
		var o Options
		if c.moved {
			o.TargetNamespace = "target"
		}
		for range c.IntN(4) {
			o.Patches = append(o.Patches, c.patch(objs))
		}
		if !c.moved && len(o.Patches) == 0 {
			continue
		}
		patches, err := readPatches(o.Patches)
		if err != nil {
			t.Fatal(err)
		}
		every := batch{}
		for k := range patches {
			every.patches = append(every.patches, k)
		}
		whole, _, wrong := new(Tailor).build(t.Context(), objs, every.picked(patches), o.TargetNamespace)
		if wrong == nil {
			follow(whole, objs, o.TargetNamespace)
		}
		made, err := new(Tailor).kustomize(t.Context(), objs, o)
		if (err == nil) != (wrong == nil) {
			t.Errorf("seed %d: %.2000v\nkustomize: %.2000v\n%+v", seed, err, wrong, o.Patches)
			continue
		}
		if err != nil {
			refused++
			continue
		}
		same++
		got, want := listed(t, made), listed(t, whole)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				t.Errorf("seed %d: %d objects, kustomize makes %d; the first difference:\n%s\nkustomize:\n%s\n%+v", seed, len(got), len(want), strings.Join(got[i:min(i+1, len(got))], ""), strings.Join(want[i:min(i+1, len(want))], ""), o.Patches)
				break
			}
		}
	}
	if same < seeds/2 {
		t.Errorf("of %d releases, %d were refused", seeds, refused)
	}
	t.Logf("%d the same, %d refused by both", same, refused)
}
