package choose

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// position is where a tag stands in an order.
type position struct {
	tag, text string
	version   *semver.Version // with semver
	number    float64         // with numerical
	seen      time.Time       // with newest
}

// ordering is one kind of policy.
type ordering interface {
	// parse reads what is ordered, or says why it cannot be.
	parse(text string) (at position, why string)
	// admits says why a tag that has a place in the order is no candidate; empty: it is one.
	admits(at position) (why string)
	// compare is positive where a is preferred.
	compare(a, b position) int
	// strict says that one text that cannot be read fails the policy.
	strict() bool
}

type alphabetical struct{ descending bool }

func (o alphabetical) parse(string) (position, string) { return position{}, "" }
func (o alphabetical) admits(position) string          { return "" }
func (o alphabetical) strict() bool                    { return false }
func (o alphabetical) compare(a, b position) int {
	return directed(strings.Compare(a.text, b.text), o.descending)
}

type numerical struct{ descending bool }

func (o numerical) admits(position) string { return "" }
func (o numerical) strict() bool           { return true }
func (o numerical) compare(a, b position) int {
	return directed(cmp.Compare(a.number, b.number), o.descending)
}

// parse reads 64-bit floats as Go spells them, which is what Flux takes. Infinity and NaN are no numbers here: a tag of that
// name would win for ever, or be in no order at all.
func (o numerical) parse(text string) (position, string) {
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
		return position{}, fmt.Sprintf("%q is no number, and one such value fails a numerical policy", text)
	}
	return position{number: number}, ""
}

type newest struct{}

func (newest) parse(string) (position, string) { return position{}, "" }
func (newest) admits(position) string          { return "" }
func (newest) strict() bool                    { return false }
func (newest) compare(a, b position) int {
	return cmp.Or(a.seen.Compare(b.seen), strings.Compare(a.tag, b.tag))
}

type moving struct{ tag string }

func (moving) parse(string) (position, string) { return position{}, "" }
func (moving) strict() bool                    { return false }
func (moving) compare(a, b position) int       { return strings.Compare(a.tag, b.tag) }
func (o moving) admits(at position) string {
	if at.tag != o.tag {
		return "it is not the tag to follow, " + o.tag
	}
	return ""
}

func directed(order int, descending bool) int {
	if descending {
		return -order
	}
	return order
}

func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
