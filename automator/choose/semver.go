package choose

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// versions orders by precedence, and admits what is in a range.
type versions struct {
	text    string // the range as written
	want    *semver.Constraints
	withPre *semver.Constraints // the same range, with pre-releases let in; to explain
	groups  []group
	loose   bool
}

func newSemver(text string, loose bool) (ordering, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("the semver range is empty; hint: %q means any release", "*")
	}
	want, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("semver range %.100q: %w", text, err)
	}
	groups, err := parseRange(text)
	if err != nil {
		return nil, fmt.Errorf("semver range %.100q: %w", text, err)
	}
	withPre := *want
	withPre.IncludePrerelease = true
	return versions{text: text, want: want, withPre: &withPre, groups: groups, loose: loose}, nil
}

func (o versions) strict() bool { return false }

func (o versions) compare(a, b position) int { return a.version.Compare(b.version) }

// parse reads versions whose core has three parts, each with or without leading zeros.
func (o versions) parse(text string) (position, string) {
	core, _, _ := strings.Cut(text, "-")
	core, _, _ = strings.Cut(core, "+")
	if dots := strings.Count(core, "."); dots != 2 && !(o.loose && dots < 2) {
		if o.loose {
			return position{}, fmt.Sprintf("%q is no version", text)
		}
		return position{}, fmt.Sprintf("%q is no version of three parts", text)
	}
	if first := strings.TrimPrefix(core, "v"); first == "" || !isDigit(first[0]) {
		return position{}, fmt.Sprintf("%q is no version", text) // cheap, and most other tags end here
	}
	version, err := semver.NewVersion(text)
	if err != nil {
		return position{}, fmt.Sprintf("%q is no version", text)
	}
	return position{version: version}, ""
}

func (o versions) admits(at position) string {
	switch {
	case o.want.Check(at.version):
		return ""
	case at.version.Prerelease() != "" && o.withPre.Check(at.version):
		return fmt.Sprintf("it is a pre-release, and %q names none", o.text)
	}
	return fmt.Sprintf("it is not in the range %q", o.text)
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
