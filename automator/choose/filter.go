package choose

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// filter says which tags count, and what of them is ordered.
type filter struct {
	ignore  []*regexp.Regexp
	match   *regexp.Regexp // nil: every tag
	extract string
}

func newFilter(r Rule) (filter, error) {
	f := filter{extract: r.Extract}
	ignore := r.Ignore
	if ignore == nil {
		ignore = []string{DefaultIgnore}
	}
	if len(ignore) > maxIgnored {
		return f, fmt.Errorf("ignore has %d expressions, more than %d", len(ignore), maxIgnored)
	}
	left := maxProgram
	for _, expression := range ignore {
		compiled, err := compile(expression, &left)
		if err != nil {
			return f, fmt.Errorf("ignore %.80q: %w", expression, err)
		}
		f.ignore = append(f.ignore, compiled)
	}
	switch {
	case r.Extract != "" && r.Match == "":
		return f, fmt.Errorf("extract %.80q goes with match, whose groups it names", r.Extract)
	case len(r.Extract) > maxExpression:
		return f, fmt.Errorf("extract has %d bytes, more than %d", len(r.Extract), maxExpression)
	case r.Match == "":
		return f, nil
	}
	compiled, err := compile(r.Match, &left)
	if err != nil {
		return f, fmt.Errorf("match %.80q: %w", r.Match, err)
	}
	f.match = compiled
	return f, nil
}

// compile takes the program from what is left, so that matching a tag is cheap whoever wrote
// the expressions: there may be 200,000 tags.
func compile(expression string, left *int) (*regexp.Regexp, error) {
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(expression), maxExpression)
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if *left -= len(program.Inst); *left < 0 {
		return nil, fmt.Errorf("the expressions compile to more than %d instructions together; hint: repeat less", maxProgram)
	}
	return regexp.Compile(expression)
}

// ignored is the expression that a tag is ignored by; empty: none.
func (f filter) ignored(tag string) string {
	for _, expression := range f.ignore {
		if expression.MatchString(tag) {
			return expression.String()
		}
	}
	return ""
}

// text is what of a tag is ordered, or why it is out.
func (f filter) text(tag string) (text, why string) {
	if f.match == nil {
		return tag, ""
	}
	if f.extract == "" {
		if !f.match.MatchString(tag) {
			return "", fmt.Sprintf("it does not match %s", f.match)
		}
		return tag, ""
	}
	groups := f.match.FindStringSubmatchIndex(tag)
	if groups == nil {
		return "", fmt.Sprintf("it does not match %s", f.match)
	}
	out := f.match.ExpandString(nil, f.extract, tag, groups)
	if len(out) > maxText {
		return "", fmt.Sprintf("%s makes %d bytes of it, more than %d", f.extract, len(out), maxText)
	}
	return string(out), ""
}
