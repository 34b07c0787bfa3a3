package objects

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8syaml "sigs.k8s.io/yaml"
)

// Encode writes objects as a YAML stream in the order given, keys sorted. The
// same objects give the same bytes.
func Encode(objs []*unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for i, u := range objs {
		document, err := k8syaml.Marshal(u.Object)
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", Name(u), err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(document)
	}
	return out.Bytes(), nil
}

// Sort orders objects by group, kind, namespace and name.
func Sort(objs []*unstructured.Unstructured) {
	slices.SortFunc(objs, func(a, b *unstructured.Unstructured) int {
		x, y := identityOf(a), identityOf(b)
		return cmp.Or(cmp.Compare(x.group, y.group), cmp.Compare(x.kind, y.kind),
			cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
	})
}
