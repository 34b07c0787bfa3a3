package controller

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"sealift.dev/manifests"
)

// defined fails where the cluster's definitions lack a field that this program writes
// or reads: the API server would drop it without a word.
func defined(ctx context.Context, reader client.Reader) error {
	files, err := fs.Glob(manifests.Files, "crds/sealift.dev_*.yaml")
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := manifests.Files.ReadFile(file)
		if err != nil {
			return err
		}
		var want, live unstructured.Unstructured
		if err := yaml.Unmarshal(data, &want.Object); err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		live.SetGroupVersionKind(want.GroupVersionKind())
		if err := reader.Get(ctx, client.ObjectKeyFromObject(&want), &live); err != nil {
			return fmt.Errorf("reading the definition %s: %w", want.GetName(), err)
		}
		if field := lackingVersion(want.Object, live.Object); field != "" {
			return fmt.Errorf("the cluster's definition %s is of an earlier version: it lacks %s; hint: sealift install --components crds",
				want.GetName(), field)
		}
	}
	return nil
}

// lackingVersion is the first field of the definition want that has has not, in any version.
func lackingVersion(want, has map[string]any) string {
	schemas := schemasOf(has)
	for version, schema := range schemasOf(want) {
		there, found := schemas[version]
		if !found {
			return "the version " + version
		}
		if field := lacking(schema, there, ""); field != "" {
			return field
		}
	}
	return ""
}

// schemasOf are the schemas of a definition, by version.
func schemasOf(definition map[string]any) map[string]map[string]any {
	versions, _, _ := unstructured.NestedSlice(definition, "spec", "versions")
	schemas := map[string]map[string]any{}
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		schemas[name], _, _ = unstructured.NestedMap(version, "schema", "openAPIV3Schema")
	}
	return schemas
}

// lacking is the path of the first property of want that has has not; empty: none.
func lacking(want, has map[string]any, path string) string {
	if open, _ := has["x-kubernetes-preserve-unknown-fields"].(bool); open {
		return ""
	}
	properties, _ := want["properties"].(map[string]any)
	there, _ := has["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		inner, _ := properties[name].(map[string]any)
		found, ok := there[name].(map[string]any)
		if !ok {
			return (path + "." + name)[1:]
		}
		if field := lacking(inner, found, path+"."+name); field != "" {
			return field
		}
	}
	for _, each := range []string{"items", "additionalProperties"} {
		inner, nested := want[each].(map[string]any)
		found, _ := has[each].(map[string]any)
		if !nested {
			continue
		}
		if field := lacking(inner, found, path); field != "" {
			return field
		}
	}
	return ""
}
