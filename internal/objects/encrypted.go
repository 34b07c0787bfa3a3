package objects

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/json"
)

// EncryptedFile is what has to be known of a document that SOPS encrypted besides what
// SOPS wrote: its authentication code covers the values in the order of the file, and
// objects have none. It is kept in the object as sops.sealift.
type EncryptedFile struct {
	// Document counts the documents of one file from zero.
	Document int `json:"document"`
	// Order are JSON pointers (RFC 6901) to the values, as the file had them.
	Order []string `json:"order"`
}

const (
	sopsKey    = "sops"
	sealiftKey = "sealift"
)

// IsEncrypted says that SOPS encrypted an object.
func IsEncrypted(object map[string]any) bool {
	sops, _ := object[sopsKey].(map[string]any)
	mac, _ := sops["mac"].(string)
	return mac != ""
}

// EscapePointer writes a key as a part of a JSON pointer.
func EscapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// maxOrder bounds the pointers into one document, in bytes. What has more is decrypted
// nowhere: its authentication code cannot be checked.
const maxOrder = 1 << 20

// orderOf is the order of the values in a document that SOPS encrypted, and its
// authentication code; nil for any other.
func orderOf(root *yaml.Node) (order []string, mac string) {
	top := resolved(root.Content[0])
	code := child(child(top, sopsKey), "mac")
	if code == nil || code.Value == "" {
		return nil, ""
	}
	w := walk{found: []string{}}
	for i := 0; i+1 < len(top.Content); i += 2 {
		if key := top.Content[i].Value; key != sopsKey {
			w.pointers("/"+EscapePointer(key), top.Content[i+1])
		}
	}
	if w.bytes > maxOrder {
		return nil, ""
	}
	return w.found, code.Value
}

// walk collects pointers to values.
type walk struct {
	found []string
	bytes int
}

func (w *walk) pointers(at string, n *yaml.Node) {
	if w.bytes += len(at); w.bytes > maxOrder {
		return
	}
	switch n = resolved(n); n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.pointers(at+"/"+EscapePointer(n.Content[i].Value), n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			w.pointers(at+"/"+strconv.Itoa(i), item)
		}
	case yaml.ScalarNode:
		if n.ShortTag() != "!!null" {
			w.found = append(w.found, at)
		}
	}
}

func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// child is the value of a key; nil where there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolved(n.Content[i+1])
		}
	}
	return nil
}

// KeepOrder gives each document of a file that SOPS encrypted the order of its values,
// so that what rewrites the file keeps it. Other files are returned as they are.
func KeepOrder(f File, limits Limits) (File, error) {
	if !bytes.Contains(f.Data, []byte(sopsKey)) {
		return f, nil
	}
	documents, err := Documents(f, limits)
	if err != nil {
		return f, err
	}
	var kept [][]byte
	changed, encrypted := false, orders{}
	for _, d := range documents {
		if d.order != nil {
			var object map[string]any
			if err := json.Unmarshal(d.JSON, &object); err != nil {
				return f, fmt.Errorf("%q line %d: %w", f.Path, d.Line, err)
			}
			encrypted.keep(object, d)
			if d.JSON, err = json.Marshal(object); err != nil {
				return f, fmt.Errorf("%q line %d: %w", f.Path, d.Line, err)
			}
			changed = true
		}
		kept = append(kept, d.JSON)
	}
	if !changed {
		return f, nil
	}
	return File{Path: f.Path, Data: bytes.Join(kept, []byte("\n---\n"))}, nil // JSON is YAML
}

// orders counts the documents of a file by their authentication code.
type orders map[string]int

// keep writes down the order of a document that SOPS encrypted, unless that was done
// before. Whoever publishes could write what he likes here: a value that is encrypted
// and not covered is refused when it is decrypted.
func (o orders) keep(object map[string]any, d Document) {
	sops, ok := object[sopsKey].(map[string]any)
	if d.order == nil || !ok {
		return
	}
	document := o[d.mac]
	o[d.mac]++
	if _, known := sops[sealiftKey].(map[string]any); known {
		return
	}
	order := make([]any, len(d.order))
	for i, pointer := range d.order {
		order[i] = pointer
	}
	sops[sealiftKey] = map[string]any{"document": int64(document), "order": order}
}
