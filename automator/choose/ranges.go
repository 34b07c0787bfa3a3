package choose

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// group is one AND group of a semver range: what its comparators say.
type group []comparator

// comparator is one bound of a group. Nil parts are wildcards, or were left out.
type comparator struct {
	op    string // one of Masterminds' operators; empty: equal, or ~ with a partial version
	parts [3]*uint64
	pre   string
}

// parseRange reads a range that Masterminds' parser has accepted. It refuses parts that mix
// digits and wildcards, which that parser lets pass behind a wildcard: "*.1x".
func parseRange(text string) ([]group, error) {
	var groups []group
	for _, part := range strings.Split(text, "||") {
		g, err := parseGroup(part)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func parseGroup(text string) (group, error) {
	var g group
	op, hyphen := "", false
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || strings.ContainsRune(" \t\n\v\f\r", r) }) {
		if word == "-" && len(g) > 0 {
			g[len(g)-1].op, hyphen = ">=", true
			continue
		}
		version := strings.TrimLeft(word, "=!<>~^")
		op += word[:len(word)-len(version)]
		if version == "" {
			continue // the version is the next word
		}
		if hyphen {
			op, hyphen = "<=", false
		}
		c, err := parseComparator(op, version)
		if err != nil {
			return nil, err
		}
		g, op = append(g, c), ""
	}
	return g, nil
}

func parseComparator(op, version string) (comparator, error) {
	c := comparator{op: op}
	version, _, _ = strings.Cut(version, "+")
	core, pre, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	c.pre = pre
	for i, part := range strings.SplitN(core, ".", 3) {
		if strings.Trim(part, "xX*") == "" && len(part) == 1 {
			continue
		}
		number, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return c, fmt.Errorf("%q is neither a number nor one of x, X and *", part)
		}
		c.parts[i] = &number
	}
	return c, nil
}

// majors are the least and the greatest major version that can be in the range.
func majors(groups []group) (low, high uint64) {
	low, high = math.MaxUint64, 0
	for _, g := range groups {
		from, to := g.majors()
		if from <= to {
			low, high = min(low, from), max(high, to)
		}
	}
	return low, high
}

func (g group) majors() (low, high uint64) {
	low, high = 0, math.MaxUint64
	for _, c := range g {
		from, to := c.majors(g.admitsPre())
		low, high = max(low, from), min(high, to)
	}
	return low, high
}

func (c comparator) majors(pre bool) (low, high uint64) {
	if c.parts[0] == nil {
		return 0, math.MaxUint64
	}
	major := *c.parts[0]
	switch c.op {
	case "", "=", "^":
		return major, major
	case "~", "~>":
		if major == 0 {
			break // ~0.0.0 means anything
		}
		return major, major
	case ">", ">=", "=>":
		return major, math.MaxUint64
	case "<":
		if c.isRound() && !pre && major > 0 {
			return 0, major - 1
		}
		return 0, major
	case "<=", "=<":
		return 0, major
	}
	return 0, math.MaxUint64
}

// isRound says that the bound is the very first release of its major version.
func (c comparator) isRound() bool {
	return (c.parts[1] == nil || *c.parts[1] == 0) && (c.parts[2] == nil || *c.parts[2] == 0) && c.pre == ""
}

// admitsPre says that pre-releases are in, for the whole group.
func (g group) admitsPre() bool {
	for _, c := range g {
		if c.pre != "" {
			return true
		}
	}
	return false
}
