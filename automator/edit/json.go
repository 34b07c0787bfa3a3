package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// jsonFile is a parsed JSON file.
type jsonFile struct {
	root  *node
	nodes []*node
}

func readJSON(data []byte) (*jsonFile, error) {
	r := jsonReader{data: data, lines: newLines(data)}
	r.begin = len(data) - len(bytes.TrimPrefix(data, []byte("\ufeff")))
	r.decoder = json.NewDecoder(bytes.NewReader(data[r.begin:]))
	r.decoder.UseNumber()
	// Reading token by token takes some commas that are too many.
	var whole json.RawMessage
	if err := json.Unmarshal(data[r.begin:], &whole); err != nil {
		return nil, r.explain(err)
	}
	root, err := r.value(0)
	if err != nil {
		return nil, err
	}
	return &jsonFile{root: root, nodes: r.nodes}, nil
}

// explain says where err is, and what else can be done with files that only look like JSON.
func (r *jsonReader) explain(err error) error {
	at := len(r.data)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = r.begin + int(syntax.Offset)
	}
	return fmt.Errorf("line %d: %w; hint: JSON with comments, or several values, takes a regexp", r.lines.at(at), err)
}

func (j *jsonFile) roots() []*node      { return []*node{j.root} }
func (j *jsonFile) place(n *node) Place { return n.place() }
func (j *jsonFile) spell(p Place, value string) (string, error) {
	return p.quote + value + p.quote, nil
}

func (j *jsonFile) verify(after []byte, want map[int]string, loose bool) error {
	again, err := readJSON(after)
	if err != nil {
		return fmt.Errorf("after the edit: %w", err)
	}
	return compare(j.nodes, again.nodes, want, loose)
}

// jsonReader reads values with the places where they are.
type jsonReader struct {
	data    []byte
	begin   int // behind the byte order mark
	lines   lines
	decoder *json.Decoder
	nodes   []*node
}

func (r *jsonReader) value(depth int) (*node, error) {
	n := &node{index: len(r.nodes), start: r.next()}
	n.line = r.lines.at(n.start)
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d is nested deeper than %d", n.line, maxDepth)
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", n.line, err)
	}
	r.nodes = append(r.nodes, n)
	n.end = r.begin + int(r.decoder.InputOffset())
	switch token := token.(type) {
	case json.Delim:
		n.kind = kindSequence
		if token == '{' {
			n.kind = kindMapping
		}
		return n, r.children(n, depth+1)
	case string:
		n.kind, n.text, n.quote = kindText, token, `"`
	default:
		n.text, n.problem = string(r.data[n.start:n.end]), "the value is no text: write it in quotes"
	}
	return n, nil
}

// children reads up to the bracket that ends n.
func (r *jsonReader) children(n *node, depth int) error {
	for r.decoder.More() {
		key := ""
		if n.kind == kindMapping {
			token, err := r.decoder.Token()
			if err != nil {
				return err
			}
			key, _ = token.(string) // nothing else is a key
		}
		child, err := r.value(depth)
		if err != nil {
			return err
		}
		child.key = key
		n.children = append(n.children, child)
	}
	_, err := r.decoder.Token()
	return err
}

// next is where the next value begins.
func (r *jsonReader) next() int {
	at := r.begin + int(r.decoder.InputOffset())
	for at < len(r.data) && bytes.IndexByte([]byte(" \t\r\n,:"), r.data[at]) >= 0 {
		at++
	}
	return at
}
