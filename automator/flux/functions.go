package flux

import (
	"errors"
	"fmt"
	"html"
	"path"
	"strings"
	"text/template"
)

// templateFunctions are Go's own and the ones of Sprig that messages use, bounded: none reads
// anything but its arguments, and none makes more than maxMessage bytes.
func templateFunctions() template.FuncMap {
	return template.FuncMap{
		"print":    func(args ...any) (string, error) { return bounded(fmt.Sprint(args...)) },
		"println":  func(args ...any) (string, error) { return bounded(fmt.Sprintln(args...)) },
		"printf":   printf,
		"html":     func(s any) (string, error) { return bounded(html.EscapeString(fmt.Sprint(s))) },
		"js":       func(s any) (string, error) { return bounded(template.JSEscapeString(fmt.Sprint(s))) },
		"urlquery": func(s any) (string, error) { return bounded(template.URLQueryEscaper(s)) },
		"call":     func(...any) (string, error) { return "", errors.New("call is not offered") },

		"lower":      func(s any) string { return strings.ToLower(fmt.Sprint(s)) },
		"upper":      func(s any) string { return strings.ToUpper(fmt.Sprint(s)) },
		"trim":       func(s any) string { return strings.TrimSpace(fmt.Sprint(s)) },
		"trimAll":    func(cut string, s any) string { return strings.Trim(fmt.Sprint(s), cut) },
		"trimPrefix": func(prefix string, s any) string { return strings.TrimPrefix(fmt.Sprint(s), prefix) },
		"trimSuffix": func(suffix string, s any) string { return strings.TrimSuffix(fmt.Sprint(s), suffix) },
		"contains":   func(part string, s any) bool { return strings.Contains(fmt.Sprint(s), part) },
		"hasPrefix":  func(prefix string, s any) bool { return strings.HasPrefix(fmt.Sprint(s), prefix) },
		"hasSuffix":  func(suffix string, s any) bool { return strings.HasSuffix(fmt.Sprint(s), suffix) },
		"replace":    replace,
		"quote":      func(s any) (string, error) { return bounded(fmt.Sprintf("%q", fmt.Sprint(s))) },
		"squote":     func(s any) (string, error) { return bounded("'" + fmt.Sprint(s) + "'") },
		"trunc":      trunc,
		"default":    orElse,
		"ternary":    func(yes, no any, is bool) any { return map[bool]any{true: yes, false: no}[is] },
		"toString":   func(s any) string { return fmt.Sprint(s) },
		"base":       path.Base,
		"dir":        path.Dir,
		"splitList":  func(by, s string) []string { return strings.SplitN(s, by, maxChanges) },
		"join":       func(by string, list []string) (string, error) { return bounded(strings.Join(list, by)) },
	}
}

func bounded(s string) (string, error) {
	if len(s) > maxMessage {
		return "", fmt.Errorf("it makes a text of more than %d bytes", maxMessage)
	}
	return s, nil
}

// printf refuses widths and precisions, which make a long text of a short one.
func printf(format string, args ...any) (string, error) {
	for verb := format; ; {
		_, after, found := strings.Cut(verb, "%")
		if !found {
			return bounded(fmt.Sprintf(format, args...))
		}
		number := strings.TrimLeft(after, "+-# 0.[]*123456789")
		if width := after[:len(after)-len(number)]; len(width) > 3 || strings.ContainsAny(width, "*[") {
			return "", fmt.Errorf("%%%.20s: widths have two digits", after)
		}
		verb = strings.TrimPrefix(number, "%")
	}
}

func replace(old, by string, s any) (string, error) {
	text := fmt.Sprint(s)
	if len(text)+strings.Count(text, old)*len(by) > 2*maxMessage {
		return bounded(strings.Repeat(" ", maxMessage+1))
	}
	return bounded(strings.ReplaceAll(text, old, by))
}

// trunc is the first bytes of a text, or with a negative number the last.
func trunc(n int, s any) string {
	text := fmt.Sprint(s)
	switch {
	case n >= 0 && n < len(text):
		return strings.ToValidUTF8(text[:n], "")
	case n < 0 && -n < len(text):
		return strings.ToValidUTF8(text[len(text)+n:], "")
	}
	return text
}

// orElse is value, or otherwise in place of an empty one.
func orElse(otherwise any, value ...any) any {
	if len(value) == 0 || value[0] == nil || fmt.Sprint(value[0]) == "" || value[0] == 0 || value[0] == false {
		return otherwise
	}
	return value[0]
}
