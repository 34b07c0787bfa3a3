package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLinksLead: every link of the README and of docs/ to a file of the project leads to one, and
// every anchor to a heading.
func TestLinksLead(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	must(t, err)
	more, err := filepath.Glob("../docs/*/*.md")
	must(t, err)
	pages = append(append(pages, more...), "../README.md")
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, page := range pages {
		for _, found := range link.FindAllStringSubmatch(prose(t, page), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(found[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", page, found[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(prose(t, to)), anchor) {
				t.Errorf("%s links to %s, which is no heading there", page, found[1])
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d links were found", checked)
	}
}

// prose is a page without its blocks of code.
func prose(t *testing.T, page string) string {
	t.Helper()
	content, err := os.ReadFile(page)
	must(t, err)
	return regexp.MustCompile("(?ms)^ *```.*?^ *```").ReplaceAllString(string(content), "")
}

// anchors are the headings of a page, as GitHub names them.
func anchors(page string) []string {
	var names []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
