package flux

import (
	"errors"
	"fmt"
	"html"
	"path"
	"strings"
	"text/template"

	"sealift.dev/internal/text"
)

// payName is the function that what may be run more than once begins with.
const payName = "sealift_pay"

// budget is the work that a template may still do.
type budget int

func (b *budget) pay(n int) (string, error) {
	if *b -= budget(n); *b < 0 {
		return "", errors.New("it does too much; hint: nest fewer ranges")
	}
	return "", nil
}

// text is a value as text, which is paid for.
func (b *budget) text(value any) (string, error) {
	s := fmt.Sprint(value)
	if _, err := b.pay(len(s)); err != nil {
		return "", err
	}
	return bounded(s)
}

func bounded(s string) (string, error) {
	if len(s) > maxMessage {
		return "", fmt.Errorf("it makes a text of more than %d bytes", maxMessage)
	}
	return s, nil
}

// functions are Go's own and the ones of Sprig that messages use. None reads anything but its
// arguments, and none makes more than maxMessage bytes.
func (b *budget) functions() template.FuncMap {
	return template.FuncMap{
		payName:    b.pay,
		"print":    func(args ...any) (string, error) { return b.join(fmt.Sprint, args) },
		"println":  func(args ...any) (string, error) { return b.join(fmt.Sprintln, args) },
		"printf":   b.printf,
		"html":     b.one(html.EscapeString),
		"js":       b.one(template.JSEscapeString),
		"urlquery": b.one(func(s string) string { return template.URLQueryEscaper(s) }),
		"call":     func(...any) (string, error) { return "", errors.New("call is not offered") },

		"lower":      b.one(strings.ToLower),
		"upper":      b.one(strings.ToUpper),
		"trim":       b.one(strings.TrimSpace),
		"quote":      b.one(func(s string) string { return fmt.Sprintf("%q", s) }),
		"squote":     b.one(func(s string) string { return "'" + s + "'" }),
		"toString":   b.one(func(s string) string { return s }),
		"base":       b.one(path.Base),
		"dir":        b.one(path.Dir),
		"trimAll":    b.two(func(cut, s string) string { return strings.Trim(s, cut) }),
		"trimPrefix": b.two(func(prefix, s string) string { return strings.TrimPrefix(s, prefix) }),
		"trimSuffix": b.two(func(suffix, s string) string { return strings.TrimSuffix(s, suffix) }),
		"contains":   b.whether(func(part, s string) bool { return strings.Contains(s, part) }),
		"hasPrefix":  b.whether(func(prefix, s string) bool { return strings.HasPrefix(s, prefix) }),
		"hasSuffix":  b.whether(func(suffix, s string) bool { return strings.HasSuffix(s, suffix) }),
		"replace":    b.replace,
		"trunc":      b.trunc,
		"default":    b.orElse,
		"ternary":    func(yes, no any, is bool) any { return map[bool]any{true: yes, false: no}[is] },
	}
}

func (b *budget) one(f func(string) string) func(any) (string, error) {
	return func(value any) (string, error) {
		s, err := b.text(value)
		if err != nil {
			return "", err
		}
		return bounded(f(s))
	}
}

func (b *budget) two(f func(a, s string) string) func(string, any) (string, error) {
	return func(a string, value any) (string, error) {
		s, err := b.text(value)
		if err != nil {
			return "", err
		}
		return bounded(f(a, s))
	}
}

func (b *budget) whether(f func(a, s string) bool) func(string, any) (bool, error) {
	return func(a string, value any) (bool, error) {
		s, err := b.text(value)
		return err == nil && f(a, s), err
	}
}

// printf refuses widths, which make a long text of a short one.
func (b *budget) printf(format string, args ...any) (string, error) {
	if err := text.CheckFormat(format); err != nil {
		return "", err
	}
	return b.join(func(args ...any) string { return fmt.Sprintf(format, args...) }, args)
}

// join makes one text of several arguments, if they are not too long.
func (b *budget) join(f func(args ...any) string, args []any) (string, error) {
	if err := text.CheckArguments(maxMessage, args...); err != nil {
		return "", err
	}
	return b.text(f(args...))
}

func (b *budget) replace(old, by string, value any) (string, error) {
	s, err := b.text(value)
	if err != nil {
		return "", err
	}
	if n := strings.Count(s, old); n > 0 && len(by) > maxMessage/n {
		return "", fmt.Errorf("it makes a text of more than %d bytes", maxMessage)
	}
	return bounded(strings.ReplaceAll(s, old, by))
}

// trunc is the first bytes of a text, or with a negative number the last.
func (b *budget) trunc(n int, value any) (string, error) {
	s, err := b.text(value)
	switch {
	case n >= 0 && n < len(s):
		s = s[:n]
	case n < 0 && n > -len(s):
		s = s[len(s)+n:]
	}
	return strings.ToValidUTF8(s, ""), err
}

// orElse is value, or otherwise in place of an empty one.
func (b *budget) orElse(otherwise any, value ...any) (any, error) {
	if len(value) == 0 || value[0] == nil {
		return otherwise, nil
	}
	s, err := b.text(value[0])
	if s == "" || s == "0" || s == "false" {
		return otherwise, err
	}
	return value[0], err
}
