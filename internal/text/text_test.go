package text

import (
	"strings"
	"testing"
)

func TestForeignText(t *testing.T) {
	hostile := "a\x1b[31m\u009b\u202e\xff\r\n\tz"
	if got := Line(hostile, 100); got != "a·[31m····  z" {
		t.Errorf("Line: %q", got)
	}
	if got := Lines("a\x07\nb"); got != "a·\nb" {
		t.Errorf("Lines: %q", got)
	}
	for limit := range 20 {
		if got := Line(strings.Repeat("é\x00", 20), limit); len(got) > max(limit, len("…")) || strings.ToValidUTF8(got, "!") != got {
			t.Errorf("limit %d: %q", limit, got)
		}
	}
	if got := Line("as it is", 8); got != "as it is" {
		t.Errorf("%q", got)
	}
}

// TestMarkdown has what tags and file names may hold: markup, mentions, HTML.
func TestMarkdown(t *testing.T) {
	if got, want := Code("a`b``c"), "``` a`b``c ```"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, hostile := range []string{"<img src=x>", "@everyone", "[a](http://x)", "|", "`x`", "**b**", "https://x"} {
		if got := Markdown(hostile); strings.ContainsAny(got, "<>@[](|`*:") {
			t.Errorf("%q became %q", hostile, got)
		}
	}
}

func TestFormatsOfStrangers(t *testing.T) {
	for format, good := range map[string]bool{
		"": true, "%s-%03d%%": true, "%.7s %-+12s": true, "100%": true, "%100d": false, "%0100d": false, "%*d": false, "%[1]s": false, "%.999999f": false, "%%%1000d": false,
	} {
		if err := CheckFormat(format); (err == nil) != good {
			t.Errorf("%q: %v", format, err)
		}
	}
	if err := CheckArguments(4, "ab", 12); err != nil {
		t.Error(err)
	}
	if err := CheckArguments(4, "ab", 123); err == nil {
		t.Error("more than the limit is taken")
	}
}
