package choose

import (
	"fmt"
	"strings"
)

// Verdict is what a policy says of one tag.
type Verdict struct {
	Tag    string
	In     bool
	Text   string // what is ordered; empty if the tag is out before that
	Reason string // one short sentence, why it is in or out
}

// Explain says why a tag is a candidate, or is none. Holds and gates play no part.
func (p *Policy) Explain(tag string) Verdict {
	out := func(text, reason string) Verdict { return Verdict{Tag: tag, Text: text, Reason: reason} }
	if !isTag(tag) {
		return out("", notTag)
	}
	if by := p.filter.ignored(tag); by != "" {
		return out("", fmt.Sprintf("it is ignored by %s", by))
	}
	text, why := p.filter.text(tag)
	if why != "" {
		return out("", why)
	}
	at, why := p.position(tag, nil)
	if why != "" {
		return out(text, why)
	}
	if why := p.order.admits(at); why != "" {
		return out(text, why)
	}
	return Verdict{Tag: tag, In: true, Text: text, Reason: p.admitted()}
}

// String names the policy: for messages.
func (p *Policy) String() string {
	switch r := p.rule; {
	case r.Semver != "":
		return fmt.Sprintf("semver %q", r.Semver)
	case r.Alphabetical != "":
		return "alphabetical " + strings.ToLower(r.Alphabetical)
	case r.Numerical != "":
		return "numerical " + strings.ToLower(r.Numerical)
	case r.Digest != "":
		return "digest " + r.Digest
	}
	return "newest"
}

// admitted says why a candidate is one.
func (p *Policy) admitted() string {
	switch r := p.rule; {
	case r.Semver != "":
		return fmt.Sprintf("it is in the range %q", r.Semver)
	case r.Digest != "":
		return "it is the tag to follow"
	case r.Match != "":
		return "it matches " + r.Match
	}
	return "every tag is"
}
