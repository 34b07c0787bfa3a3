package verify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds what a report quotes from the input.
const maxText = 256

// clip cuts s to what a report may quote.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// clean makes text of a library's error, which may quote the input, fit for a
// report: one line, bounded, without control characters.
func clean(s string) string {
	return clip(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s))
}
