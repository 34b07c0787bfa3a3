package compare

import (
	"encoding/json"
	"fmt"
	"strings"

	"sealift.dev/internal/text"
)

const (
	maxValue = 200 // bytes of one value in a line
	maxLine  = 1024
)

// Text is the report for a terminal. What the releases say is escaped.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "- %s%s\n+ %s%s\n", line(r.Before.Reference), r.Before.detail(), line(r.After.Reference), r.After.detail())
	for _, image := range r.Images {
		fmt.Fprintf(&b, "image %s\n", line(image.String()))
	}
	for _, e := range r.Environments {
		fmt.Fprintf(&b, "\n%s: %s\n", line(e.Name), e.summary())
		for _, o := range e.Objects {
			fmt.Fprintf(&b, "  %s %s\n", o.sign(), line(o.String()))
			for _, f := range o.Fields {
				before, after := f.shown()
				fmt.Fprintf(&b, "      %s: %s → %s\n", line(f.Path), before, after)
			}
		}
	}
	return b.String()
}

func (s Side) detail() string {
	var parts []string
	if s.Version != "" {
		parts = append(parts, "version "+line(s.Version))
	}
	if s.Revision != "" {
		parts = append(parts, line(s.Revision))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// String is the image's name and how it went on.
func (i Image) String() string {
	switch {
	case i.Before == "":
		return i.Name + ": added " + i.After
	case i.After == "":
		return i.Name + ": removed " + i.Before
	}
	return i.Name + ": " + i.Before + " → " + i.After
}

func (e Environment) summary() string {
	switch e.Change {
	case "":
		return "no difference"
	case Changed:
		return fmt.Sprintf("%d added, %d removed, %d changed", e.Count(Added), e.Count(Removed), e.Count(Changed))
	}
	return fmt.Sprintf("the environment was %s, with %d objects", e.Change, len(e.Objects))
}

func (o Object) sign() string {
	return map[string]string{Added: "+", Removed: "-", Changed: "~"}[o.Change]
}

// shown are both values as JSON, shortened to where they differ.
func (f Field) shown() (before, after string) {
	was, is := value(f.Old), value(f.New)
	start := 0
	for start < min(len(was), len(is)) && was[start] == is[start] {
		start++
	}
	const lead = 40
	if max(len(was), len(is)) <= maxValue || start <= lead {
		return text.Line(was, maxValue), text.Line(is, maxValue)
	}
	cut := start - lead
	return "…" + text.Line(strings.ToValidUTF8(was[cut:], ""), maxValue), "…" + text.Line(strings.ToValidUTF8(is[cut:], ""), maxValue)
}

func value(v any) string {
	switch v {
	case nil:
		return "(none)"
	case Masked:
		return Masked
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "(no JSON)"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func line(s string) string { return text.Line(s, maxLine) }
