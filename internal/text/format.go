package text

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckFormat refuses the format of a stranger that makes a long text of a short one: by a width
// of more than two digits, or by an argument that is named again.
func CheckFormat(format string) error {
	wide := regexp.MustCompile(`[*[]|[1-9][0-9]{2}`)
	for rest := format; ; {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			return nil
		}
		verb := strings.TrimLeft(after, "+-# 0123456789.[]*")
		if wide.MatchString(after[:len(after)-len(verb)]) {
			return fmt.Errorf("%%%.20s: at most two digits are taken", after)
		}
		rest = strings.TrimPrefix(verb, "%")
	}
}

// CheckArguments refuses arguments that have more than limit bytes together, as text.
func CheckArguments(limit int, args ...any) error {
	left := limit
	for _, arg := range args {
		if left -= len(fmt.Sprint(arg)); left < 0 {
			return fmt.Errorf("it makes a text of more than %d bytes", limit)
		}
	}
	return nil
}
