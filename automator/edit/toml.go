package edit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFile is a parsed TOML file.
type tomlFile struct {
	root  *node
	nodes []*node
}

func readTOML(data []byte) (*tomlFile, error) {
	r := tomlReader{lines: newLines(data), fields: map[*node]map[string]*node{}, made: map[*node]maker{}}
	r.begin = len(data) - len(bytes.TrimPrefix(data, []byte("\ufeff")))
	data = data[r.begin:]
	r.root = r.add(kindMapping)
	r.table = r.root
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		if err := r.expression(r.parser.Expression()); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.line, err)
		}
	}
	if err := r.parser.Error(); err != nil {
		return nil, r.explain(err)
	}
	return &tomlFile{root: r.root, nodes: r.nodes}, nil
}

// explain says where err is.
func (r *tomlReader) explain(err error) error {
	var where *unstable.ParserError
	if errors.As(err, &where) && len(where.Highlight) > 0 {
		return fmt.Errorf("line %d: %w", r.lines.at(r.begin+int(r.parser.Range(where.Highlight).Offset)), err)
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

// tomlReader builds the tree that the expressions of a file describe. The library's own
// decoder takes quadratic time for many keys, and tells no places.
type tomlReader struct {
	parser unstable.Parser
	begin  int // behind the byte order mark
	lines  lines
	line   int // of the key read last
	nodes  []*node
	root   *node
	table  *node // of the header read last
	fields map[*node]map[string]*node
	made   map[*node]maker // of tables and arrays
}

// maker is what a table was made by, and so what may add to it.
type maker int

const (
	byNeed   maker = iota // a longer header
	byHeader              // [table]: not again
	byArray               // [[table]]: again and again
	byDots                // a dotted key of the table around it
	byValue               // an inline table or array: nothing
)

var errTwice = errors.New("a key is defined twice")

func (r *tomlReader) add(kind kind) *node {
	n := &node{kind: kind, index: len(r.nodes), line: r.line}
	r.nodes = append(r.nodes, n)
	return n
}

func (r *tomlReader) expression(e *unstable.Node) error {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		n, key, err := r.descend(r.root, e.Key(), byNeed)
		if err != nil {
			return err
		}
		r.table, err = r.header(n, key, e.Kind == unstable.ArrayTable)
		return err
	case unstable.KeyValue:
		return r.assign(r.table, e)
	}
	return nil
}

// descend goes down a dotted key, up to its last part; tables that are missing are made.
func (r *tomlReader) descend(n *node, it unstable.Iterator, by maker) (*node, string, error) {
	last, depth := "", 0
	for it.Next() {
		key := it.Node()
		r.line = r.lines.at(r.begin + int(key.Raw.Offset))
		if depth > 0 {
			var err error
			if n, err = r.into(n, last, by); err != nil {
				return nil, "", err
			}
		}
		if depth++; depth > maxDepth {
			return nil, "", fmt.Errorf("a key has more than %d parts", maxDepth)
		}
		last = string(key.Data)
	}
	return n, last, nil
}

// into is the table at a key of n. Of an array of tables it is the last.
func (r *tomlReader) into(n *node, key string, by maker) (*node, error) {
	child := r.fields[n][key]
	switch {
	case child == nil:
		child = r.add(kindMapping)
		r.made[child] = by
		r.attach(n, key, child)
	case by == byDots && r.made[child] != byDots, child.kind == kindText || child.kind == kindOther, r.made[child] == byValue:
		return nil, errTwice
	case r.made[child] == byArray:
		return child.children[len(child.children)-1], nil
	}
	return child, nil
}

// header is the table that a header makes.
func (r *tomlReader) header(n *node, key string, array bool) (*node, error) {
	child := r.fields[n][key]
	if array {
		if child == nil {
			child = r.add(kindSequence)
			r.made[child] = byArray
			r.attach(n, key, child)
		}
		if r.made[child] != byArray {
			return nil, errTwice
		}
		item := r.add(kindMapping)
		child.children = append(child.children, item)
		return item, nil
	}
	if child == nil {
		child = r.add(kindMapping)
		r.attach(n, key, child)
	} else if child.kind != kindMapping || r.made[child] != byNeed {
		return nil, errTwice
	}
	r.made[child] = byHeader
	return child, nil
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
	n, key, err := r.descend(table, e.Key(), byDots)
	if err != nil {
		return err
	}
	if r.fields[n][key] != nil {
		return errTwice
	}
	value, err := r.value(e.Value())
	if err != nil {
		return err
	}
	r.made[value] = byValue
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
