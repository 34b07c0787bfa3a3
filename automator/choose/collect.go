package choose

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	defaultKeep  = 32
	maxKeep      = 1024
	maxSpellings = 32 // tags of one candidate
)

// Options say what a Collector does. The zero value works.
type Options struct {
	// Keep is how many candidates are kept. Default: 32; most: 1024.
	Keep int
	// Seen is when a tag came, for the policy newest. Nil, or a zero time: before all others.
	Seen func(tag string) time.Time
}

// Collector keeps the best of the tags that it is offered. Its memory depends on
// Options.Keep, and not on how many tags there are. It is not for concurrent use.
type Collector struct {
	policy  *Policy
	options Options
	count   int
	best    []Candidate // best first
	err     error
}

// Collect begins to collect tags.
func (p *Policy) Collect(o Options) *Collector {
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	o.Keep = min(o.Keep, maxKeep)
	return &Collector{policy: p, options: o}
}

// Offer considers one tag. The same tag may be offered again.
func (c *Collector) Offer(tag string) {
	c.count++
	if c.policy.filter.ignored(tag) != "" {
		return
	}
	at, why := c.policy.position(tag, &c.options)
	if why != "" {
		if c.err == nil && c.policy.order.strict() && at.tag != "" {
			c.err = fmt.Errorf("tag %q: %s; hint: narrow match", tag, why)
		}
		return
	}
	i, same := slices.BinarySearchFunc(c.best, at, func(k Candidate, at position) int { return -c.policy.order.compare(k.at, at) })
	if !same && i == c.options.Keep {
		return
	}
	if c.policy.order.admits(at) != "" {
		return
	}
	if same {
		c.best[i].add(at)
		return
	}
	k := Candidate{policy: c.policy, at: at, Text: at.text, Seen: at.seen}
	k.add(at)
	if len(c.best) == c.options.Keep {
		c.best = c.best[:len(c.best)-1]
	}
	c.best = slices.Insert(c.best, i, k)
}

// Count is how many tags were offered.
func (c *Collector) Count() int { return c.count }

// Ranked returns the candidates, best first. The error wraps ErrNothing if there are none.
// Under a numerical policy one value that is no number is an error, which names the tag.
func (c *Collector) Ranked() ([]Candidate, error) {
	if c.err != nil {
		return nil, c.err
	}
	if len(c.best) == 0 {
		return nil, fmt.Errorf("%w for %s, among %d", ErrNothing, c.policy, c.count)
	}
	return slices.Clone(c.best), nil
}

// Compare is Policy.Compare that knows when tags came.
func (c *Collector) Compare(a, b string) (order int, comparable bool) {
	return c.policy.compare(a, b, &c.options)
}

// Candidate is one version, or one text that is ordered, and the tags that spell it.
type Candidate struct {
	Text string // what was ordered: the tag, or what Extract made of it
	// Tags has at least one and at most 32 tags. The first is the one to take where nothing
	// else decides: the lexically greatest, but of tags with the same extracted text the
	// lexically smallest.
	Tags []string
	Seen time.Time // with Newest only

	policy    *Policy
	at        position
	spellings []spelling // greatest tag first
}

// spelling is one text, and the tags from which it was extracted, the smallest first.
type spelling struct {
	text string
	tags []string
}

// Tag is Spelling where there is no current tag.
func (c Candidate) Tag() string { return c.Tags[0] }

// Spelling is the tag to write in place of current: current itself if it is one of them, else
// one that has a leading v if current has one, else the first of Tags.
func (c Candidate) Spelling(current string) string {
	if slices.Contains(c.Tags, current) {
		return current
	}
	if c.policy == nil || c.policy.rule.Semver == "" {
		return c.Tags[0]
	}
	at, why := c.policy.position(current, nil)
	if why != "" {
		return c.Tags[0]
	}
	for _, s := range c.spellings {
		if strings.HasPrefix(s.text, "v") == strings.HasPrefix(at.text, "v") {
			return s.tags[0]
		}
	}
	return c.Tags[0]
}

// add keeps one more spelling. Beyond the limit, those go that would be taken last.
func (c *Candidate) add(at position) {
	i := slices.IndexFunc(c.spellings, func(s spelling) bool { return s.text == at.text })
	if i < 0 {
		i = len(c.spellings)
		c.spellings = append(c.spellings, spelling{text: at.text})
	}
	s := &c.spellings[i]
	place, found := slices.BinarySearch(s.tags, at.tag)
	if found {
		return
	}
	s.tags = slices.Insert(s.tags, place, at.tag)
	if len(s.tags) > maxSpellings {
		s.tags = s.tags[:maxSpellings]
	}
	slices.SortFunc(c.spellings, func(a, b spelling) int { return strings.Compare(b.tags[0], a.tags[0]) })
	if len(c.spellings) > maxSpellings {
		c.spellings = c.spellings[:maxSpellings]
	}
	c.Tags = c.Tags[:0]
	for _, s := range c.spellings {
		c.Tags = append(c.Tags, s.tags[0])
	}
	for _, s := range c.spellings {
		c.Tags = append(c.Tags, s.tags[1:]...)
	}
	c.Tags = c.Tags[:min(len(c.Tags), maxSpellings)]
	c.Text = c.spellings[0].text
}
