package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// FieldManager is the name under which the engine applies.
	FieldManager = "sealift"
	// OwnerLabel is on every object that the engine applies; its value is the Owner.
	OwnerLabel = "sealift.dev/delivery"
)

// ObjectRef identifies an object whatever version it is written in. Namespace
// is empty for cluster-scoped kinds.
type ObjectRef struct {
	Group, Kind, Namespace, Name string
}

// GroupKind is the kind of the object.
func (r ObjectRef) GroupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.Group, Kind: r.Kind}
}

// String is KIND[.GROUP] [NAMESPACE/]NAME: "Deployment.apps shop/web".
func (r ObjectRef) String() string {
	if r.Namespace == "" {
		return r.GroupKind().String() + " " + r.Name
	}
	return r.GroupKind().String() + " " + r.Namespace + "/" + r.Name
}

func compareRefs(a, b ObjectRef) int {
	return compareStrings(
		[2]string{a.Group, b.Group}, [2]string{a.Kind, b.Kind},
		[2]string{a.Namespace, b.Namespace}, [2]string{a.Name, b.Name})
}

// Owner is the value of OwnerLabel: it stands for one Delivery, also for one
// that was deleted and created again.
type Owner string

// maxLabelValue is what Kubernetes allows a label's value to be long.
const maxLabelValue = 63

// OwnerOf derives the owner from the Delivery's identity: NAMESPACE.NAME, or
// its first 46 characters and 16 hex digits of a hash when that is too long
// for a label.
func OwnerOf(namespace, name string) Owner {
	full := namespace + "." + name
	if len(full) <= maxLabelValue {
		return Owner(full)
	}
	sum := sha256.Sum256([]byte(namespace + "/" + name))
	return Owner(full[:46] + "-" + hex.EncodeToString(sum[:8]))
}

// Target is what one owner wants in the cluster.
type Target struct {
	Owner Owner
	// User is impersonated for every write; empty writes as the engine itself.
	User string
	// Namespace is given to namespaced objects that name none. What the User
	// may not delete in there is a failure of pruning; elsewhere it is kept.
	Namespace string
	Objects   *Set
	// Kinds is the inventory so far: kinds of which the owner may have objects.
	Kinds []schema.GroupKind
	// Prune deletes owned objects that are not in Objects; PruneProtected also
	// Namespaces, CustomResourceDefinitions and volumes.
	Prune, PruneProtected bool
	// Correct heals drift; otherwise drift is only reported.
	Correct bool
	// Settled says that this very set was applied in full before, maybe by an
	// earlier process: what differs then is drift, and not a change.
	Settled bool
	// Release names what Objects are from, and Attempt the attempt at applying it,
	// empty before the first write; hooks run once for both.
	Release, Attempt string
	// Confirmed is what Confirmation gave when the set was settled: objects that
	// are still so need no request. Empty: each is confirmed once a process.
	Confirmed string
	// Ignore are fields that are given up once somebody else sets them.
	Ignore []IgnoreRule
	// MaxPrune is how many objects Prune may delete without ConfirmedPrune: a number
	// or a percentage of the objects there are. Nil: half of them where there are
	// more than ten.
	MaxPrune *intstr.IntOrString
	// AwaitedOf is the Of of the list that awaits a confirmation; 0: there is none.
	AwaitedOf int
	// ConfirmedPrune is the digest of a list of deletions that a person confirmed.
	ConfirmedPrune string
	// Back is the way back from a set that failed: its deletions are not surprising, and
	// what that set allowed to be created again is.
	Back bool
	// Reapply is after how long, within a tenth of it, an object is applied again whatever
	// the watches show. Zero: DefaultReapply.
	Reapply time.Duration
	// Judge comes before kstatus; nil is kstatus alone.
	Judge Judge
}

// IgnoreRule names fields of the objects of a kind, or of one of them where Name is
// not empty. Pointers are JSON pointers (RFC 6901).
type IgnoreRule struct {
	Group, Kind, Name string
	Pointers          []string
}
