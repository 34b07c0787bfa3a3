// Package synchronizer turns a verified release into a running cluster, and
// keeps it so: resolve, verify, pull, plan, preflight, apply, wait, prune.
package synchronizer

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/synchronizer/tailor"
	"sealift.dev/verify"
)

// Delivery is what one Delivery asks for, with its policies resolved.
type Delivery struct {
	Namespace, Name string
	Source          Source
	// Environment is a folder of the release; "." is its root.
	Environment string
	// Policies must all pass; an empty list lets nothing in.
	Policies []verify.NamedPolicy
	// Former is where the last good release was read from, if not from Source.
	Former Former
	// User is impersonated for every write.
	User string
	// Interval is the time between two questions to the registry.
	Interval time.Duration
	// Timeout is how long a release may take to become healthy.
	Timeout time.Duration
	// Prune deletes what the release no longer holds; PruneProtected also
	// Namespaces, CRDs and volumes.
	Prune, PruneProtected bool
	// Correct heals drift; false reports it.
	Correct bool
	// Rollback returns to the last good release when a new one fails; Irreversible
	// also when that does not undo all that the new one did.
	Rollback, Irreversible bool
	// Tailoring is what differs from the release in this cluster.
	Tailoring tailor.Options
	// Tailored stands for Tailoring, and tells nothing of it; empty: there is none.
	Tailored string
	// Untailored is why Tailoring cannot be had; nothing is written then.
	Untailored error `json:"-"`
	// Ignore are fields that are given up once somebody else sets them.
	Ignore []engine.IgnoreRule
	// Health holds rules for kinds that kstatus does not know.
	Health []HealthRule
	// MaxPrune bounds the deletions that nobody confirmed; nil: the engine's default.
	MaxPrune *intstr.IntOrString
	// Confirmed is the digest of a list of deletions that a person confirmed.
	Confirmed string
	// Blocked is why no new release is applied now: a dependency is not ready. What
	// runs is kept.
	Blocked error `json:"-"`
	// Unreachable is why the source cannot even be asked; what runs is kept.
	Unreachable error `json:"-"`
	// Requested asks the registry now; a new value is a new request.
	Requested string
}

// Key is NAMESPACE/NAME.
func (d Delivery) Key() string { return d.Namespace + "/" + d.Name }

// under are the policies of what is read from a place.
func (d Delivery) under(place artifact.Repository) ([]verify.NamedPolicy, error) {
	switch place {
	case d.Source.Repository:
		return d.Policies, nil
	case d.Former.Repository:
		return d.Former.Policies, d.Former.Err
	}
	return nil, nil
}

// Owner is the ownership label's value on everything this Delivery applies.
func (d Delivery) Owner() engine.Owner { return engine.OwnerOf(d.Namespace, d.Name) }

// HealthRule says in CEL over the live object, as self, how the objects of a kind are.
type HealthRule struct {
	Group, Kind                 string
	InProgress, Failed, Current string
}

// Source names a release. Exactly one of Tag, Semver and Digest is set.
type Source struct {
	Repository  artifact.Repository
	Tag, Semver string
	Digest      digest.Digest
	// DockerConfig is the content of a pull secret; nil is anonymous.
	DockerConfig []byte
	// CA holds authorities that the registry's certificate may be of, beside the
	// system's; ClientCert and ClientKey are shown to it. All are PEM, and may be nil.
	CA, ClientCert, ClientKey []byte
	// Insecure speaks plain HTTP.
	Insecure bool
}

// Former is a place that the source named before. What came from there stays under
// the policies of that place, wherever the source points now.
type Former struct {
	Repository artifact.Repository
	// Policies must all pass; an empty list lets nothing in.
	Policies []verify.NamedPolicy
	// Err is why they cannot be had; nothing from there is kept then.
	Err error `json:"-"`
}

// State is what outlives the process. The zero State is a new Delivery's.
type State struct {
	// Accepted is the highest release accepted of each repository, by where releases
	// say that they were published.
	Accepted map[string]Watermark
	// Applied is the last release that was applied in full and became healthy.
	Applied artifact.Ref
	// Tailored is Delivery.Tailored as it was for Applied.
	Tailored string
	// Attempted is the release of which something was written; empty once it is
	// the applied one.
	Attempted digest.Digest
	// Attempt tells one attempt at Attempted from another. Renewed says that it is not
	// saved so far.
	Attempt string
	Renewed bool
	// Irreversible says what Attempted did that applying another release does not undo.
	Irreversible []string
	// Quarantined failed and is not tried again; Cause says why.
	Quarantined digest.Digest
	Cause       string
	// Kinds are the kinds of which objects may exist.
	Kinds []schema.GroupKind
	// Confirmed stands for the objects of Applied as they were applied last.
	Confirmed string
	// AwaitedOf is that of the list of deletions which awaits a confirmation; 0: there
	// is none.
	AwaitedOf int
}

// Intent is saved before the first write, so that a crash leaves no orphan and
// nothing older is accepted after it.
type Intent struct {
	Release Release
	// Accepted is the highest release of its repository now; zero: as before.
	Accepted Watermark
	Kinds    []schema.GroupKind
	// Confirm is what has to be confirmed; nil: nothing.
	Confirm *engine.Confirm
	// Irreversible says what the attempt did and will do for good.
	Irreversible []string
}

// Memory keeps a Delivery's state across passes and processes.
type Memory interface {
	State() State
	// Begin saves i; the pass ends without a write when it fails.
	Begin(ctx context.Context, i Intent) error
}

// Release identifies a verified release.
type Release struct {
	Ref       artifact.Ref
	Statement artifact.Statement
	// SignedBy names the authorities whose signatures counted.
	SignedBy []string
	// Findings are what policies in audit mode would have refused.
	Findings []string
}

// Outcome is what a pass found and did.
type Outcome struct {
	// Wanted is the release that the source names; nil when it could not be had.
	Wanted *Release
	// Running is the release that the cluster is kept at; nil when there is none.
	Running *Release
	// Older says that Wanted is pinned by its digest, and older than one accepted before.
	Older bool
	// Healthy says that Running is applied in full, healthy and pruned.
	Healthy bool
	// Deadline is when an unhealthy release has failed; zero when none is awaited.
	Deadline time.Time
	// Waited is how long Running has not been healthy.
	Waited time.Duration
	Health engine.Health
	Report engine.Report
	// NextCheck is when contested drift may be corrected, or health told of that changes
	// too often; zero when there is neither.
	NextCheck time.Time
	// Drifted lists drift that is reported, not corrected, and Contested of it that
	// someone undoes again and again.
	Drifted   []string
	Contested int
	// Kinds are the kinds of which objects may exist after this pass.
	Kinds []schema.GroupKind
	// Degraded says that Running became healthy once, and is not now.
	Degraded bool
	// Confirm is what is not deleted before a person has confirmed it.
	Confirm *engine.Confirm
	// Irreversible says what Running did that going back would not undo.
	Irreversible []string
	// Unchecked are objects of Running that no dry run could judge before the apply.
	Unchecked []engine.ObjectRef
	// Confirmed stands for the objects as they were applied last; see State.
	Confirmed string
	// Quarantine asks for Wanted to be quarantined; the next pass goes back to
	// the last good release.
	Quarantine bool
	// Asking is how long the pass has had to do without an answer of the registry that
	// is on its way; zero: it has them all. What runs is kept meanwhile, and nothing is
	// known to be wrong.
	Asking time.Duration
	// Next is when the next pass is due at the latest.
	Next time.Duration
}
