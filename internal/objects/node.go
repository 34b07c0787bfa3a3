package objects

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// checker measures a document as it will be once its aliases are expanded.
type checker struct {
	limits Limits
	sizes  map[*yaml.Node]int64 // bytes of the nodes that were left
	inside map[*yaml.Node]bool  // nodes that were entered and not left
	line   int                  // of the last node entered
}

// checkNodes refuses duplicate keys, aliases that expand without bound or into
// themselves, and merge keys where they would decide what an object is.
func checkNodes(root *yaml.Node, limits Limits) (line int, err error) {
	c := &checker{limits: limits, sizes: map[*yaml.Node]int64{}, inside: map[*yaml.Node]bool{}}
	if _, err := c.size(root, 0); err != nil {
		return c.line, err
	}
	if at, err := checkMerge(root.Content[0]); err != nil {
		return at, err
	}
	return 0, nil
}

func (c *checker) size(n *yaml.Node, depth int) (int64, error) {
	c.line = n.Line
	if depth > c.limits.Depth {
		return 0, fmt.Errorf("a document nested more than %d levels deep: %w", c.limits.Depth, ErrLimit)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if c.inside[n] {
		return 0, fmt.Errorf("the alias %q contains itself", n.Anchor)
	}
	if known, ok := c.sizes[n]; ok {
		return known, nil
	}
	c.inside[n] = true
	defer delete(c.inside, n)
	if err := c.checkKeys(n); err != nil {
		return 0, err
	}
	total := int64(len(n.Value)) + 1
	for _, child := range n.Content {
		size, err := c.size(child, depth+1)
		if err != nil {
			return 0, err
		}
		if total += size; total > c.limits.Document {
			return 0, fmt.Errorf("a document of more than %d bytes once its aliases are expanded: %w", c.limits.Document, ErrLimit)
		}
	}
	c.sizes[n] = total
	return total, nil
}

// checkKeys compares keys by their text: 1 and "1" are the same key in JSON.
func (c *checker) checkKeys(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		c.line = key.Line
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("a key that is not a scalar")
		}
		if seen[key.Value] {
			return fmt.Errorf("key %q is there twice", key.Value)
		}
		seen[key.Value] = true
	}
	return nil
}

// checkMerge refuses "<<" in an object and in its metadata, where a reader that
// does not merge would see another object.
func checkMerge(object *yaml.Node) (line int, err error) {
	if object.Kind != yaml.MappingNode {
		return 0, nil
	}
	for i := 0; i < len(object.Content); i += 2 {
		key, value := object.Content[i], object.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if key.Value == "<<" {
			return key.Line, fmt.Errorf("a merge key at the top of an object")
		}
		if key.Value == "metadata" && value.Kind == yaml.MappingNode {
			for j := 0; j < len(value.Content); j += 2 {
				if value.Content[j].Value == "<<" {
					return value.Content[j].Line, fmt.Errorf("a merge key in metadata")
				}
			}
		}
		if key.Value == "items" && value.Kind == yaml.SequenceNode {
			for _, item := range value.Content {
				if item.Kind == yaml.AliasNode {
					item = item.Alias
				}
				if line, err := checkMerge(item); err != nil {
					return line, err
				}
			}
		}
	}
	return 0, nil
}
