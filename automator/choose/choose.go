// Package choose orders the tags of an image by a policy, and keeps the best of them. It is
// pure: it knows neither registries nor Git, nor the clock.
package choose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a rule and of what it is held against.
const (
	maxTag        = 128  // bytes; the OCI distribution specification's
	maxText       = 512  // bytes that Extract may make of a tag
	maxExpression = 1024 // bytes of a regular expression, and of Extract
	maxProgram    = 2000 // instructions that all regular expressions compile to, together
	maxIgnored    = 64   // regular expressions
)

// DefaultIgnore is what Ignore is where a rule has none: cosign's signatures.
const DefaultIgnore = `^.*\.sig$`

// ErrNothing means that no tag is a candidate.
var ErrNothing = errors.New("no tag is a candidate")

// Rule is one image's policy and filters, as sealift.yaml and Flux's ImagePolicy have them.
// Exactly one of Semver, Alphabetical, Numerical, Newest and Digest is set.
type Rule struct {
	Semver       string   // a range in Masterminds' grammar
	Loose        bool     // with Semver: versions of one and two parts are candidates, too
	Alphabetical string   // asc or desc, in any case
	Numerical    string   // asc or desc, in any case
	Newest       bool     // by the time that Options.Seen tells
	Digest       string   // a tag that moves
	Match        string   // RE2, not anchored; empty: every tag
	Extract      string   // in Go's Expand syntax; empty: the whole tag
	Ignore       []string // RE2; nil: DefaultIgnore
}

// Policy is a rule that was checked. It is safe for concurrent use.
type Policy struct {
	rule   Rule
	filter filter
	order  ordering
}

// New checks a rule. The error says what is wrong with it.
func New(r Rule) (*Policy, error) {
	order, err := newOrdering(r)
	if err != nil {
		return nil, err
	}
	filter, err := newFilter(r)
	if err != nil {
		return nil, err
	}
	return &Policy{rule: r, filter: filter, order: order}, nil
}

// newOrdering takes the one policy that a rule has.
func newOrdering(r Rule) (ordering, error) {
	var set []string
	for name, is := range map[string]bool{
		"semver": r.Semver != "", "alphabetical": r.Alphabetical != "", "numerical": r.Numerical != "",
		"newest": r.Newest, "digest": r.Digest != "",
	} {
		if is {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	switch {
	case len(set) == 0:
		return nil, errors.New(`there is no policy; hint: set semver, alphabetical, numerical, newest or digest; semver: "*" means any release`)
	case len(set) > 1:
		return nil, fmt.Errorf("%s are set together, and one policy is wanted", and(set))
	case r.Loose && r.Semver == "":
		return nil, errors.New("loose goes with semver only")
	case r.Semver != "":
		return newSemver(r.Semver, r.Loose)
	case r.Alphabetical != "":
		descending, err := parseOrder("alphabetical", r.Alphabetical)
		return alphabetical{descending}, err
	case r.Numerical != "":
		descending, err := parseOrder("numerical", r.Numerical)
		return numerical{descending}, err
	case r.Newest:
		return newest{}, nil
	case !isTag(r.Digest):
		return nil, fmt.Errorf("digest %.40q is no tag; hint: name the tag that moves, such as latest", r.Digest)
	}
	return moving{r.Digest}, nil
}

func parseOrder(policy, word string) (descending bool, err error) {
	switch strings.ToLower(word) {
	case "asc":
		return false, nil
	case "desc":
		return true, nil
	}
	return false, fmt.Errorf("the order of %s is %.40q; hint: asc or desc", policy, word)
}

// Moving is the tag whose digest is followed; empty: the policy follows none.
func (p *Policy) Moving() string { return p.rule.Digest }

// Rule is what the policy was made of.
func (p *Policy) Rule() Rule { return p.rule }

// Compare tells which of two tags the policy prefers: positive means a. They are not
// comparable if one is outside Match or cannot be ordered, such as latest by semver, and by
// newest and digest unless they are the same: only a Collector knows times. The range and Ignore play no
// part, so that also what is no candidate, or no longer, can be compared.
func (p *Policy) Compare(a, b string) (order int, comparable bool) { return p.compare(a, b, nil) }

func (p *Policy) compare(a, b string, options *Options) (int, bool) {
	x, why := p.position(a, options)
	if why != "" {
		return 0, false
	}
	y, why := p.position(b, options)
	if why != "" {
		return 0, false
	}
	if a != b && (p.rule.Digest != "" || p.rule.Newest && (x.seen.IsZero() || y.seen.IsZero())) {
		return 0, false
	}
	return p.order.compare(x, y), true
}

// position is where a tag stands in the order, or why it has no place there.
func (p *Policy) position(tag string, options *Options) (position, string) {
	if !isTag(tag) {
		return position{}, notTag
	}
	text, why := p.filter.text(tag)
	if why != "" {
		return position{}, why
	}
	at, why := p.order.parse(text)
	at.text, at.tag = text, tag
	if p.rule.Newest && options != nil && options.Seen != nil {
		at.seen = options.Seen(tag)
	}
	return at, why
}

const notTag = "it is no tag: up to 128 letters, digits, _, . and - are"

// isTag also takes a plus, and a sign at the beginning, which registries do not: lists for
// trying a policy out hold such values.
func isTag(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+"
	return s != "" && len(s) <= maxTag && strings.Trim(s, allowed) == ""
}
