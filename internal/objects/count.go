package objects

import (
	"bytes"
	"path"
	"regexp"
)

// nodesAtMost is an upper bound on the nodes that a parser makes of data, so that a
// small file of brackets is refused before each of them costs some hundred bytes.
// Texts count as one node where it is certain that they are texts: JSON strings,
// quoted scalars, block scalars. From where it is not, everything counts.
func nodesAtMost(data []byte, isJSON bool) int {
	c := counter{data: data, json: isJSON, certain: !oddBreaks(data), nodes: 2}
	for c.at < len(c.data) {
		if c.certain && c.depth == 0 && c.atLineStart() && c.skipBlock() {
			continue
		}
		c.step()
	}
	return c.nodes
}

// oddBreaks says that data holds what YAML takes for a line's end, and few others do.
func oddBreaks(data []byte) bool {
	for _, odd := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(data, []byte(odd)) {
			return true
		}
	}
	return bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n"))
}

var (
	// blockHeader is a line that ends in the beginning of a block scalar: its indentation
	// and dashes, and its key.
	blockHeader = regexp.MustCompile(`^( *(?:- +)*)([A-Za-z0-9_.$/-]+: +)?[|>][-+]?[ \r]*\n`)
)

// nodesAtMost is that of all documents: nothing is quoted across them.
func (f File) nodesAtMost() int {
	if path.Ext(f.Path) == ".json" {
		return nodesAtMost(f.Data, true)
	}
	total := 0
	for chunk, rest := nextChunk(f.Data); len(chunk) > 0; chunk, rest = nextChunk(rest) {
		total += nodesAtMost(chunk, false)
	}
	return total
}

// counter reads YAML from the left.
type counter struct {
	data    []byte
	json    bool
	at      int
	nodes   int
	depth   int  // of brackets and braces, as far as they are seen
	last    byte // the last byte that is no blank, on this line or inside brackets; 'q': a closed quote
	certain bool // what is quoted is known
}

func (c *counter) atLineStart() bool { return c.at == 0 || c.data[c.at-1] == '\n' }

// step reads one byte, a comment, or a quoted text.
func (c *counter) step() {
	b := c.data[c.at]
	switch {
	case b == '"' || b == '\'' && !c.json:
		c.quote(b)
		return
	case b == '#' && !c.json && (c.atLineStart() || isBlank(c.data[c.at-1])) && c.certain:
		end := bytes.IndexByte(c.data[c.at:], '\n')
		if end < 0 {
			end = len(c.data) - c.at
		}
		c.at += end
		return
	}
	c.nodes += c.weight(b)
	switch {
	case b == '[' || b == '{':
		c.depth++
	case (b == ']' || b == '}') && c.depth > 0:
		c.depth--
	}
	c.at++
	c.remember(b)
}

// remember keeps the last byte that tells whether a quote may begin a text.
func (c *counter) remember(b byte) {
	switch {
	case b == '\n' && c.depth == 0 && c.last != ':':
		c.last = 0
	case b == ':' && !c.json && c.last != 'q' && c.at < len(c.data) && !isBlank(c.data[c.at]):
		c.last = 'x' // part of a text: a:b
	case !isBlank(b):
		c.last = b
	}
}

// weight is how many nodes may come with b: a collection, a key without value, and
// the scalar beside them.
func (c *counter) weight(b byte) int {
	blankNext := c.at+1 >= len(c.data) || isBlank(c.data[c.at+1])
	switch {
	case b == '\n', b == '\r', b == 0x85, b == 0xa8, b == 0xa9: // the last bytes of odd breaks, too
		return 1
	case b == ',', b == '[', (b == '-' || b == '?') && blankNext:
		return 2
	case b == '{':
		return 3
	case b == ':' && (blankNext || c.depth > 0 || !c.certain):
		return 3
	case b == ':':
		return 1
	}
	return 0
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

// quote reads a quoted text where one begins for certain. A quote behind a letter is
// part of a plain text; of any other, nobody knows.
func (c *counter) quote(b byte) {
	before := byte(0)
	if c.at > 0 {
		before = c.data[c.at-1]
	}
	switch {
	case !c.certain:
	case c.json || bytes.IndexByte([]byte("[{,:"), c.last) >= 0 && c.last != 0 && (c.depth > 0 || c.last == ':'):
		if end := closing(c.data[c.at:], b); end > 0 {
			c.at += end
			c.last = 'q'
			return
		}
		c.certain = false
	case before >= 'a' && before <= 'z' || before >= 'A' && before <= 'Z' || before >= '0' && before <= '9':
	default:
		c.certain = false
	}
	c.at++
	c.last = 'x'
}

// closing is the length of a quoted text; 0: it has no end.
func closing(data []byte, quote byte) int {
	for i := 1; i < len(data); i++ {
		switch {
		case data[i] == '\\' && quote == '"':
			i++
		case data[i] == quote && quote == '\'' && i+1 < len(data) && data[i+1] == quote:
			i++
		case data[i] == quote:
			return i + 1
		}
	}
	return 0
}

// endsInBlock says that the first line may be a blockHeader, which matching takes long.
func endsInBlock(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimRight(line, "-+ \r")
	return len(line) > 0 && (line[len(line)-1] == '|' || line[len(line)-1] == '>')
}

// skipBlock steps over a block scalar that begins on this line.
func (c *counter) skipBlock() bool {
	if !endsInBlock(c.data[c.at:]) {
		return false
	}
	m := blockHeader.FindSubmatchIndex(c.data[c.at:])
	if m == nil || c.last == ':' && m[4] < 0 {
		return false
	}
	parent := m[3] // the key's column, or the last dash's
	if m[4] < 0 {
		parent = bytes.LastIndexByte(c.data[c.at:c.at+m[3]], '-')
	}
	if parent < 0 {
		return false
	}
	c.nodes += 4 + bytes.Count(c.data[c.at:c.at+m[3]], []byte("-"))
	c.at += m[1]
	c.last = 0
	indent := 0 // of the text, told by its first line
	for c.at < len(c.data) {
		line := c.data[c.at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		}
		spaces := len(line) - len(bytes.TrimLeft(line, " "))
		empty := len(bytes.TrimRight(line[spaces:], "\r\n")) == 0
		switch {
		case empty:
		case indent == 0 && spaces > parent:
			indent = spaces
		case indent == 0 || spaces < indent:
			return true
		}
		c.at += len(line)
	}
	return true
}
