package edit

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

const strayProblem = "the marker is not behind a value that can be edited: write key, value and marker on one line of their own"

// strays are the markers that stand behind no value, or behind one that the YAML
// parser does not give them to: empty ones, and those of flow collections that
// span lines. They cannot be edited, so they are named.
func (t *text) strays(nodes []flat, found []Place) []Place {
	taken := map[int]bool{}
	for _, s := range found {
		taken[s.Line] = true
		if _, behind := t.markerOn(s.Line); !behind && s.Problem == "" {
			taken[s.Line-1] = true // the comment line above an item
		}
		for line := s.Line; s.Problem != "" && line < t.nextLine(nodes, s.node); line++ {
			taken[line] = true // it stands where a value of several lines ends
		}
	}
	t.maskText(nodes, taken)
	var strays []Place
	for line := 1; line <= len(t.lines); line++ {
		if taken[line] {
			continue
		}
		if m, ok := t.markerOn(line); ok {
			strays = append(strays, Place{Policy: m.policy, Part: m.part, Hold: m.hold, Line: line, Problem: strayProblem, node: -1})
		}
	}
	return strays
}

// maskText takes the lines inside of scalars that span several: what looks like
// a comment there is text.
func (t *text) maskText(nodes []flat, taken map[int]bool) {
	for i, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			continue
		}
		from, to := n.Line, t.nextLine(nodes, i)
		switch {
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
			from++ // a comment may stand behind | and >
		case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 || t.isOnOneLine(n):
			continue
		}
		for line := from; line < to; line++ {
			taken[line] = true
		}
	}
}

// isOnOneLine is for quoted scalars.
func (t *text) isOnOneLine(n flat) bool {
	at, ok := t.offset(n.Line, n.Column)
	if !ok {
		return false
	}
	at = t.skipProperties(at)
	return at < len(t.data) && t.endQuoted(at, t.data[at]) > 0
}

// nextLine is where the node after a node begins.
func (t *text) nextLine(nodes []flat, node int) int {
	if node+1 < len(nodes) {
		return nodes[node+1].Line
	}
	return len(t.lines) + 1
}

// markerOn reads the marker that a line ends with. One inside of a comment for
// people, as of a line that is commented out, is none.
func (t *text) markerOn(line int) (marker, bool) {
	rest := t.trimmedLine(line)
	last := strings.LastIndex(rest, markerKey)
	if strings.HasPrefix(rest, "#") {
		return parseMarker(rest)
	}
	for at := 0; at < last; at++ {
		if rest[at] != '#' || !isBlank(rest[at-1]) {
			continue
		}
		if m, ok := parseMarker(rest[at:]); ok {
			return m, true
		}
	}
	return marker{}, false
}
