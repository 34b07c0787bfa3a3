package automator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds how deep YAML may be nested.
const maxDepth = 200

// scalar is a marked value. Its bytes are data[start:end], quotes included,
// unless problem says why it cannot be edited.
type scalar struct {
	marker     marker
	node       int // its place in the flattened tree
	line       int // from 1
	value      string
	start, end int
	quote      byte // ', " or 0
	problem    string
}

// locate finds the marked values of a YAML file.
func locate(data []byte) ([]scalar, []flat, error) {
	nodes, err := flatten(data)
	if err != nil {
		return nil, nil, err
	}
	text := newText(data)
	var found []scalar
	for i, n := range nodes {
		if !n.isValue {
			continue
		}
		s := scalar{node: i, line: n.Line, value: n.Value}
		start, ok := text.offset(n.Line, n.Column)
		if ok {
			ok = text.span(&s, start, n.Node)
		}
		comment := n.LineComment
		if ok {
			comment = text.comment(s, n.isItem)
		} else if n.Kind == yaml.ScalarNode {
			s.problem = "the value is empty, a block, or spans lines: write it in quotes on one line"
		} else {
			s.problem = "the value is an alias: mark its anchor instead"
		}
		if s.marker, ok = parseMarker(comment); ok {
			found = append(found, s)
		}
	}
	found = append(found, text.strays(nodes, found)...)
	slices.SortStableFunc(found, func(a, b scalar) int { return a.line - b.line })
	return found, nodes, nil
}

// flat is a node of a YAML tree, in the order of the text.
type flat struct {
	*yaml.Node
	isValue bool // the scalar or alias of a mapping's value, or of a sequence's item
	isItem  bool
}

// flatten parses every document of a file.
func flatten(data []byte) (nodes []flat, err error) {
	// The parser panics on some input it does not understand.
	defer func() {
		if r := recover(); r != nil {
			nodes, err = nil, fmt.Errorf("the YAML parser gave up: %v", r)
		}
	}()
	if !utf8.Valid(data) {
		return nil, errors.New("the file is not UTF-8")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		switch err := decoder.Decode(&document); {
		case err == io.EOF:
			return nodes, nil
		case err != nil:
			return nil, err
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
	nodes = append(nodes, n)
	var err error
	for i, child := range n.Content {
		item := n.Kind == yaml.SequenceNode
		value := item || n.Kind == yaml.MappingNode && i%2 == 1
		leaf := child.Kind == yaml.ScalarNode || child.Kind == yaml.AliasNode
		next := flat{Node: child, isValue: value && leaf, isItem: item && leaf}
		if nodes, err = appendFlat(nodes, next, depth+1); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// text is a file with an index of its lines, as the YAML parser counts them.
type text struct {
	data  []byte
	lines []int // where each line begins
	// The place found last: nodes come in order, and a line may be long.
	line, column, at int
}

func newText(data []byte) *text {
	t := &text{data: data, lines: []int{len(data) - len(bytes.TrimPrefix(data, []byte("\ufeff")))}}
	for i := t.lines[0]; i < len(data); {
		n := breakLength(data[i:])
		if n == 0 {
			i++
			continue
		}
		i += n
		t.lines = append(t.lines, i)
	}
	return t
}

// breakLength is how many bytes the line break takes that b begins with, or 0.
func breakLength(b []byte) int {
	for _, s := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return len(s)
		}
	}
	return 0
}

// offset turns a line and a column, both from 1 and in characters, to bytes.
func (t *text) offset(line, column int) (int, bool) {
	if line < 1 || line > len(t.lines) {
		return 0, false
	}
	if line != t.line || column < t.column {
		t.line, t.column, t.at = line, 1, t.lines[line-1]
	}
	for ; t.column < column && t.at < len(t.data); t.column++ {
		_, size := utf8.DecodeRune(t.data[t.at:])
		t.at += size
	}
	return t.at, t.column == column
}

// span sets where the bytes of a scalar begin and end; false if they cannot be
// replaced in place.
func (t *text) span(s *scalar, at int, n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false
	}
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str" {
		return false
	}
	at = t.skipProperties(at)
	if at >= len(t.data) || n.Value == "" {
		return false
	}
	s.start = at
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		s.quote = '"'
		s.end = t.endQuoted(at, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		s.quote = '\''
		s.end = t.endQuoted(at, '\'')
	case bytes.HasPrefix(t.data[at:], []byte(n.Value)):
		s.end = at + len(n.Value)
	}
	return s.end > s.start
}

// skipProperties steps over &anchor and !tag, which come before a scalar.
func (t *text) skipProperties(at int) int {
	for at < len(t.data) && (t.data[at] == '&' || t.data[at] == '!') {
		at += len(t.data[at:]) - len(bytes.TrimLeftFunc(t.data[at:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) }))
		at += len(t.data[at:]) - len(bytes.TrimLeft(t.data[at:], " \t"))
	}
	return at
}

// endQuoted is where the quoted scalar ends that begins at at; 0 if not on its line.
func (t *text) endQuoted(at int, quote byte) int {
	if t.data[at] != quote {
		return 0
	}
	for i := at + 1; i < len(t.data) && breakLength(t.data[i:]) == 0; i++ {
		switch {
		case quote == '"' && t.data[i] == '\\':
			i++
		case quote == '\'' && bytes.HasPrefix(t.data[i:], []byte("''")):
			i++
		case t.data[i] == quote:
			return i + 1
		}
	}
	return 0
}

// comment is the comment behind a scalar; a sequence's item that has none may
// have a comment line directly above it.
func (t *text) comment(s scalar, isItem bool) string {
	behind := s.end
	for behind < len(t.data) && isBlank(t.data[behind]) {
		behind++
	}
	if behind > s.end && behind < len(t.data) && t.data[behind] == '#' {
		return t.restOfLine(behind)
	}
	if !isItem || s.line < 2 || !t.beginsItem(s) {
		return ""
	}
	if s.line > 2 && strings.HasPrefix(t.trimmedLine(s.line-2), "#") {
		return "" // one of several lines is not exactly a marker
	}
	return t.trimmedLine(s.line - 1)
}

// beginsItem says whether only the dash of an item is before s on its line.
func (t *text) beginsItem(s scalar) bool {
	dashes := 0
	for at := s.start - 1; at >= t.lines[s.line-1]; at-- {
		if t.data[at] == '-' {
			dashes++
		} else if !isBlank(t.data[at]) {
			return false
		}
	}
	return dashes == 1
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// trimmedLine is a line, from 1, without its indentation and line break.
func (t *text) trimmedLine(line int) string {
	return strings.TrimLeft(t.restOfLine(t.lines[line-1]), " \t")
}

func (t *text) restOfLine(at int) string {
	end := at
	for end < len(t.data) && breakLength(t.data[end:]) == 0 {
		end++
	}
	return string(t.data[at:end])
}
