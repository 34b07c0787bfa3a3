package flux

import (
	"bytes"
	"sort"

	"go.yaml.in/yaml/v3"
)

// ObjectsOf tells which object a line (from 1) of a YAML file is in. Zero: it is in none, or the
// file cannot be read up to there. The file is read once, whatever is asked.
func ObjectsOf(data []byte) func(line int) Object {
	all := begun(data)
	return func(line int) Object {
		i := sort.Search(len(all), func(i int) bool { return all[i].line > line })
		if i == 0 {
			return Object{}
		}
		return all[i-1].Object
	}
}

// beginning is where an object begins.
type beginning struct {
	line int
	Object
}

// begun are the objects of a file, and of its lists, in the order of their lines.
func begun(data []byte) (all []beginning) {
	// The parser panics on some input that it does not understand; what came before counts.
	defer func() { _ = recover() }()
	if len(data) > maxFileBytes {
		return nil
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document yaml.Node
		if decoder.Decode(&document) != nil || len(document.Content) == 0 {
			return all
		}
		root := document.Content[0]
		found := objectOf(root)
		all = append(all, beginning{root.Line, found})
		if items := valueOf(root, "items"); found.Name == "" && items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				all = append(all, beginning{item.Line, objectOf(item)})
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
