package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

type digest = [sha256.Size]byte

// Action is what a step does to its object.
type Action string

const (
	// Create writes an object that the owner does not have yet.
	Create Action = "Create"
	// Update writes an object whose wanted state changed, or is not confirmed.
	Update Action = "Update"
	// Heal writes an object that drifted.
	Heal Action = "Heal"
	// Unchanged needs no request.
	Unchanged Action = "Unchanged"
	// Prune deletes an object that is no longer wanted.
	Prune Action = "Prune"
	// Keep leaves an object that is no longer wanted; the reason says why.
	Keep Action = "Keep"
	// Drifted reports drift that the owner does not want corrected.
	Drifted Action = "Drifted"
	// Contested reports drift whose healing pauses until Until, because someone
	// undoes it again and again.
	Contested Action = "Contested"
	// Adopt writes an object whose fields other deployers hold, and takes them
	// over; Preflight finds it.
	Adopt Action = "Adopt"
	// Recreate deletes an object that cannot be changed as wanted, and creates it
	// again; Preflight finds it.
	Recreate Action = "Recreate"
	// Run creates the object of a hook.
	Run Action = "Run"
	// Standby is a hook that runs only when the release fails.
	Standby Action = "Standby"
	// Skip leaves a wanted object alone, because an annotation says so.
	Skip Action = "Skip"
)

// Step is one object in a plan.
type Step struct {
	Ref    ObjectRef
	Action Action
	// Reason says in words why; empty where the action says it all.
	Reason string
	// Hook is the phase in which the object runs as a hook; empty for what is none.
	Hook Phase
	// Wave is the number of the wave; lower ones come first.
	Wave int
	// Drift is set for Heal, Drifted and Contested.
	Drift *Drift
	// Until is set for Contested, and, as what somebody undid again and again, for
	// Unchanged and after Apply for Heal.
	Until time.Time
	// Takeovers are fields that others held, found by Preflight.
	Takeovers []Takeover

	item     item
	resource resource
	depth    int
	stage    stage
	rank     int
	body     []byte
	wanted   digest
	uid      types.UID
	deleting bool
	asks     directives
	// adopted are the deployers whose fields an Adopt takes over.
	adopted []string
	// left steps are Skips that the API server had to be asked for; unchecked ones
	// could not be dry-run; late ones fit a schema that is served in a moment.
	left, unchecked, late bool
	// ran says that the hook's object is of this attempt; lapsed, that it ran again
	// since, because the release failed.
	ran, lapsed bool
	// rehearsed steps passed an earlier Preflight as they are.
	rehearsed bool
	rv        uint64
	// lenient steps turn into Drifted when others hold their fields.
	lenient bool
	// back steps may be created again where what failed might.
	back bool
}

// notConfirmed is why an object is written that this process did not apply so far.
const notConfirmed = "not confirmed since start"

// Confirm is a list of deletions that a person has to confirm.
type Confirm struct {
	// Digest stands for exactly these Objects.
	Digest string
	// Of is how many objects there were before the plan, where the Objects are too
	// many of them; it has to be kept before the first write.
	Of int
	// Reason says why.
	Reason  string
	Objects []ObjectRef
}

// Takeover is a field that is taken from another manager.
type Takeover struct {
	Field, Manager string
}

// Plan is what a pass would do, in the order in which Apply does it; Prune
// steps come last, in the order in which they are deleted.
type Plan struct {
	Owner Owner
	Steps []*Step
	// Unchecked are objects that Preflight could not dry-run, because something
	// they need comes with the same plan.
	Unchecked []ObjectRef
	// NextCheck is when a Contested step may be healed, or a fight over one is over;
	// zero when there is none.
	NextCheck time.Time
	// Irreversible says what Apply would do that applying another set cannot undo;
	// valid after Preflight.
	Irreversible []string
	// Confirm is what Prune does not delete before a person has confirmed it; nil
	// when there is nothing of that kind.
	Confirm *Confirm

	target          Target
	user, namespace string
	kinds           []schema.GroupKind
	// others are objects that the set waits for and does not hold.
	others map[ObjectRef]*Step
}

// outside says that an object is not in the target's own namespace.
func (p *Plan) outside(ref ObjectRef) bool {
	return ref.Namespace == "" || ref.Namespace != p.namespace
}

// Kinds is the inventory to save before the first write: the old kinds that
// the cluster still serves, and the new ones.
func (p *Plan) Kinds() []schema.GroupKind { return slices.Clone(p.kinds) }

// Changed says that Apply or Prune has something to do.
func (p *Plan) Changed() bool {
	return slices.ContainsFunc(p.Steps, func(s *Step) bool {
		return s.writes() || s.Action == Prune && !s.deleting
	})
}

// Count is the number of steps with any of the actions.
func (p *Plan) Count(actions ...Action) int {
	n := 0
	for _, s := range p.Steps {
		if slices.Contains(actions, s.Action) {
			n++
		}
	}
	return n
}

func (s *Step) writes() bool {
	switch s.Action {
	case Create, Update, Heal, Adopt, Recreate, Run:
		return true
	}
	return false
}

// draft decides for every wanted and every owned object; it changes nothing. Calm items
// are known to be unchanged; the records are of all others.
func draft(t Target, items []item, calm []bool, records map[ObjectRef]record, now time.Time) (*Plan, error) {
	p := &Plan{Owner: t.Owner, target: t, user: t.User, namespace: t.Namespace, Steps: make([]*Step, 0, len(items))}
	depth, err := arrange(items)
	if err != nil {
		return nil, err
	}
	wanted := map[ObjectRef]struct{}{}
	steps := make([]Step, len(items)) // in one piece: there may be thousands
	for i, it := range items {
		if calm[i] {
			s := &steps[i]
			s.rest(it)
			if err := s.encode(t); err != nil {
				return nil, err
			}
			p.Steps = append(p.Steps, s)
			continue
		}
		wanted[it.ref] = struct{}{}
		r, known := records[it.ref]
		if it.course.hook() {
			steps, err := hookSteps(t, it, r)
			if err != nil {
				return nil, err
			}
			p.Steps = append(p.Steps, steps...)
			continue
		}
		s, err := newStep(it, t)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(s.decide(t, it, r, known, now), s.encode(t)); err != nil {
			return nil, err
		}
		if !s.Until.IsZero() && (p.NextCheck.IsZero() || s.Until.Before(p.NextCheck)) {
			p.NextCheck = s.Until
		}
		p.Steps = append(p.Steps, s)
	}
	if depth != nil {
		for _, s := range p.Steps {
			s.depth = depth[s.Ref]
		}
	}
	if err := p.stranded(); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Steps, compareSteps)
	p.Steps = append(p.hookless(), strays(t, wanted, records, len(items) == 0)...)
	return p, nil
}

// rest makes the step of an item that stays as it is.
func (s *Step) rest(it item) {
	s.Ref, s.Action, s.Wave, s.item, s.resource, s.wanted = it.ref, Unchanged, it.course.wave, it, it.resource, it.wanted
	s.stage, s.rank = place(it.ref.GroupKind(), it.resource.definition != "")
}

func newStep(it item, t Target) (*Step, error) {
	s := &Step{Ref: it.ref, Wave: it.course.wave, item: it, resource: it.resource, wanted: it.wanted, asks: asks(it.asks), back: t.Back}
	s.stage, s.rank = place(it.ref.GroupKind(), it.resource.definition != "")
	// The digest is of all fields, as giving one up is no change of the release, and of
	// the rules, so that a field is taken back when its rule goes.
	if s.wanted == (digest{}) {
		s.wanted = sha256.Sum256(it.manifest.body(it.ref.Namespace, t.Owner))
	}
	pointers, err := pointersFor(t, it.ref)
	if len(pointers) > 0 {
		s.wanted = sha256.Sum256(fmt.Appendf(s.wanted[:], "%q", pointers))
	}
	return s, err
}

// encode makes the apply request of a step that may need it; most need none.
func (s *Step) encode(t Target) (err error) {
	if s.Action == Unchanged && !isDefinition(s.Ref.GroupKind()) {
		return nil
	}
	m := s.item.manifest
	if len(s.item.given) == 0 {
		s.body = m.body(s.Ref.Namespace, t.Owner)
		return nil
	}
	s.body, err = m.changed(s.Ref.Namespace, t.Owner, func(o *unstructured.Unstructured) { cutAll(o.Object, s.item.given) })
	return err
}

// decide chooses the action for a wanted object.
func (s *Step) decide(t Target, it item, r record, known bool, now time.Time) error {
	if it.course.skipped != "" {
		s.Action, s.Reason = Skip, it.course.skipped
		return nil
	}
	s.asks = s.asks.with(r.asks)
	if s.Reason = s.passes(t, r); s.Reason != "" {
		s.Action = Skip
		return nil
	}
	if err := s.refuseForeign(t, r); err != nil {
		return err
	}
	s.uid, s.rv, s.deleting = r.uid, r.rv, r.deleting
	ours := r.appliedFor(t.Owner)
	drift := r.drift
	if r.lost != nil {
		drift = r.lost
	}
	spent := spentJob(t, it, r)
	switch {
	case !ours && spent:
		s.Action, s.Reason = Unchanged, jobSpent
	case !ours && r.rv == 0:
		s.Action = Create
	case !ours && t.Settled && s.asks.undrifted != "":
		s.Action, s.Reason = Unchanged, s.asks.undrifted
	case !ours:
		s.Action, s.Reason, s.lenient = Update, notConfirmed, t.Settled && !t.Correct
	case r.applied.wanted != s.wanted && r.lost != nil:
		s.Action = Create
	case r.applied.wanted != s.wanted:
		s.Action, s.Reason = Update, "changed"
	case drift == nil && s.asks.undrifted == "" && r.applied.stale(t, now):
		s.Action, s.Reason, s.lenient = Update, "confirmed long ago", !t.Correct
	case drift == nil:
		s.Action = Unchanged
		if r.fight.until.After(now) {
			s.Drift, s.Until = r.fight.over, r.fight.until
		}
	case spent:
		s.Action, s.Reason = Unchanged, jobSpent
	case r.lost == nil && s.asks.undrifted != "":
		s.Action, s.Reason = Unchanged, s.asks.undrifted
	case !t.Correct:
		s.Action, s.Drift, s.Reason = Drifted, drift, drift.String()
	case r.fight.until.After(now):
		s.Action, s.Drift, s.Until, s.Reason = Contested, drift, r.fight.until, drift.String()
	default:
		s.Action, s.Drift, s.Reason = Heal, drift, drift.String()
	}
	return nil
}

// passes says why a wanted object is left alone; empty when it is not.
func (s *Step) passes(t Target, r record) string {
	there := r.rv > 0 && r.owned && r.owner == t.Owner || r.passed != nil && *r.passed == s.wanted
	switch {
	case s.asks.untouched() != "":
		return s.asks.untouched()
	case s.asks.mode == ifNotPresent && there:
		return s.asks.modeBy + ", and it is there"
	case r.passed != nil && *r.passed == s.wanted:
		return "its annotations say so"
	}
	return ""
}

// refuseForeign refuses what another owner has.
func (s *Step) refuseForeign(t Target, r record) error {
	if !r.owned || r.owner == t.Owner {
		return nil
	}
	return fmt.Errorf("%s %w: %s, not %s; hint: remove it from one of the two releases, or, when that Delivery is gone, take its label off: %s",
		s.Ref, ErrOwnedByAnother, r.owner, t.Owner, s.unlabel())
}

// unlabel is the command that ends an owner's claim.
func (s *Step) unlabel() string {
	command := fmt.Sprintf("kubectl label %s %s %s-", s.resource.gvr.GroupResource(), s.Ref.Name, OwnerLabel)
	if s.Ref.Namespace != "" {
		command += " -n " + s.Ref.Namespace
	}
	return command
}
