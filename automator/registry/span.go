package registry

import (
	"slices"
	"strings"
	"time"
)

// When a list is asked for in parts.
const (
	wholeEvery   = time.Hour      // a whole list is made again, at the latest
	distrustFor  = 24 * time.Hour // parts that were out of order are not asked for again
	maxSpanPages = 60             // of all parts together: they are held until all are read
)

// order is what whole lists of a repository have taught.
type order struct {
	lexical bool      // the list ascends bytewise, and next links name the last tag
	fences  []string  // the last tag of each of its pages, where it is lexical
	at      time.Time // of the last whole list
	failed  time.Time // when parts were not what an ordered list holds; zero: never
}

// spans are the parts of the list to ask for; nil: all of it.
func (o order) spans(prefixes []string, now time.Time) []span {
	if !o.failed.IsZero() && now.Sub(o.failed) < distrustFor {
		return nil
	}
	if !o.lexical || len(o.fences) < 2 || len(prefixes) == 0 || now.Sub(o.at) >= wholeEvery || o.at.After(now) {
		return nil
	}
	spans := spansOf(prefixes)
	if pages := o.cost(spans); pages >= len(o.fences) || pages > maxSpanPages/2 {
		return nil
	}
	return spans
}

// cost is how many pages spans would take of the list as it was.
func (o order) cost(spans []span) int {
	pages := len(spans)
	for _, s := range spans {
		for _, fence := range o.fences {
			if fence > s.after && !s.ends(fence) {
				pages++
			}
		}
	}
	return pages
}

// span is a part of a list in bytewise order: what comes after one text, up to the last tag
// that begins with another.
type span struct {
	after string // "": from the beginning
	end   string
}

// ends says that tag, and every one after it, is behind the span.
func (s span) ends(tag string) bool { return tag > s.end && !strings.HasPrefix(tag, s.end) }

// spansOf covers every tag that begins with one of prefixes, in order, without an overlap.
// Nil: that is everything.
func spansOf(prefixes []string) []span {
	var spans []span
	for _, prefix := range slices.Compact(slices.Sorted(slices.Values(prefixes))) {
		if prefix == "" {
			return nil
		}
		next := span{after: before(prefix), end: prefix}
		if n := len(spans); n > 0 && !spans[n-1].ends(next.after) {
			if spans[n-1].ends(prefix) {
				spans[n-1].end = prefix
			}
			continue
		}
		spans = append(spans, next)
	}
	return spans
}

// before is a text that comes shortly before everything that begins with prefix, in bytewise
// order and also in orders that ignore case or punctuation: a registry with such an order
// then answers with what shows it.
func before(prefix string) string {
	rest, c := prefix[:len(prefix)-1], prefix[len(prefix)-1]
	if c > '0' && c <= '9' || c > 'A' && c <= 'Z' || c > 'a' && c <= 'z' {
		return rest + string(c-1) + "zzzz"
	}
	return rest
}
