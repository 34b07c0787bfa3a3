package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlFile is a parsed YAML file: every document of it.
type yamlFile struct {
	text  *text
	nodes []flat
}

func readYAML(data []byte) (*yamlFile, error) {
	nodes, err := flatten(data)
	if err != nil {
		return nil, err
	}
	return &yamlFile{text: newText(data), nodes: nodes}, nil
}

// markers finds the marked values, and the markers that stand behind none.
func (y *yamlFile) markers() []Place {
	var found []Place
	for i, n := range y.nodes {
		if !n.isValue {
			continue
		}
		p := y.placeAt(i)
		comment := n.LineComment
		if p.Problem == "" {
			comment = y.text.comment(p, n.isItem)
		}
		if m, ok := parseMarker(comment); ok {
			found = append(found, m.on(p))
		}
	}
	return append(found, y.text.strays(y.nodes, found)...)
}

func (y *yamlFile) place(n *node) Place { return y.placeAt(n.index) }

// placeAt is where the scalar or alias at an index is.
func (y *yamlFile) placeAt(i int) Place {
	n := y.nodes[i]
	p := Place{Line: n.Line, Value: n.Value, node: i, parent: n.parent}
	if n.Kind == yaml.AliasNode {
		p.Value = ""
	}
	p.Problem = y.text.span(&p, n.Node)
	return p
}

// on makes p the marker's.
func (m marker) on(p Place) Place {
	p.Policy, p.Part, p.Hold = m.policy, m.part, m.hold
	if p.Problem == "" {
		p.Problem = m.problem
	}
	return p
}

// spell writes a value between its old quotes. A plain value that YAML 1.1
// would take for something else than text gets quotes.
func (y *yamlFile) spell(p Place, value string) (string, error) {
	if p.quote != "" {
		return p.quote + value + p.quote, nil
	}
	// The encoder quotes what YAML 1.1 would not read as text.
	plain, err := yaml.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("writing %q: %w", value, err)
	}
	if string(plain) == value+"\n" && !isHuge(value) {
		return value, nil
	}
	return `"` + value + `"`, nil
}

// isHuge says that text has the form of a number; the encoder takes one that is beyond 64
// bits for text, and other readers for infinity: 685e5134 may be the hash of a commit.
func isHuge(value string) bool {
	digits := strings.ToLower(strings.ReplaceAll(value, "_", ""))
	for prefix, base := range map[string]int{"0x": 16, "0o": 8, "0b": 2} {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(digits, "-"), prefix); ok {
			_, ok = new(big.Int).SetString(rest, base)
			return ok
		}
	}
	_, err := strconv.ParseFloat(digits, 64)
	return errors.Is(err, strconv.ErrRange)
}

var errOther = errors.New("the edit would change more than its values")

func (y *yamlFile) verify(after []byte, want map[int]string, loose bool) error {
	nodes, err := flatten(after)
	if err != nil {
		return fmt.Errorf("after the edit: %w", err)
	}
	if len(nodes) != len(y.nodes) {
		return errOther
	}
	for i, n := range nodes {
		value, wanted := want[i]
		same := false
		switch old := y.nodes[i]; {
		case n.Kind != old.Kind || n.Anchor != old.Anchor || n.Line != old.Line:
		case !loose && (n.HeadComment != old.HeadComment || n.LineComment != old.LineComment || n.FootComment != old.FootComment):
		case wanted:
			same = n.Value == value && n.ShortTag() == strTag
		case loose:
			same = n.Style == old.Style && (n.ShortTag() == old.ShortTag() || n.ShortTag() == strTag)
		default:
			same = n.Value == old.Value && n.Tag == old.Tag && n.Style == old.Style
		}
		if !same {
			return fmt.Errorf("line %d: %w", y.nodes[i].Line, errOther)
		}
	}
	return nil
}

// strTag is the type of text.
const strTag = "!!str"

// roots builds the tree that keys lead through.
func (y *yamlFile) roots() []*node {
	var roots []*node
	for at := 0; at < len(y.nodes); {
		document := y.nodes[at].Node
		at++
		for range document.Content {
			var root *node
			root, at = y.tree(at)
			roots = append(roots, root)
		}
	}
	return roots
}

// tree is the value at an index; the next value's index is next.
func (y *yamlFile) tree(at int) (n *node, next int) {
	from := y.nodes[at].Node
	n = &node{index: at, line: from.Line}
	next = at + 1
	switch from.Kind {
	case yaml.ScalarNode:
		n.kind, n.text = kindText, from.Value
	case yaml.SequenceNode:
		n.kind = kindSequence
	case yaml.MappingNode:
		n.kind = kindMapping
	}
	var name *node
	for i := range from.Content {
		var child *node
		child, next = y.tree(next)
		switch {
		case n.kind == kindSequence:
			n.children = append(n.children, child)
		case i%2 == 0:
			name = child
		case name.kind == kindText:
			child.key = name.text
			n.children = append(n.children, child)
		}
	}
	return n, next
}

// flat is a node of a YAML tree, in the order of the text.
type flat struct {
	*yaml.Node
	isValue bool // the scalar or alias of a mapping's value, or of a sequence's item
	isItem  bool
	parent  int // its index
}

// flatten parses every document of a file.
func flatten(data []byte) (nodes []flat, err error) {
	// The parser panics on some input it does not understand.
	defer func() {
		if r := recover(); r != nil {
			nodes, err = nil, fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case err == io.EOF:
			return nodes, nil
		case err != nil:
			return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if nodes, err = appendFlat(nodes, flat{Node: &document}, 0); err != nil {
			return nil, err
		}
	}
}

func appendFlat(nodes []flat, n flat, depth int) ([]flat, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d is nested deeper than %d", n.Line, maxDepth)
	}
	parent := len(nodes)
	nodes = append(nodes, n)
	var err error
	for i, child := range n.Content {
		item := n.Kind == yaml.SequenceNode
		value := item || n.Kind == yaml.MappingNode && i%2 == 1
		leaf := child.Kind == yaml.ScalarNode || child.Kind == yaml.AliasNode
		next := flat{Node: child, isValue: value && leaf, isItem: item && leaf, parent: parent}
		if nodes, err = appendFlat(nodes, next, depth+1); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}
