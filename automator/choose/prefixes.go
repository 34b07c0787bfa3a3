package choose

import (
	"regexp/syntax"
	"slices"
	"strconv"
)

// maxMajors is how many major versions have prefixes of their own.
const maxMajors = 8

// Prefixes are beginnings of tags, sorted, of which every candidate has one; nil: a candidate
// may begin with anything. A registry that lists in lexical order need not be asked for more.
// Several prefixes may be neighbours, such as 0 to 9: those are one stretch of the list.
func (p *Policy) Prefixes() []string {
	if p.rule.Digest != "" {
		return []string{p.rule.Digest}
	}
	if p.rule.Match != "" {
		if literal := anchored(p.rule.Match); literal != "" {
			return []string{literal}
		}
	}
	if o, ok := p.order.(versions); ok && p.rule.Extract == "" {
		return o.prefixes()
	}
	return nil
}

func (o versions) prefixes() []string {
	low, high := majors(o.groups)
	var starts []string
	if low <= high && high-low < maxMajors {
		dot := "."
		if o.loose {
			dot = "" // 1 and 1-rc are versions, too
		}
		starts = append(starts, "0") // leading zeros: 01.2.3
		for major := low; ; major++ {
			if major != 0 {
				starts = append(starts, strconv.FormatUint(major, 10)+dot)
			}
			if major == high {
				break
			}
		}
	} else {
		for digit := range 10 {
			starts = append(starts, strconv.Itoa(digit))
		}
	}
	for _, start := range slices.Clone(starts) {
		starts = append(starts, "v"+start)
	}
	slices.Sort(starts)
	return starts
}

// anchored is the literal text at the beginning of everything that an expression matches.
func anchored(expression string) string {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return ""
	}
	first, literal := leading(tree.Simplify())
	if !first {
		return ""
	}
	return literal
}

// leading says whether a match begins at the beginning of the text, and with which text.
func leading(tree *syntax.Regexp) (anchor bool, literal string) {
	parts := []*syntax.Regexp{tree}
	for i := 0; i < len(parts); i++ {
		part := parts[i]
		switch part.Op {
		case syntax.OpConcat, syntax.OpCapture:
			parts = slices.Insert(slices.Delete(parts, i, i+1), i, part.Sub...)
			i--
		case syntax.OpBeginText, syntax.OpBeginLine, syntax.OpEmptyMatch:
			anchor = anchor || part.Op != syntax.OpEmptyMatch
		case syntax.OpLiteral:
			if part.Flags&syntax.FoldCase != 0 || !anchor {
				return anchor, literal
			}
			literal += string(part.Rune)
		default:
			return anchor, literal
		}
	}
	return anchor, literal
}
