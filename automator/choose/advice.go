package choose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Advice collects what may not be meant in a policy, as the tags show it. Its memory does not
// depend on how many tags there are. It is not for concurrent use.
type Advice struct {
	policy            *Policy
	glued, suffixed   string // an example of each
	variants, ordered int
	edge              string // a pre-release of what the range excludes
}

// Advise begins to collect advice.
func (p *Policy) Advise() *Advice { return &Advice{policy: p} }

// Offer considers one tag.
func (a *Advice) Offer(tag string) {
	if a.policy.rule.Semver == "" || a.policy.filter.ignored(tag) != "" {
		return
	}
	at, why := a.policy.position(tag, nil)
	if why != "" {
		return
	}
	a.ordered++
	pre := at.version.Prerelease()
	switch {
	case pre == "":
		return
	case isVariant(pre) && at.text == tag: // of what Extract made, the hint would not hold
		a.variants++
		a.suffixed = max(a.suffixed, tag)
	case isGlued(pre):
		a.glued = max(a.glued, tag)
	}
	if a.policy.Explain(tag).In && at.version.Patch() == 0 && at.version.Minor() == 0 &&
		slices.Contains(a.policy.edges(), at.version.Major()) {
		a.edge = max(a.edge, tag)
	}
}

// Warnings are sentences, each with a hint.
func (a *Advice) Warnings() []string {
	warnings := a.policy.emptyGroups()
	if a.glued != "" {
		warnings = append(warnings, fmt.Sprintf("%s: rc9 is above rc10, because only identifiers of digits alone are numbers; hint: name pre-releases rc.9 and rc.10", a.glued))
	}
	if a.edge != "" {
		warnings = append(warnings, fmt.Sprintf("%s is in the range %q, because it is below the release of that version; hint: end the range with -0: <%s",
			a.edge, a.policy.rule.Semver, edgeHint(a.edge, a.policy)))
	}
	if a.suffixed != "" {
		warnings = append(warnings, fmt.Sprintf("%s is a pre-release to semver, as %s; hint: --match '^(v?\\d+\\.\\d+\\.\\d+)%s$' --extract '$1' takes that variant alone",
			a.suffixed, also(a.variants-1), regexp.QuoteMeta(a.suffixed[strings.IndexByte(a.suffixed, '-'):])))
	}
	return warnings
}

func also(n int) string {
	if n == 0 {
		return "every tag with a hyphen is"
	}
	return fmt.Sprintf("%d more tags with such a suffix are", n)
}

func edgeHint(tag string, p *Policy) string {
	at, _ := p.position(tag, nil)
	return fmt.Sprintf("%d.0.0-0", at.version.Major())
}

// edges are the major versions that the range ends before, while it admits pre-releases.
func (p *Policy) edges() []uint64 {
	o, ok := p.order.(versions)
	if !ok {
		return nil
	}
	var found []uint64
	for _, g := range o.groups {
		for _, c := range g {
			if c.op == "<" && c.parts[0] != nil && c.isRound() && g.admitsPre() {
				found = append(found, *c.parts[0])
			}
		}
	}
	return found
}

// isGlued says that a pre-release has a number behind letters: rc9.
func isGlued(pre string) bool {
	for _, identifier := range strings.Split(pre, ".") {
		letters := strings.TrimRight(identifier, "0123456789")
		if letters != "" && letters != identifier && !strings.HasSuffix(letters, "-") {
			return true
		}
	}
	return false
}

// isVariant says that a pre-release reads like the flavour of an image: alpine, slim-bookworm.
func isVariant(pre string) bool {
	first := strings.ToLower(pre)
	if end := strings.IndexAny(first, ".-"); end >= 0 {
		first = first[:end]
	}
	first = strings.TrimRight(first, "0123456789")
	for _, stage := range []string{"", "rc", "alpha", "beta", "a", "b", "pre", "preview", "dev", "snapshot", "nightly", "m", "milestone", "canary", "next", "build", "test", "g"} {
		if first == stage {
			return false
		}
	}
	return true
}

// emptyGroups names groups that Extract refers to, and Match lacks.
func (p *Policy) emptyGroups() []string {
	if p.filter.match == nil {
		return nil
	}
	var warnings []string
	for _, named := range regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`).FindAllStringSubmatch(strings.ReplaceAll(p.rule.Extract, "$$", ""), -1) {
		group := named[1] + named[2]
		if p.filter.match.SubexpIndex(group) >= 0 || isGroupNumber(group, p.filter.match.NumSubexp()) {
			continue
		}
		warnings = append(warnings, fmt.Sprintf("%s stands for nothing, because match has no group %q; hint: ${1}x is group 1 and an x, $1x is a group called 1x", named[0], group))
	}
	return warnings
}

func isGroupNumber(name string, most int) bool {
	for n := range most + 1 {
		if fmt.Sprint(n) == name {
			return true
		}
	}
	return false
}
