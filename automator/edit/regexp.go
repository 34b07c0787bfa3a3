package edit

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Limits of one regular expression.
const (
	maxExpression = 1024    // bytes
	maxProgram    = 1000    // instructions that it compiles to
	maxMatches    = 1000    // in one file
	maxMatchWork  = 1 << 30 // of all in one file: matches, times instructions, times bytes
)

// expression is a regular expression with the group that is the value.
type expression struct {
	*regexp.Regexp
	group int
	size  int // instructions
}

// newExpression compiles a regular expression with one group, which is the value. With
// more than one group, the value is the one that is named so.
func newExpression(text string) (*expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("regexp: it has more than %d bytes", maxExpression)
	}
	expr, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("regexp %q: %w", text, err)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regexp %q: %w", text, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("regexp %q: it compiles to more than %d steps", text, maxProgram)
	}
	if i := slices.Index(expr.SubexpNames(), "value"); i > 0 {
		return &expression{Regexp: expr, group: i, size: len(program.Inst)}, nil
	}
	if expr.NumSubexp() != 1 {
		return nil, fmt.Errorf("regexp %q: it has %d groups, and one is wanted, or one that is named value; hint: (?:...) does not count", text, expr.NumSubexp())
	}
	return &expression{Regexp: expr, group: 1, size: len(program.Inst)}, nil
}

// search finds every match in a file, and takes its work from what is left.
func (t *Target) search(data []byte, lines lines, left *int) []Place {
	cost := (len(data) + 1) * t.expr.size
	limit := min(maxMatches, *left/cost)
	if limit < 1 {
		return []Place{t.lost(t.expr.String(), t.part, "the file is too large for so many regular expressions")}
	}
	matches := t.expr.FindAllSubmatchIndex(data, limit+1)
	*left -= (len(matches) + 1) * cost
	if len(matches) > limit {
		return []Place{t.lost(t.expr.String(), t.part, fmt.Sprintf("it matches more than %d times", limit))}
	}
	var places []Place
	for _, match := range matches {
		start, end := match[2*t.expr.group], match[2*t.expr.group+1]
		if start < 0 {
			continue // this branch of the expression does not have the group
		}
		p := Place{Policy: t.policy, Part: t.part, Target: t.expr.String(), Line: lines.at(start), Value: string(data[start:end]), expression: t, node: -1, start: start, end: end}
		if strings.ContainsAny(p.Value, "\r\n") || len(p.Value) > maxValue {
			p.Value, p.Problem = "", "its group matches more than one value on one line"
		}
		places = append(places, p)
	}
	if len(places) == 0 {
		return []Place{t.lost(t.expr.String(), t.part, "it matches nothing in this file")}
	}
	return places
}

// verify proves that the expression finds the values that were written, and the others
// where they were.
func (t *Target) verify(before, after []byte, written map[int]string) error {
	var want, got []string
	for _, match := range t.expr.FindAllSubmatchIndex(before, maxMatches) {
		start, end := match[2*t.expr.group], match[2*t.expr.group+1]
		if value, ok := written[start]; ok {
			want = append(want, value)
		} else if start >= 0 {
			want = append(want, string(before[start:end]))
		}
	}
	for _, match := range t.expr.FindAllSubmatchIndex(after, len(want)+1) {
		if start := match[2*t.expr.group]; start >= 0 {
			got = append(got, string(after[start:match[2*t.expr.group+1]]))
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: after the edit it would match something else", t.expr)
	}
	return nil
}
