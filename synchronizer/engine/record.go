package engine

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// record is one object. rv is zero while the object is not known to be there;
// an answer to an apply counts as an observation, so rv is never below applied's.
type record struct {
	ref   ObjectRef
	owner Owner
	owned bool // our apply entry holds the ownership label
	// claimant is the owner that wants it, or acts on it; empty for what only says so itself.
	claimant Owner
	uid      types.UID
	rv       uint64
	// generation is zero where the kind has none.
	generation int64
	fields     fieldText // of our apply entry
	stamp      time.Time
	keep       string      // why it is not to be pruned: an annotation, a missing right
	deletable  bool        // by the owner's user, who was asked for
	asks       *directives // nil when its annotations ask for nothing
	deleting   bool
	// passed is what was wanted when the object was left to somebody else.
	passed *digest
	wave   int
	hook   *hookRun

	applied *applied
	lost    *Drift // deleted or unlabelled after applied
	lostRV  uint64
	drift   *Drift

	// While requests are in flight, events wait for their outcome.
	inflight int
	pending  *metav1.PartialObjectMetadata

	verdict   verdict
	sound     sound
	pace      pace // of readings for the verdict
	postponed bool // and its owner hears of news later
	news      bool // about its health, of which its owner has not heard
	awaited   bool // a pass waits for the verdict on the newest version
	fight     fight
}

// appliedFor says that this process applied the object for owner.
func (r record) appliedFor(owner Owner) bool { return r.applied != nil && r.applied.owner == owner }

// applied is what the last apply of this process left behind.
type applied struct {
	owner  Owner
	wanted digest
	rv     uint64
	fields fieldText
	stamp  time.Time
	at     time.Time // by our clock; zero: not known
}
