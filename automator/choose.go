package automator

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// candidates keeps, of all tags offered, only the spellings of the highest
// version in a range, so that a long list of tags costs no memory.
type candidates struct {
	text string // the range as written
	want *semver.Constraints
	seen int
	best *semver.Version
	tags []string // of equal precedence: 1.2.4, v1.2.4
}

// newCandidates parses a range in Masterminds' grammar. Pre-releases are in
// only where the range itself names one (">=1.0.0-0").
func newCandidates(text string) (*candidates, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fmt.Errorf("the semver range is empty; hint: %q means any release", "*")
	}
	want, err := semver.NewConstraint(text)
	if err != nil {
		return nil, fmt.Errorf("semver range %q: %w", text, err)
	}
	return &candidates{text: text, want: want}, nil
}

// offer considers one tag.
func (c *candidates) offer(tag string) {
	c.seen++
	version, ok := parseVersion(tag)
	if !ok || !c.want.Check(version) {
		return
	}
	order := 1
	if c.best != nil {
		order = version.Compare(c.best)
	}
	switch {
	case order > 0:
		c.best, c.tags = version, []string{tag}
	case order == 0:
		c.tags = append(c.tags, tag)
	}
}

// newest is the lexically greatest spelling of the highest version, or empty.
func (c *candidates) newest() string {
	tag, _ := c.choose("")
	return tag
}

// choose picks the tag that replaces current, which may be empty or no version
// at all. An empty tag comes with the reason why there is none; current itself
// means that it is up to date.
func (c *candidates) choose(current string) (tag, reason string) {
	if c.best == nil {
		return "", fmt.Sprintf("nothing in %d tags matches %q", c.seen, c.text)
	}
	if old, err := semver.NewVersion(current); err == nil && old.GreaterThan(c.best) {
		return "", fmt.Sprintf("%s is newer than %s, the newest of %d tags that matches %q: downgrades are not made",
			current, c.best.Original(), c.seen, c.text)
	}
	for _, t := range c.tags {
		if t == current {
			return t, ""
		}
		if better(t, tag, current) {
			tag = t
		}
	}
	return tag, ""
}

// better prefers current's way of writing the v, then the lexically greater.
func better(tag, than, current string) bool {
	if than == "" {
		return true
	}
	if _, err := semver.NewVersion(current); err == nil && hasV(tag) != hasV(than) {
		return hasV(tag) == hasV(current)
	}
	return tag > than
}

func hasV(tag string) bool { return strings.HasPrefix(tag, "v") }

// parseVersion reads a tag whose core has exactly three parts: 1.2.3, v1.2.3,
// 1.2.3-rc.1, but neither 1.2 nor 1.2.3.4.
func parseVersion(tag string) (*semver.Version, bool) {
	core, _, _ := strings.Cut(tag, "-")
	if len(tag) > maxTagLength || strings.Count(core, ".") != 2 {
		return nil, false
	}
	// A + is no character of an OCI tag.
	if strings.Contains(tag, "+") {
		return nil, false
	}
	version, err := semver.NewVersion(tag)
	return version, err == nil
}

// maxTagLength is the OCI distribution specification's.
const maxTagLength = 128
