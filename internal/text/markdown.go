package text

import (
	"fmt"
	"html"
	"strings"
)

// Code is a line as it stands, in backticks: where it can be no markup.
func Code(line string) string {
	fence := "`"
	for strings.Contains(line, fence) {
		fence += "`"
	}
	if fence == "`" {
		return fence + line + fence
	}
	return fence + " " + line + " " + fence
}

// Markdown makes plain text of a line, in Markdown and in the HTML that is in it.
func Markdown(line string) string {
	var b strings.Builder
	for _, r := range html.EscapeString(line) {
		if strings.ContainsRune("\\`*_{}[]()#+-.!|~>@:", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
