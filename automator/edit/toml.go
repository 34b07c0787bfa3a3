package edit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFile is a parsed TOML file.
type tomlFile struct {
	root  *node
	nodes []*node
}

func readTOML(data []byte) (*tomlFile, error) {
	r := tomlReader{lines: newLines(data), fields: map[*node]map[string]*node{}}
	r.begin = len(data) - len(bytes.TrimPrefix(data, []byte("\ufeff")))
	data = data[r.begin:]
	// What follows reads the grammar; this also refuses what is defined twice.
	var checked map[string]any
	if err := toml.Unmarshal(data, &checked); err != nil {
		return nil, tomlError(err)
	}
	r.root = r.add(kindMapping)
	r.table = r.root
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		if err := r.expression(r.parser.Expression()); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
	if err := r.parser.Error(); err != nil {
		return nil, tomlError(err)
	}
	return &tomlFile{root: r.root, nodes: r.nodes}, nil
}

func tomlError(err error) error {
	var where *toml.DecodeError
	if errors.As(err, &where) {
		line, _ := where.Position()
		return fmt.Errorf("line %d: %w", line, err)
	}
	return err
}

func (t *tomlFile) roots() []*node      { return []*node{t.root} }
func (t *tomlFile) place(n *node) Place { return n.place() }
func (t *tomlFile) spell(p Place, value string) (string, error) {
	return p.quote + value + p.quote, nil
}

func (t *tomlFile) verify(after []byte, want map[int]string, loose bool) error {
	again, err := readTOML(after)
	if err != nil {
		return fmt.Errorf("after the edit: %w", err)
	}
	return compare(t.nodes, again.nodes, want, loose)
}

// tomlReader builds the tree that the expressions of a file describe.
type tomlReader struct {
	parser unstable.Parser
	begin  int // behind the byte order mark
	lines  lines
	line   int // of the key read last
	nodes  []*node
	root   *node
	table  *node // of the header read last
	fields map[*node]map[string]*node
}

func (r *tomlReader) add(kind kind) *node {
	n := &node{kind: kind, index: len(r.nodes), line: r.line}
	r.nodes = append(r.nodes, n)
	return n
}

func (r *tomlReader) expression(e *unstable.Node) error {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		n, key, err := r.descend(r.root, e.Key())
		if err != nil {
			return err
		}
		r.table = r.field(n, key, e.Kind == unstable.ArrayTable)
	case unstable.KeyValue:
		return r.assign(r.table, e)
	}
	return nil
}

// descend goes down a dotted key, up to its last part.
func (r *tomlReader) descend(n *node, it unstable.Iterator) (*node, string, error) {
	last, depth := "", 0
	for it.Next() {
		key := it.Node()
		r.line = r.lines.at(r.begin + int(key.Raw.Offset))
		if depth > 0 {
			n = r.field(n, last, false)
		}
		if depth++; depth > maxDepth {
			return nil, "", fmt.Errorf("a key has more than %d parts", maxDepth)
		}
		last = string(key.Data)
	}
	return n, last, nil
}

// field is the table at a key of n, which is made if it is not there. Of an array of
// tables it is the last; more adds one to it.
func (r *tomlReader) field(n *node, key string, more bool) *node {
	child := r.fields[n][key]
	if child == nil {
		kind := kindMapping
		if more {
			kind = kindSequence
		}
		child = r.add(kind)
		r.attach(n, key, child)
	}
	if more {
		item := r.add(kindMapping)
		child.children = append(child.children, item)
		return item
	}
	if child.kind == kindSequence && len(child.children) > 0 {
		return child.children[len(child.children)-1]
	}
	return child
}

func (r *tomlReader) attach(n *node, key string, child *node) {
	if r.fields[n] == nil {
		r.fields[n] = map[string]*node{}
	}
	r.fields[n][key] = child
	child.key = key
	n.children = append(n.children, child)
}

// assign reads KEY = VALUE into a table.
func (r *tomlReader) assign(table *node, e *unstable.Node) error {
	n, key, err := r.descend(table, e.Key())
	if err != nil {
		return err
	}
	value, err := r.value(e.Value())
	if err != nil {
		return err
	}
	r.attach(n, key, value)
	return nil
}

func (r *tomlReader) value(e *unstable.Node) (*node, error) {
	n := r.add(kindOther)
	switch e.Kind {
	case unstable.String:
		r.spanText(n, e)
	case unstable.Array:
		n.kind = kindSequence
		for it := e.Children(); it.Next(); {
			child, err := r.value(it.Node())
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, child)
		}
	case unstable.InlineTable:
		n.kind = kindMapping
		for it := e.Children(); it.Next(); {
			if err := r.assign(n, it.Node()); err != nil {
				return nil, err
			}
		}
	default:
		n.text, n.problem = e.Kind.String()+" "+string(e.Data), "the value is no text: write it in quotes"
	}
	return n, nil
}

// spanText finds a string's quotes, one or three.
func (r *tomlReader) spanText(n *node, e *unstable.Node) {
	n.kind, n.text = kindText, string(e.Data)
	raw := string(r.parser.Raw(e.Raw))
	n.start = r.begin + int(e.Raw.Offset)
	n.end, n.line = n.start+len(raw), r.lines.at(n.start)
	n.quote = raw[:1]
	if triple := strings.Repeat(n.quote, 3); len(raw) >= 6 && strings.HasPrefix(raw, triple) {
		n.quote = triple
	}
	if strings.ContainsAny(raw, "\r\n") {
		n.problem = "the value spans lines: write it in quotes on one line"
	}
}
