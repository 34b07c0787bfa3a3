package engine

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// UpdateResourceVersion takes in how far the reflector has read, also where it was shown
// no object.
func (s *sink) UpdateResourceVersion(rv string) { s.newest = max(s.newest, parseVersion(rv)) }

// restored says that a list is older than what the same watch read before: the API
// server never answers so, unless its store was brought back from a backup.
func (s *sink) restored(rv uint64) bool {
	former := s.newest
	s.newest = rv
	return rv > 0 && rv < former
}

// relearn takes in a full list of one kind of a store that was brought back: nothing
// that was known before is newer or older than what it shows.
func (t *tracker) relearn(gk schema.GroupKind, list []*reading) {
	t.update(func(tell notices) {
		t.dropAll(gk, tell)
		for _, seen := range list {
			t.take(refOf(gk, &seen.PartialObjectMetadata), seen, tell)
		}
	})
}

// absent drops an object that nothing is wanted of and that the API server has not: its
// watch may never tell.
func (t *tracker) absent(ref ObjectRef, uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.objects[ref]; r != nil && r.uid == uid && r.applied == nil && r.inflight == 0 {
		t.drop(r)
	}
}
