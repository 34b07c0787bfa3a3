package edit

import (
	"bytes"
	"slices"
)

// kind is what a node of a file is.
type kind int

const (
	kindOther kind = iota // an alias, a number of JSON
	kindMapping
	kindSequence
	kindText // a scalar of YAML, or a string
)

// node is a value in a file, whatever its language.
type node struct {
	kind       kind
	key        string // in its mapping
	text       string
	children   []*node
	index      int // in the order of its syntax
	line       int
	start, end int    // of the bytes of text, quotes included; YAML finds them when asked
	quote      string // what stands around the text
	problem    string // why it cannot be written
}

// compare proves that after is before but for the wanted texts, by index. Loose: texts may
// be others.
func compare(before, after []*node, want map[int]string, loose bool) error {
	if len(before) != len(after) {
		return errOther
	}
	for i, n := range after {
		old := before[i]
		value, wanted := want[i]
		same := n.kind == old.kind && n.key == old.key && len(n.children) == len(old.children) && n.quote == old.quote
		switch {
		case wanted:
			same = same && n.text == value
		case !loose || n.kind != kindText:
			same = same && n.text == old.text
		}
		if !same {
			return errOther
		}
	}
	return nil
}

// place is where a node with a span is.
func (n *node) place() Place {
	return Place{Line: n.line, Value: n.text, Problem: n.problem, node: n.index, start: n.start, end: n.end, quote: n.quote}
}

// lines says on which line a byte is.
type lines []int // where the second line and those after it begin

func newLines(data []byte) lines {
	var l lines
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return l
		}
		at += i + 1
		l = append(l, at)
	}
}

func (l lines) at(offset int) int {
	i, _ := slices.BinarySearch(l, offset+1)
	return i + 1
}
