package test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// example is a block of YAML in a page of docs/.
type example struct {
	page   string
	object map[string]any
}

// examples reads the blocks of a page.
func examples(t *testing.T, page string) []example {
	t.Helper()
	content, err := os.ReadFile("../docs/" + page)
	must(t, err)
	var all []example
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(content), -1) {
		for document := range strings.SplitSeq(block[1], "\n---\n") {
			e := example{page: page}
			if err := yaml.UnmarshalStrict([]byte(document), &e.object); err != nil {
				t.Fatalf("%s: %v in:\n%s", page, err, document)
			}
			all = append(all, e)
		}
	}
	return all
}

// pods are what an example of these kinds leaves out.
const pods = `
Deployment: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}}
Job: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: job}]}}}
`

// fill adds to an object what it leaves out.
func fill(object, from map[string]any) {
	for key, value := range from {
		inner, nested := object[key].(map[string]any)
		if more, ok := value.(map[string]any); ok && nested {
			fill(inner, more)
		} else if object[key] == nil {
			object[key] = value
		}
	}
}

// complete makes an object of a fragment: of a spec a Delivery, of metadata a ConfigMap.
func (e example) complete(t *testing.T, namespace string, i int) map[string]any {
	t.Helper()
	object := map[string]any{}
	for key, value := range e.object {
		object[key] = value
	}
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	spec, _ := object["spec"].(map[string]any)
	kind, _ := object["kind"].(string)
	var left map[string]map[string]any
	must(t, yaml.Unmarshal([]byte(pods), &left))
	switch {
	case left[kind] != nil:
		fill(object, map[string]any{"spec": left[kind]})
	case kind != "":
	case spec != nil:
		object["apiVersion"], object["kind"] = "sealift.dev/v1alpha1", "Delivery"
		if spec["source"] == nil {
			spec["source"] = map[string]any{"url": "oci://registry.example.com/deploy/shop", "tag": "main"}
		}
	default:
		object["apiVersion"], object["kind"] = "v1", "ConfigMap"
	}
	metadata["name"] = fmt.Sprintf("example-%d", i)
	if kind := object["kind"]; kind != "TrustPolicy" && kind != "FlowSchema" {
		metadata["namespace"] = namespace
	}
	object["metadata"] = metadata
	return object
}

// TestExamplesAreAdmitted: the API server takes every example of the pages.
func TestExamplesAreAdmitted(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	all := append(examples(t, "delivery.md"), examples(t, "operations.md")...)
	for _, e := range append(examples(t, "from-flux.md"), examples(t, "from-argocd.md")...) {
		if e.object["kind"] == "Delivery" {
			all = append(all, e)
		}
	}
	if len(all) < 10 {
		t.Fatalf("%d examples were found", len(all))
	}
	var manifests []string
	for i, e := range all {
		text, err := yaml.Marshal(e.complete(t, w.name, i))
		must(t, err)
		manifests = append(manifests, string(text))
	}
	out, err := w.cluster.KubectlInput(t.Context(), strings.Join(manifests, "---\n"), "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := strings.Count(out, "serverside-applied"); n != len(all) {
		t.Errorf("%d of %d examples were applied", n, len(all))
	}
}

// TestEveryFieldHasAnExample: each field of a Delivery's spec occurs in an example of
// docs/delivery.md. Those of trust have a page of their own.
func TestEveryFieldHasAnExample(t *testing.T) {
	content, err := os.ReadFile("../manifests/crds/sealift.dev_deliveries.yaml")
	must(t, err)
	var definition apiextensionsv1.CustomResourceDefinition
	must(t, yaml.Unmarshal(content, &definition))
	shown := map[string]bool{}
	for _, e := range examples(t, "delivery.md") {
		occurs("spec", e.object["spec"], shown)
	}
	var missing []string
	wanted := declared("spec", definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
	for _, field := range wanted {
		if !shown[field] {
			missing = append(missing, field)
		}
	}
	if len(wanted) < 50 || len(missing) > 0 {
		t.Errorf("%d of %d fields are in no example of docs/delivery.md: %s", len(missing), len(wanted), strings.Join(missing, ", "))
	}
}

// declared lists the fields of a schema.
func declared(path string, schema apiextensionsv1.JSONSchemaProps) []string {
	if schema.Items != nil {
		return declared(path, *schema.Items.Schema)
	}
	var fields []string
	for name, property := range schema.Properties {
		field := path + "." + name
		fields = append(fields, field)
		if field != "spec.trust" {
			fields = append(fields, declared(field, property)...)
		}
	}
	return fields
}

// occurs notes the fields of a value.
func occurs(path string, value any, shown map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			shown[path+"."+name] = true
			occurs(path+"."+name, inner, shown)
		}
	case []any:
		for _, inner := range value {
			occurs(path, inner, shown)
		}
	}
}
