package engine

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Most objects of a set are as they were applied, in most passes. What decides so looks
// at the tracker's records where they are, and copies the others only: a pass over a
// large release costs little more than what changed.

// calm says of each item that it is applied as it is wanted, and there is nothing to
// decide. The records are those of the others, and of what the owner has besides.
func (t *tracker) calm(target Target, items []item) ([]bool, map[ObjectRef]record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calm, others := make([]bool, len(items)), map[ObjectRef]record{}
	since, mine := t.now().Add(-target.rest()), 0
	var refs []ObjectRef
	for i := range items {
		it := &items[i]
		r := t.objects[it.ref]
		if r != nil && r.owner == target.Owner {
			mine++
		}
		if r != nil && len(target.Ignore) == 0 && !t.isPassed(it.ref) && r.calm(target.Owner, it, since) {
			calm[i] = true
			continue
		}
		if refs = append(refs, it.ref); r != nil {
			others[it.ref] = *r
		}
	}
	if mine < len(t.owners[target.Owner]) {
		t.addStrays(target.Owner, items, others)
	}
	t.addPassed(target.Owner, refs, others)
	return calm, others
}

// restless are the items that are not calm; the others were applied, and are claimed so.
func restless(items []item, calm []bool) []ObjectRef {
	var refs []ObjectRef
	for i := range items {
		if !calm[i] {
			refs = append(refs, items[i].ref)
		}
	}
	return refs
}

func (t *tracker) isPassed(ref ObjectRef) bool {
	if len(t.passed) == 0 {
		return false
	}
	_, passed := t.passed[ref]
	return passed
}

// calm is the short way to Unchanged: every other case is decided in full.
func (r *record) calm(owner Owner, it *item, since time.Time) bool {
	return r.applied != nil && r.applied.owner == owner && r.applied.wanted == it.wanted && it.wanted != (digest{}) &&
		(r.applied.at.IsZero() || r.applied.at.After(since)) &&
		r.drift == nil && r.lost == nil && r.fight.until.IsZero() && r.asks == nil && r.passed == nil &&
		r.owned && r.owner == owner && r.rv > 0 && !r.deleting &&
		it.asks == nil && it.course.skipped == "" && !it.course.hook()
}

// addStrays adds what an owner has besides items.
func (t *tracker) addStrays(owner Owner, items []item, records map[ObjectRef]record) {
	wanted := make(map[ObjectRef]struct{}, len(items))
	for i := range items {
		wanted[items[i].ref] = struct{}{}
	}
	for ref, r := range t.owners[owner] {
		if _, is := wanted[ref]; !is {
			records[ref] = *r
		}
	}
}

// unwell are the places of items whose health is not known to be current, and their
// records.
func (t *tracker) unwell(target Target, items []item) ([]int, map[ObjectRef]record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var places []int
	var refs []ObjectRef
	others := map[ObjectRef]record{}
	for i := range items {
		it := &items[i]
		r := t.objects[it.ref]
		if r != nil && !t.isPassed(it.ref) && target.judgeOf(it.ref.GroupKind()) == nil && r.well(it) {
			continue
		}
		places, refs = append(places, i), append(refs, it.ref)
		if r != nil {
			others[it.ref] = *r
		}
	}
	t.addPassed(target.Owner, refs, others)
	return places, others
}

// well is the short way to a current verdict.
func (r *record) well(it *item) bool {
	return r.rv > 0 && !r.deleting && it.asks == nil && r.asks == nil && r.passed == nil && !it.manifest.passes &&
		(!it.manifest.speaks || r.verdict.by == nil && r.verdict.uid == r.uid && r.verdict.rv >= r.rv && r.verdict.current())
}

// kindsOf are the kinds of what an owner has.
func (t *tracker) kindsOf(owner Owner) map[schema.GroupKind]struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	kinds := map[schema.GroupKind]struct{}{}
	for ref, r := range t.owners[owner] {
		if r.owned && r.rv > 0 {
			kinds[ref.GroupKind()] = struct{}{}
		}
	}
	return kinds
}
