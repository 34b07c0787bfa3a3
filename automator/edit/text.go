package edit

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

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

// span sets where the bytes of a scalar begin and end; otherwise it says why they
// cannot be replaced in place.
func (t *text) span(p *Place, n *yaml.Node) (problem string) {
	switch {
	case n.Kind == yaml.AliasNode:
		return "the value is an alias: name its anchor's value instead"
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return "the value is a block scalar: write it in quotes on one line"
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != strTag:
		return "the value's tag says that it is no text"
	}
	at, ok := t.offset(n.Line, n.Column)
	if ok {
		at = t.skipProperties(at)
	}
	switch {
	case !ok || at >= len(t.data):
	case n.Style&yaml.DoubleQuotedStyle != 0:
		p.start, p.end, p.quote = at, t.endQuoted(at, '"'), `"`
	case n.Style&yaml.SingleQuotedStyle != 0:
		p.start, p.end, p.quote = at, t.endQuoted(at, '\''), "'"
	case n.Value == "":
		return "there is no value: write one, or empty quotes"
	case bytes.HasPrefix(t.data[at:], []byte(n.Value)):
		p.start, p.end = at, at+len(n.Value)
	}
	if p.end <= p.start {
		return "the value spans lines: write it in quotes on one line"
	}
	return ""
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
			if i++; breakLength(t.data[i:]) > 0 {
				return 0 // an escaped line break
			}
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
func (t *text) comment(p Place, isItem bool) string {
	if comment := t.behind(p.end); comment != "" {
		return comment
	}
	if !isItem || p.Line < 2 || !t.beginsItem(p) {
		return ""
	}
	if p.Line > 2 && strings.HasPrefix(t.trimmedLine(p.Line-2), "#") {
		return "" // one of several lines is not exactly a marker
	}
	return t.trimmedLine(p.Line - 1)
}

// behind is the comment on the line of a value that ends at end, also behind the comma
// of a flow collection; empty: there is none.
func (t *text) behind(end int) string {
	at := t.skipBlanks(end)
	if at < len(t.data) && t.data[at] == ',' {
		at = t.skipBlanks(at + 1)
	}
	// The parser wants no blank before a comment, and a # within a plain value does not come here.
	if at < len(t.data) && t.data[at] == '#' {
		return t.restOfLine(at)
	}
	return ""
}

func (t *text) skipBlanks(at int) int {
	for at < len(t.data) && isBlank(t.data[at]) {
		at++
	}
	return at
}

// beginsItem says whether only the dash of an item is before p on its line.
func (t *text) beginsItem(p Place) bool {
	dashes := 0
	for at := p.start - 1; at >= t.lines[p.Line-1]; at-- {
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
