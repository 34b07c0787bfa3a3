// Package text makes what strangers wrote fit for terminals, logs and statuses.
package text

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is s as one line of at most limit bytes. Line breaks and tabs become
// blanks, other characters that cannot be printed a dot.
func Line(s string, limit int) string {
	return Clip(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return printable(r)
	}, s), limit)
}

// Lines is s with its line breaks, and a dot for what cannot be printed.
func Lines(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return printable(r)
	}, s)
}

// Clip cuts s to limit bytes, and shows that it did.
func Clip(s string, limit int) string {
	const more = "…"
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:max(0, limit-len(more))], "") + more
}

// Short is s where it has at most limit bytes, and else its SHA-256 digest: it can still
// be told from others.
func Short(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s)))
}

// Count says how many there are of what is called one where it is one, and else many.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return '·'
	}
	return r
}
