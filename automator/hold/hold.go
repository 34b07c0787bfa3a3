// Package hold decides what may not be written because a person said so: by a revert, by
// hand in .sealift/images.yaml, by a marker, by closing a pull request. It is pure.
package hold

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"sealift.dev/internal/text"
)

// Compare orders two tags as the image's policy does; it is choose's Policy.Compare.
type Compare func(a, b string) (order int, comparable bool)

// Kind says how a hold came about.
type Kind string

// The kinds of holds.
const (
	Explicit Kind = "Explicit" // an entry of .sealift/images.yaml
	Reverted Kind = "Reverted" // a person took an update back
	Closed   Kind = "Closed"   // a person closed a pull request without merging it
)

// Hold says which versions of an image are not written. Of Version, UpTo and Digest one is
// set at most; none, or Everything: it covers every version.
type Hold struct {
	Image string `json:"image"` // NAMESPACE:NAME
	Kind  Kind   `json:"kind"`
	// Version is a tag, a version, or a range in Masterminds' grammar. Of a downgrade that was
	// reverted it is what that wrote, and lower versions are held, too.
	Version string `json:"version,omitempty"`
	// UpTo is the newest tag that is held, and Above the newest that is not: what a person
	// went back to.
	Above string `json:"above,omitempty"`
	UpTo  string `json:"upTo,omitempty"`
	// Digest is held, whatever tag it has: sha256:HEX.
	Digest string `json:"digest,omitempty"`
	// Everything is held besides, since the image freezes when it is reverted.
	Everything bool `json:"everything,omitempty"`
	// Commit was reverted, in hex; empty: it is not known, or there was none.
	Commit string `json:"commit,omitempty"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"`
	// Since is when the automator saw it first, or what the entry says.
	Since time.Time `json:"since,omitzero"`
	// Until is when it ends by itself; zero: never.
	Until time.Time `json:"until,omitzero"`
	// Except are versions and ranges that a person released again.
	Except []string `json:"except,omitempty"`
}

// Covers says that tag is held. Alias is what the policy orders in its place, and may be the same.
// What only a digest can tell is not covered, see CoversDigest.
func (h Hold) Covers(tag, alias string, compare Compare) bool {
	if slices.ContainsFunc(h.Except, func(v string) bool { return within(v, tag, alias, compare) }) {
		return false
	}
	switch {
	case h.Everything:
		return true
	case h.Digest != "":
		return false
	case h.Version != "":
		order, ok := compare(tag, h.Version)
		return within(h.Version, tag, alias, compare) || h.Kind == Reverted && ok && order < 0
	case h.UpTo != "":
		if tag == h.UpTo {
			return true
		}
		low, ok := compare(tag, h.Above)
		high, known := compare(tag, h.UpTo)
		// What cannot be told from what was reverted stays out.
		return !known || high <= 0 && (!ok || low > 0)
	}
	return true
}

// CoversDigest says that an image of this digest is held.
func (h Hold) CoversDigest(digest string) bool {
	return h.Everything || h.Digest != "" && h.Digest == digest
}

// Over says that the hold has ended by itself.
func (h Hold) Over(now time.Time) bool { return !h.Until.IsZero() && !now.Before(h.Until) }

// within says that tag is the version, or in the range, that text names. Pre-releases are in.
func within(version, tag, alias string, compare Compare) bool {
	if tag == version || alias == version {
		return true
	}
	if order, ok := compare(tag, version); ok && order == 0 {
		return true
	}
	return inRange(version, tag) || inRange(version, alias)
}

func inRange(version, tag string) bool {
	constraint, err := semver.NewConstraint(version)
	if err != nil {
		return false
	}
	constraint.IncludePrerelease = true
	v, err := semver.NewVersion(tag)
	return err == nil && constraint.Check(v)
}

// What says which versions are held: "1.2.0", "above 1.1.0 up to 1.2.0", "1.2.0 and below", "every version".
func (h Hold) What() string {
	var what string
	switch {
	case h.Everything:
		return "every version"
	case h.Digest != "":
		what = h.Digest
	case h.Version != "" && h.Kind == Reverted:
		what = h.Version + " and below"
	case h.Version != "":
		what = h.Version
	case h.UpTo != "":
		what = "above " + h.Above + " up to " + h.UpTo
	default:
		what = "every version"
	}
	if len(h.Except) > 0 {
		what += " but " + strings.Join(h.Except, ", ")
	}
	return text.Line(what, 300)
}

// String is one line for people: what is held, why, by whom, until when.
func (h Hold) String() string {
	why := map[Kind]string{Explicit: "held", Reverted: "reverted by a person", Closed: "its pull request was closed"}[h.Kind]
	line := fmt.Sprintf("%s: %s", h.What(), why)
	if h.By != "" {
		line += " by " + h.By
	}
	if h.Reason != "" {
		line += ": " + h.Reason
	}
	if !h.Until.IsZero() {
		line += ", until " + h.Until.UTC().Format(time.RFC3339)
	}
	return text.Line(line, 500)
}
