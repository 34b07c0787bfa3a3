package choose

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
)

// TestExamplesOfTheDocumentation plays the table of policies: what it says is chosen is chosen.
func TestExamplesOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/automation.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(\\{.*\\})` \\| (.*) \\| `([^`]*)`.*\\|$")
	tag := regexp.MustCompile("`([^`]+)`( \\(pushed last\\))?")
	fields := ""
	for _, example := range row.FindAllStringSubmatch(string(page), -1) {
		var s v1alpha1.Select
		if err := yaml.UnmarshalStrict([]byte(example[1]), &s); err != nil {
			t.Errorf("%s: %v", example[1], err)
			continue
		}
		p, err := New(Rule{Semver: s.Semver, Loose: s.Loose, Alphabetical: s.Alphabetical, Numerical: s.Numerical,
			Newest: s.Newest, Digest: s.Digest, Match: s.Match, Extract: s.Extract, Ignore: s.Ignore})
		if err != nil {
			t.Errorf("%s: %v", example[1], err)
			continue
		}
		last := ""
		c := p.Collect(Options{Seen: func(tag string) time.Time { return time.Unix(int64(strings.Count(last, tag)), 0) }})
		tags := tag.FindAllStringSubmatch(example[2], -1)
		for _, t := range tags {
			if t[2] != "" {
				last = t[1]
			}
		}
		for _, t := range tags {
			c.Offer(t[1])
		}
		ranked, err := c.Ranked()
		if err != nil || ranked[0].Tag() != example[3] || len(tags) < 2 {
			t.Errorf("%s: got %v, %v, want %s", example[1], ranked, err, example[3])
		}
		fields += example[1]
	}
	for _, field := range []string{"semver", "loose", "alphabetical", "numerical", "newest", "digest", "match", "extract", "ignore"} {
		if !strings.Contains(fields, field+":") {
			t.Errorf("%s has no example", field)
		}
	}
}
