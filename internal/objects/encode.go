package objects

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8syaml "sigs.k8s.io/yaml"
)

// Encode writes objects as a YAML stream in the order given, keys sorted. The
// same objects give the same bytes.
func Encode(objs []*unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for batch := range slices.Chunk(objs, batchChunks) {
		documents, problems := make([][]byte, len(batch)), make([]error, len(batch))
		inParallel(len(batch), func(i int) { documents[i], problems[i] = encode(batch[i].Object) })
		for i, u := range batch {
			if problems[i] != nil {
				return nil, fmt.Errorf("writing %s: %w", Name(u), problems[i])
			}
			if out.Len() > 0 {
				out.WriteString("---\n")
			}
			out.Write(documents[i])
		}
	}
	return out.Bytes(), nil
}

// encode goes by way of JSON, as Kubernetes does. YAML takes one of the characters
// that JSON leaves as they are for a line's end, and refuses others.
func encode(object map[string]any) ([]byte, error) {
	asJSON, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(asJSON, 0x7f) >= 0 || bytes.IndexByte(asJSON, 0xc2) >= 0 { // what they begin with
		asJSON = control.ReplaceAllFunc(asJSON, func(raw []byte) []byte {
			r, _ := utf8.DecodeRune(raw)
			return fmt.Appendf(nil, `\u%04x`, r)
		})
	}
	return k8syaml.JSONToYAML(asJSON)
}

// control are the control characters beyond ASCII's first: in JSON they are in
// strings only.
var control = regexp.MustCompile("[\u007f-\u009f]")

// Sort orders objects by group, kind, namespace and name.
func Sort(objs []*unstructured.Unstructured) {
	slices.SortFunc(objs, func(a, b *unstructured.Unstructured) int {
		x, y := identityOf(a), identityOf(b)
		return cmp.Or(cmp.Compare(x.group, y.group), cmp.Compare(x.kind, y.kind),
			cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
	})
}
