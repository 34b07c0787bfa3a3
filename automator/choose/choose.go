// Package choose orders the tags of an image by a policy, and keeps the best of them. It is
// pure: it knows neither registries nor Git, nor the clock.
package choose

import "time"

// Rule is one image's policy and filters, as sealift.yaml and Flux's ImagePolicy have them.
// Exactly one of Semver, Alphabetical, Numerical, Newest and Digest is set.
type Rule struct {
	Semver       string // a range in Masterminds' grammar
	Loose        bool   // with Semver: versions of one and two parts are candidates, too
	Alphabetical string // asc or desc, in any case
	Numerical    string // asc or desc, in any case
	Newest       bool   // by the time that Seen tells
	Digest       string // a tag that moves
	Match        string // RE2, not anchored; empty: every tag
	Extract      string // in Go's Expand syntax; empty: the whole tag
	Ignore       []string
}

// Candidate is one version, or one text that is ordered, and every tag that spells it.
type Candidate struct {
	Text string    // what was ordered: the tag, or what Extract made of it
	Tags []string  // lexically greatest first; at least one
	Seen time.Time // with Newest only
}
