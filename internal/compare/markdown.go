package compare

import (
	"fmt"
	"strings"

	"sealift.dev/internal/text"
)

// MaxComment is how many characters a comment on GitHub may have.
const MaxComment = 65_536

// Markdown is the report for a pull request, of at most limit bytes: what does
// not fit is counted. What the releases say stands in code, where it can be no
// markup.
func (r Report) Markdown(limit int) string {
	m := &markdown{left: limit - tail}
	m.write("### Release changes\n\n")
	m.write(fmt.Sprintf("%s%s → %s%s\n\n", code(r.Before.Reference), codeOf(r.Before.Revision), code(r.After.Reference), codeOf(r.After.Revision)))
	if !r.Before.Verified || !r.After.Verified {
		m.write("Not verified: nobody checked who signed these releases.\n\n")
	}
	if !r.Different {
		m.write("No object is different.\n")
	}
	for _, image := range r.Images {
		m.write("- image " + code(image.String()) + "\n")
	}
	for _, e := range r.Environments {
		m.environment(e)
	}
	if m.cut > 0 {
		m.out.WriteString(fmt.Sprintf("\n**%d more differences were left out**: a comment has %d characters at most. `sealift diff` prints them all.\n", m.cut, limit))
	}
	return m.out.String()
}

// tail is kept free for what ends a report.
const tail = 512

type markdown struct {
	out  strings.Builder
	left int // bytes
	cut  int // pieces that did not fit
}

// write takes all of s or nothing.
func (m *markdown) write(s string) bool {
	if len(s) > m.left {
		m.cut++
		return false
	}
	m.left -= len(s)
	m.out.WriteString(s)
	return true
}

func (m *markdown) environment(e Environment) {
	if e.Change == "" {
		m.write(fmt.Sprintf("\n**%s**: no difference\n", escape(e.Name)))
		return
	}
	// Long enough for any run of backticks in a line.
	fence := "```"
	for _, o := range e.Objects {
		for _, s := range o.lines() {
			for strings.Contains(s, fence) {
				fence += "`"
			}
		}
	}
	head := fmt.Sprintf("\n<details><summary><b>%s</b>: %s</summary>\n\n%sdiff\n", escape(e.Name), e.summary(), fence)
	end := fence + "\n\n</details>\n"
	if len(end) > m.left || !m.write(head) {
		m.cut += len(e.Objects)
		return
	}
	m.left -= len(end)
	for _, o := range e.Objects {
		m.write(strings.Join(o.lines(), "\n") + "\n")
	}
	m.out.WriteString(end)
}

// lines are those of a diff, in which a sign at the beginning gives the colour.
func (o Object) lines() []string {
	if o.Change != Changed {
		return []string{o.sign() + " " + line(o.String())}
	}
	lines := []string{"# " + line(o.String())}
	for _, f := range o.Fields {
		before, after := f.shown()
		lines = append(lines, "  "+line(f.Path), "-   "+before, "+   "+after)
	}
	return lines
}

// code is s as it stands, in backticks.
func code(s string) string { return text.Code(line(s)) }

func codeOf(s string) string {
	if s == "" {
		return ""
	}
	return " (" + code(s) + ")"
}

// escape makes text of s in HTML and in Markdown.
func escape(s string) string { return text.Markdown(line(s)) }
