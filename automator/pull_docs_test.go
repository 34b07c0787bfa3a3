package automator

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
)

// TestDocumentedPullRequests reads the page's example as a pass does; it has every field.
func TestDocumentedPullRequests(t *testing.T) {
	page, err := os.ReadFile("../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n## Pull requests\n")
	if !ok {
		t.Fatal("the page has no section about pull requests")
	}
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindStringSubmatch(section)
	if block == nil {
		t.Fatal("the section has no example")
	}
	s, err := parseSettings([]byte(block[1]))
	if err != nil {
		t.Fatal(err)
	}
	value := reflect.ValueOf(*s.pulls)
	for i := range value.NumField() {
		if field := value.Type().Field(i); value.Field(i).IsZero() {
			t.Errorf("the example lacks %s", field.Name)
		}
	}
	p := &pulls{rules: v1alpha1.PullRequests{}, titled: s.title, base: "main"}
	if got, err := p.title(group{name: "web", changes: make([]Change, 3)}); err != nil || got != "web: 3 updates" {
		t.Errorf("%q, %v", got, err)
	}
}
