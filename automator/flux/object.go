package flux

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// ObjectAt is the object that a line (from 1) of a YAML file is in. Zero: it is in none, or the
// file cannot be read.
func ObjectAt(data []byte, line int) (found Object) {
	// The parser panics on some input that it does not understand.
	defer func() {
		if recover() != nil {
			found = Object{}
		}
	}()
	if len(data) > maxFileBytes {
		return Object{}
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document yaml.Node
		if decoder.Decode(&document) != nil || len(document.Content) == 0 || document.Content[0].Line > line {
			return found
		}
		root := document.Content[0]
		found = objectOf(root)
		if items := valueOf(root, "items"); found.Name == "" && items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				if item.Line <= line {
					found = objectOf(item)
				}
			}
		}
	}
}

func objectOf(node *yaml.Node) Object {
	text := func(n *yaml.Node) string {
		if n == nil || n.Kind != yaml.ScalarNode {
			return ""
		}
		return n.Value
	}
	metadata := valueOf(node, "metadata")
	return Object{
		APIVersion: text(valueOf(node, "apiVersion")), Kind: text(valueOf(node, "kind")),
		Namespace: text(valueOf(metadata, "namespace")), Name: text(valueOf(metadata, "name")),
	}
}

func valueOf(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
