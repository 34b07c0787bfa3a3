// Package gate decides which of an image's candidates may be written: cheapest questions
// first, every refusal kept as a reason, the next candidate after a refused one.
package gate

import (
	"context"
	"errors"
	"time"

	"sealift.dev/automator/choose"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
)

// MaxAsked is how many candidates of one image the network is asked about in one pass.
const MaxAsked = 8

// ErrRefused is under an error of Facts that speaks against the candidate: there is no such
// tag, or it is not signed by whom the policy asks for. Any other error ends the decision,
// since nothing is known: what cannot be checked today is not passed over for an older one.
var ErrRefused = errors.New("refused")

// Gate names what refused a candidate.
type Gate string

// The gates, in the order in which they are asked.
const (
	List      Gate = "list"      // the list of tags is not to be believed
	Held      Gate = "hold"      // a person holds it
	Downgrade Gate = "downgrade" // it is older than what is there
	Time      Gate = "window"    // updates are made at another time
	Age       Gate = "age"       // it is too young
	Exists    Gate = "digest"    // there is no such tag
	Platform  Gate = "platform"  // it lacks a platform
	Signature Gate = "signature" // it is not signed or attested as the policy asks
	Moved     Gate = "moved"     // the tag moved between check and write
	Budget    Gate = "budget"    // MaxAsked others were asked about
)

// Facts answers what only the network knows, about one image's repository.
type Facts interface {
	// Digest is what a tag is now: sha256:HEX.
	Digest(ctx context.Context, tag string) (string, error)
	// Platforms are those behind a digest: linux/amd64.
	Platforms(ctx context.Context, digest string) ([]string, error)
	// Verify holds a digest against the image's trust policies.
	Verify(ctx context.Context, digest string) (Proof, error)
}

// Proof is whose signatures count, and since when they are there.
type Proof struct {
	Signers []string
	// Findings are what policies in Audit mode would have refused, a line each.
	Findings []string
	// Time is the latest of the counted signatures' verified times; zero: one has none.
	Time time.Time
}

// Value is what a place holds now. A place that holds a digest alone has no Tag.
type Value struct {
	Tag, Digest string
	// Pinned places hold a digest, or are to hold one.
	Pinned bool
}

// Question is everything known about one image. Candidates, Compare and Now are needed.
type Question struct {
	Candidates []choose.Candidate // best first
	Current    []Value            // of the places that may be written; equal ones once is enough
	Compare    hold.Compare       // of the policy
	Moving     bool               // the policy follows a tag's digest
	// Renew also looks whether the digest of what is there has moved (pin: Always).
	Renew bool

	Holds      []hold.Hold
	Window     *Window // nil: always open
	MinimumAge time.Duration
	Platforms  []string // all are needed
	Verify     bool     // Facts.Verify has to pass
	// AllowDowngrade also takes a candidate that is older than what is there.
	AllowDowngrade bool

	Tags Tags
	// Seen are the ledger's sightings.
	Seen map[string]ledger.Sighting
	// Refused are tags that Recheck refused in this pass.
	Refused map[string]string
	Now     time.Time
}

// Tags is what is known about the list that the candidates are from.
type Tags struct {
	Count    int
	Complete bool // Count is that of the whole list
	// Lacks are tags of Current that the list should have, and has not.
	Lacks []string
	// Before and Shrunk are the ledger's.
	Before int
	Shrunk time.Time
}

// Refusal says why a candidate, or all of them, are not written.
type Refusal struct {
	Tag    string `json:"tag,omitempty"` // empty: it is about every candidate
	Gate   Gate   `json:"gate"`
	Reason string `json:"reason"`
}

// Choice is a tag to be written, and what was checked.
type Choice struct {
	Tag string
	// Digest is what was checked, and is written where places are pinned. Empty: nobody
	// asked, since nothing that was checked depends on it.
	Digest   string
	Signers  []string
	Findings []string // of policies in Audit mode
}

// Decision is what may be written. The zero Decision changes nothing.
type Decision struct {
	// Candidate passed every gate. It may be what is there already.
	Candidate choose.Candidate
	// Found says that there is a Candidate.
	Found bool
	// Choices are the spellings of Candidate that places ask for, each checked.
	Choices  []Choice
	Refusals []Refusal
	// Until is when a refusal may end by itself; zero: none does.
	Until time.Time
	// Learned are sightings for the ledger, also those of a decision that failed.
	Learned map[string]ledger.Sighting
	// Shrunk says that the list is much shorter than before, for the ledger.
	Shrunk bool

	question Question
}
