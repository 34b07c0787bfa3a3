package edit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of one key.
const (
	maxKeyBytes = 1024
	maxSteps    = 100
)

// step is one step of a key: into a mapping, to an item by its place, or to the item that
// has a field of that value.
type step struct {
	key   string // of a mapping; of [FIELD=VALUE] the field
	value string // of [FIELD=VALUE]
	by    stepKind
	index int
}

type stepKind int

const (
	byKey stepKind = iota
	byIndex
	byField
)

// parseKey reads a.b, "dotted.key".c, images[name=shop].newTag and containers[0].image.
func parseKey(key string) ([]step, error) {
	if len(key) > maxKeyBytes {
		return nil, fmt.Errorf("key: it has more than %d bytes", maxKeyBytes)
	}
	var steps []step
	for rest := key; rest != "" || len(steps) == 0; {
		var s step
		var err error
		switch {
		case strings.HasPrefix(rest, "["):
			s, rest, err = parseBracket(rest[1:])
		case len(steps) > 0 && !strings.HasPrefix(rest, "."):
			err = errors.New("a dot is wanted between two parts")
		default:
			if len(steps) > 0 {
				rest = rest[1:]
			}
			s.key, rest, err = parseName(rest, ".[")
		}
		if err == nil && len(steps) == maxSteps {
			err = fmt.Errorf("it has more than %d parts", maxSteps)
		}
		if err != nil {
			return nil, fmt.Errorf("key %q: %w; hint: a.b, \"dotted.name\".c, images[name=shop].newTag, containers[0].image", key, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// parseName reads a name up to one of stops, or in quotes.
func parseName(text, stops string) (name, rest string, err error) {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		end := strings.IndexByte(text[1:], text[0])
		if end < 0 {
			return "", "", errors.New("a quote is not closed")
		}
		return text[1 : 1+end], text[2+end:], nil
	}
	end := strings.IndexAny(text, stops)
	if end < 0 {
		end = len(text)
	}
	name, rest = text[:end], text[end:]
	if name == "" || strings.ContainsAny(name, "\"'[]\r\n") {
		return "", "", fmt.Errorf("%q is no name without quotes", name)
	}
	return name, rest, nil
}

// parseBracket reads what follows [: a number, a name in quotes, or FIELD=VALUE.
func parseBracket(text string) (s step, rest string, err error) {
	quoted := strings.HasPrefix(text, `"`) || strings.HasPrefix(text, "'")
	if s.key, rest, err = parseName(text, "=]"); err != nil {
		return s, "", err
	}
	switch {
	case strings.HasPrefix(rest, "="):
		s.by = byField
		if s.value, rest, err = parseName(rest[1:], "]"); err != nil {
			return s, "", err
		}
	case !quoted:
		s.by = byIndex
		if s.index, err = strconv.Atoi(s.key); err != nil || s.index < 0 {
			return s, "", fmt.Errorf("[%s] is no number, and no name=value", s.key)
		}
	}
	rest, ok := strings.CutPrefix(rest, "]")
	if !ok {
		return s, "", errors.New("a [ is not closed")
	}
	return s, rest, nil
}

// lead follows steps from n. Nil: there is no such value; a problem says why there is no
// way to tell.
func lead(n *node, steps []step) (found *node, problem string) {
	for _, s := range steps {
		var next *node
		for i, child := range n.children {
			if !s.takes(n, i, child) {
				continue
			}
			if next != nil {
				return nil, fmt.Sprintf("lines %d and %d are both %s: it is ambiguous", next.line, child.line, s)
			}
			next = child
		}
		if next == nil {
			return nil, ""
		}
		n = next
	}
	return n, ""
}

// takes says that s goes from n to its child at i.
func (s step) takes(n *node, i int, child *node) bool {
	switch s.by {
	case byKey:
		return n.kind == kindMapping && child.key == s.key
	case byIndex:
		return n.kind == kindSequence && i == s.index
	}
	if n.kind != kindSequence || child.kind != kindMapping {
		return false
	}
	for _, field := range child.children {
		if field.key == s.key && field.kind == kindText && field.text == s.value {
			return true
		}
	}
	return false
}

func (s step) String() string {
	switch s.by {
	case byIndex:
		return fmt.Sprintf("[%d]", s.index)
	case byField:
		return fmt.Sprintf("[%s=%s]", s.key, s.value)
	}
	return s.key
}
