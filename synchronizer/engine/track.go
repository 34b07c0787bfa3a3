package engine

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// tracker holds what the watches observed and what the engine applied, per
// object. It keeps metadata only, and of that the little that decisions need.
type tracker struct {
	changed func(Owner)
	now     func() time.Time

	mu      sync.Mutex
	objects map[ObjectRef]*record
	owners  map[Owner]map[ObjectRef]*record
	// passed are objects that were left to somebody else; nothing watches them.
	passed map[ObjectRef]passing
	// yielding are the objects with fields that are given up when others set them.
	yielding map[ObjectRef]*yielding
	rumours  map[Owner]*rumours
	swept    time.Time // when rumours were looked through last
}

func newTracker(changed func(Owner)) *tracker {
	return &tracker{
		changed: changed,
		now:     time.Now,
		objects: map[ObjectRef]*record{},
		owners:  map[Owner]map[ObjectRef]*record{},
		passed:  map[ObjectRef]passing{},

		yielding: map[ObjectRef]*yielding{},
		rumours:  map[Owner]*rumours{},
	}
}

// notices are the owners to tell once the lock is released.
type notices map[Owner]struct{}

func (t *tracker) update(act func(notices)) {
	tell := notices{}
	t.mu.Lock()
	act(tell)
	t.mu.Unlock()
	for owner := range tell {
		t.changed(owner)
	}
}

// observe takes in an object that a watch showed.
func (t *tracker) observe(gk schema.GroupKind, seen *reading) {
	t.update(func(tell notices) { t.take(refOf(gk, &seen.PartialObjectMetadata), seen, tell) })
}

func (t *tracker) take(ref ObjectRef, seen *reading, tell notices) {
	m := &seen.PartialObjectMetadata
	rv, own := version(m), ownEntry(m)
	owned := own != nil && own.ownsLabel
	r := t.objects[ref]
	if r == nil {
		if !owned {
			return // a copy made by someone else
		}
		r = &record{ref: ref}
		t.objects[ref] = r
	}
	if rv == r.rv { // the echo of our own write, also of one that was forgotten since
		if r.learn(seen); r.applied != nil && r.inflight == 0 && r.news && t.healthNews(r) {
			tell[r.applied.owner] = struct{}{}
		}
		return
	}
	if rv <= r.rv || rv <= r.lostRV {
		return // stale
	}
	if r.owner != "" && r.rv > 0 && r.owner != Owner(m.Labels[OwnerLabel]) {
		t.hear(tell, r, r.owner)
	}
	asked := r.asks
	t.describe(r, m, rv, owned)
	r.learn(seen)
	if asks(asked) != asks(r.asks) {
		t.hear(tell, r, r.owner)
	}
	if !owned && r.applied == nil {
		t.hear(tell, r, r.owner)
		t.drop(r)
		return
	}
	t.judge(r, m, tell)
}

// describe copies what decisions need out of m.
func (t *tracker) describe(r *record, m *metav1.PartialObjectMetadata, rv uint64, owned bool) {
	t.setOwner(r, Owner(m.Labels[OwnerLabel]))
	r.uid, r.rv, r.generation, r.owned = m.UID, rv, m.Generation, owned
	r.fields, r.stamp = fieldText{}, time.Time{}
	if own := ownEntry(m); own != nil {
		r.fields, r.stamp = textOf(own.fields), own.stamp
	}
	if y := t.yielding[r.ref]; y != nil {
		y.look(m)
	}
	r.keep, r.deletable, r.asks = "", false, nil
	if asks := liveDirectives(m, ownEntry(m)); asks != (directives{}) {
		r.keep, r.asks = asks.keep, &asks
	}
	r.wave, r.hook = waveOf(m.Annotations), nil
	if own := ownEntry(m); own != nil && bytes.Contains(own.fields, []byte(`"f:`+runAnnotation+`"`)) {
		r.hook = readRun(m.Annotations) // in somebody else's hand it says nothing
	}
	r.deleting = m.DeletionTimestamp != nil
}

// judge decides whether what was observed is drift, and whom it concerns.
func (t *tracker) judge(r *record, m *metav1.PartialObjectMetadata, tell notices) {
	if r.inflight > 0 {
		r.pending = m
		return
	}
	if r.applied == nil {
		t.hear(tell, r, r.owner)
		return
	}
	if r.rv <= r.applied.rv {
		return // what we wrote ourselves
	}
	since := t.now()
	if r.drift != nil {
		since = r.drift.Observed
	}
	r.lost = nil
	r.drift = compare(r.applied, m, t.yielding[r.ref], since)
	if news := t.healthNews(r); news || r.drift != nil {
		tell[r.applied.owner] = struct{}{}
	}
}

// remove takes in that an object was deleted or lost its label at rv.
func (t *tracker) remove(ref ObjectRef, rv uint64) {
	t.update(func(tell notices) { t.lose(ref, rv, tell) })
}

func (t *tracker) lose(ref ObjectRef, rv uint64, tell notices) {
	r := t.objects[ref]
	if r == nil || rv < r.rv {
		return
	}
	t.hear(tell, r, r.owner)
	if y := t.yielding[ref]; y != nil {
		y.known = false
	}
	if r.applied == nil && r.inflight == 0 {
		t.drop(r)
		return
	}
	r.rv, r.lostRV, r.uid, r.deleting, r.pending, r.drift = 0, rv, "", false, nil, nil
	r.owned = false
	if r.lost == nil {
		r.lost = &Drift{Reason: Missing, Observed: t.now()}
	}
	if r.applied != nil {
		tell[r.applied.owner] = struct{}{}
	}
}

// replace takes in a full list of one kind.
func (t *tracker) replace(gk schema.GroupKind, list []*reading, rv uint64) {
	t.update(func(tell notices) {
		present := make(map[ObjectRef]struct{}, len(list))
		for _, seen := range list {
			ref := refOf(gk, &seen.PartialObjectMetadata)
			present[ref] = struct{}{}
			t.take(ref, seen, tell)
		}
		for ref := range t.objects {
			if _, ok := present[ref]; !ok && ref.GroupKind() == gk {
				t.lose(ref, rv, tell)
			}
		}
	})
}

// begin announces a request for ref; settle or abandon ends it.
func (t *tracker) begin(ref ObjectRef, owner Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.objects[ref]
	if r == nil {
		r = &record{ref: ref}
		t.objects[ref] = r
		t.setOwner(r, owner)
	}
	r.inflight++
	r.claimant = owner
}

// settle remembers the answer to an apply; it returns the drift that the apply
// ended, nil when there was none.
func (t *tracker) settle(ref ObjectRef, owner Owner, wanted digest, m *metav1.PartialObjectMetadata) *Drift {
	var ended *Drift
	t.update(func(tell notices) {
		r := t.objects[ref]
		if r == nil { // its watch was stopped meanwhile
			return
		}
		r.inflight = max(0, r.inflight-1)
		ended = r.drift
		if r.lost != nil {
			ended = r.lost
		}
		if r.applied != nil && r.applied.owner != owner {
			tell[r.applied.owner] = struct{}{}
		}
		rv := version(m)
		if observed(ref.GroupKind()) && unseen(r, m) {
			// Its controller cannot have seen what this very answer tells of.
			r.verdict = verdict{uid: m.UID, rv: rv, generation: m.Generation, status: string(status.InProgressStatus), message: "not seen by its controller so far"}
		}
		if r.verdict.uid != m.UID {
			r.verdict.done = false // that was its namesake
		}
		r.applied = &applied{owner: owner, wanted: wanted, rv: rv, at: t.now()}
		if own := ownEntry(m); own != nil {
			r.applied.fields, r.applied.stamp = textOf(own.fields), own.stamp
		}
		r.drift = nil
		if r.lostRV < rv {
			r.lost = nil
		}
		if r.rv <= rv && r.lostRV < rv {
			t.describe(r, m, rv, true)
		}
		t.catchUp(r, tell)
	})
	return ended
}

// unseen says that the controller of m will write its status yet, which brings news.
// What was there before us, and stays as it is, brings none.
func unseen(r *record, m *metav1.PartialObjectMetadata) bool {
	if m.UID == r.uid {
		return m.Generation != r.generation
	}
	return !slices.ContainsFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Subresource == "status" })
}

// abandon ends a request that failed.
func (t *tracker) abandon(ref ObjectRef) {
	t.update(func(tell notices) {
		r := t.objects[ref]
		if r == nil {
			return
		}
		r.inflight = max(0, r.inflight-1)
		t.catchUp(r, tell)
		if r.inflight == 0 && r.rv == 0 && r.applied == nil {
			t.drop(r)
		}
	})
}

// catchUp judges the event that waited for requests in flight.
func (t *tracker) catchUp(r *record, tell notices) {
	if r.inflight > 0 || r.pending == nil {
		return
	}
	m := r.pending
	r.pending = nil
	t.judge(r, m, tell)
}

// forget gives up the claim on an object that is about to be pruned, so that
// its disappearance is no drift.
func (t *tracker) forget(ref ObjectRef) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.objects[ref]; r != nil {
		r.applied, r.drift, r.lost = nil, nil, nil
		r.claimant = r.owner
	}
}

// spare has an object kept, for the reason given, until it changes.
func (t *tracker) spare(ref ObjectRef, uid types.UID, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.objects[ref]; r != nil && r.uid == uid {
		r.keep, r.claimant = reason, ""
	}
}

// allow notes that the owner's user may delete an object, until it changes.
func (t *tracker) allow(ref ObjectRef, uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.objects[ref]; r != nil && r.uid == uid {
		r.deletable = true
	}
}

// dropKind forgets all objects of a kind that is watched no longer.
func (t *tracker) dropKind(gk schema.GroupKind) {
	t.update(func(tell notices) { t.dropAll(gk, tell) })
}

func (t *tracker) dropAll(gk schema.GroupKind, tell notices) {
	for ref, r := range t.objects {
		if ref.GroupKind() == gk {
			t.hear(tell, r, r.owner)
			t.drop(r)
		}
	}
}

// dropOwner forgets what was applied for an owner.
func (t *tracker) dropOwner(owner Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.yielding, func(_ ObjectRef, y *yielding) bool { return y.owner == owner })
	delete(t.rumours, owner)
	maps.DeleteFunc(t.passed, func(_ ObjectRef, p passing) bool { return p.owner == owner })
	for _, r := range maps.Clone(t.owners[owner]) {
		r.applied, r.drift, r.lost = nil, nil, nil
		if r.rv == 0 {
			t.drop(r)
		}
	}
}

func (t *tracker) drop(r *record) {
	t.setOwner(r, "")
	delete(t.objects, r.ref)
}

func (t *tracker) setOwner(r *record, owner Owner) {
	if r.owner == owner {
		return
	}
	if set := t.owners[r.owner]; set != nil {
		delete(set, r.ref)
		if len(set) == 0 {
			delete(t.owners, r.owner)
		}
	}
	r.owner = owner
	if owner == "" {
		return
	}
	if t.owners[owner] == nil {
		t.owners[owner] = map[ObjectRef]*record{}
	}
	t.owners[owner][r.ref] = r
}

// records copies the records of refs, and of all that owner has.
func (t *tracker) records(owner Owner, refs []ObjectRef) map[ObjectRef]record {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[ObjectRef]record, len(refs))
	for _, ref := range refs {
		if r := t.objects[ref]; r != nil {
			out[ref] = *r
		}
	}
	for ref, r := range t.owners[owner] {
		out[ref] = *r
	}
	t.addPassed(owner, refs, out)
	return out
}

func refOf(gk schema.GroupKind, m *metav1.PartialObjectMetadata) ObjectRef {
	return ObjectRef{Group: gk.Group, Kind: gk.Kind, Namespace: m.Namespace, Name: m.Name}
}

// version is the resource version as the number that Kubernetes documents it
// to be; zero when it is not one.
func version(m metav1.Object) uint64 { return parseVersion(m.GetResourceVersion()) }

func parseVersion(s string) uint64 {
	rv, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return rv
}
