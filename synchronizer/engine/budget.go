package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	// freeDeletions is up to how many objects an owner may have for none of their
	// deletions to be surprising, where it sets no budget itself.
	freeDeletions = 10
	// awaitsConfirmation is why an object that is no longer wanted is kept.
	awaitsConfirmation = "its deletion awaits a confirmation"
)

// confirmation is a list of deletions that a person confirmed, as it was then.
type confirmation struct {
	digest  string
	objects map[ObjectRef]types.UID
}

// holds says that everything in the list was in the confirmed one.
func (c confirmation) holds(digest string, list []*Step) bool {
	return c.digest != "" && c.digest == digest && !slices.ContainsFunc(list, func(s *Step) bool { return c.objects[s.Ref] != s.uid })
}

// budget turns deletions that a person has to confirm first into Keep, and names
// them in p.Confirm. A list that was confirmed before may have become shorter since.
func (p *Plan) budget(t Target, records map[ObjectRef]record, before confirmation) confirmation {
	list, of, reason := surprising(t, p.Steps, records)
	if len(list) == 0 || t.Back {
		return before
	}
	now := confirmation{digest: digestOf(t.Owner, list), objects: map[ObjectRef]types.UID{}}
	for _, s := range list {
		now.objects[s.Ref] = s.uid
	}
	switch {
	case t.ConfirmedPrune == now.digest:
		return now
	case before.holds(t.ConfirmedPrune, list):
		return before
	}
	p.Confirm = &Confirm{Digest: now.digest, Of: of, Reason: reason}
	for _, s := range list {
		s.Action, s.Reason = Keep, awaitsConfirmation
		p.Confirm.Objects = append(p.Confirm.Objects, s.Ref)
	}
	return before
}

// surprising are the deletions to confirm: all where they are too many of so many
// objects, or else those whose objects ask for it. What the same release created
// does not count, or a rename of everything would be no surprise any more after it;
// neither does what stays anyway, since anybody can put an owner's label on more of it.
func surprising(t Target, steps []*Step, records map[ObjectRef]record) (list []*Step, of int, reason string) {
	var doomed, marked []*Step
	kept := map[ObjectRef]bool{}
	for _, s := range steps {
		kept[s.Ref] = s.Action == Keep
		hook := s.Hook != "" || records[s.Ref].hook != nil // what ran is over
		if s.Action != Prune || s.deleting || hook {
			continue
		}
		doomed = append(doomed, s)
		if asks(records[s.Ref].asks).confirm != "" {
			marked = append(marked, s)
		}
	}
	owned := 0
	for ref, r := range records {
		if !kept[ref] && r.owned && r.owner == t.Owner && r.rv > 0 {
			owned++
		}
	}
	if t.AwaitedOf > 0 {
		owned = min(owned, t.AwaitedOf)
	}
	if limit, over := overBudget(t.MaxPrune, len(doomed), owned); over {
		return doomed, owned, fmt.Sprintf("%d of %d objects would be deleted, more than %s", len(doomed), owned, limit)
	}
	switch len(marked) {
	case 0:
		return nil, 0, ""
	case 1:
		return marked, 0, "an object asks by annotation for its deletion to be confirmed"
	}
	return marked, 0, fmt.Sprintf("%d objects ask by annotation for their deletion to be confirmed", len(marked))
}

// spareForeign keeps those of surprising deletions that the user may not do: anybody
// can put an owner's label on what is his own, and nobody is to be asked about it.
func (e *Engine) spareForeign(ctx context.Context, p *Plan, list []*Step, records map[ObjectRef]record) {
	client, err := e.writer(p.user)
	if err != nil || p.user == "" {
		return
	}
	unasked := slices.DeleteFunc(slices.Clone(list), func(s *Step) bool { return !p.outside(s.Ref) || records[s.Ref].deletable })
	errs := each(ctx, unasked, func(s *Step) error { return rehearseRemoval(ctx, client, s) })
	for i, s := range unasked {
		switch {
		case apierrors.IsForbidden(errs[i]):
			e.spare(p, s)
		case errs[i] == nil:
			e.tracker.allow(s.Ref, s.uid)
		}
	}
}

// overBudget says in words which limit so many deletions exceed.
func overBudget(limit *intstr.IntOrString, doomed, owned int) (string, bool) {
	if limit == nil {
		return "half of them", owned > freeDeletions && 2*doomed > owned
	}
	most, err := intstr.GetScaledValueFromIntOrPercent(limit, owned, false)
	if err != nil {
		most = 0 // what cannot be read allows nothing
	}
	return "maxPrune: " + limit.String(), doomed > most
}

// digestOf stands for these objects of an owner, and no namesakes of them.
func digestOf(owner Owner, list []*Step) string {
	lines := make([]string, len(list))
	for i, s := range list {
		lines[i] = fmt.Sprintf("%s %s\n", s.Ref, s.uid)
	}
	slices.Sort(lines)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", owner)
	for _, line := range lines {
		fmt.Fprint(sum, line)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// keepLast says why an object outlives its Delivery; empty when it does not.
func keepLast(r record) string {
	asked := asks(r.asks)
	if asked.keepLast != "" {
		return asked.keepLast
	}
	if asked.confirmLast != "" {
		return asked.confirmLast + ", which nobody can do any more"
	}
	return ""
}
