package edit

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of one path.
const (
	maxPathBytes = 4096
	maxPathParts = 200
)

// glob is a path in which * and ? stand for letters of one name, and ** as a name for any
// number of folders.
type glob struct {
	parts   []string
	literal string // the path, if nothing in it stands for something else
}

func newGlob(path string) (glob, error) {
	if path == "" || len(path) > maxPathBytes {
		return glob{}, fmt.Errorf("path: 1 to %d bytes are wanted", maxPathBytes)
	}
	g := glob{parts: strings.Split(path, "/")}
	for _, part := range g.parts {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, '\\') || strings.ContainsFunc(part, isControl) {
			return glob{}, fmt.Errorf("path %q: a plain path from the repository's root is wanted; hint: deploy/**/values.yaml", path)
		}
	}
	if len(g.parts) > maxPathParts {
		return glob{}, fmt.Errorf("path: it has more than %d parts", maxPathParts)
	}
	if !strings.ContainsAny(path, "*?") {
		g.literal = path
	}
	return g, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }

func (g glob) matches(path string) bool {
	if g.literal != "" {
		return path == g.literal
	}
	if len(g.parts) == 0 || len(path) > maxPathBytes {
		return false
	}
	return matchSequence(g.parts, strings.Split(path, "/"), "**", matchName)
}

// matchName compares a name with one in which * and ? stand for letters.
func matchName(pattern, name string) bool {
	return matchSequence(strings.Split(pattern, ""), strings.Split(name, ""), "*", func(p, letter string) bool { return p == "?" || p == letter })
}

// matchSequence says that words are the pattern's, in which many stands for any number
// of them. It goes back to the last many only: the work is at most one times the other.
func matchSequence(pattern, words []string, many string, same func(pattern, word string) bool) bool {
	p, w := 0, 0
	star, from := -1, 0
	for w < len(words) {
		switch {
		case p < len(pattern) && pattern[p] == many:
			star, from = p, w
			p++
		case p < len(pattern) && same(pattern[p], words[w]):
			p++
			w++
		case star >= 0:
			from++
			p, w = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == many {
		p++
	}
	return p == len(pattern)
}
