package engine

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRestoredStore: after the cluster's store was brought back from a backup, what is
// shown counts, although its versions are lower than those that were seen before.
func TestRestoredStore(t *testing.T) {
	told := 0
	tr := newTracker(func(Owner) { told++ })
	s := &sink{kind: &kindWatch{gk: configMaps, ready: make(chan struct{}), ended: make(chan struct{})}, tracker: tr}
	list := func(rv string, objects ...any) {
		t.Helper()
		if err := s.Replace(objects, rv); err != nil {
			t.Fatal(err)
		}
	}
	list("10")
	ref := refOf(configMaps, ours(50))
	tr.begin(ref, me)
	tr.settle(ref, me, digest{}, ours(50))
	other := ours(60)
	other.Name = "two"
	if err := s.Update(other); err != nil {
		t.Fatal(err)
	}
	s.UpdateResourceVersion("90")
	told = 0
	list("40", seen(30, me, managed(FieldManager, metav1.ManagedFieldsOperationApply, ours2V1)))
	records := tr.records(me, []ObjectRef{ref})
	if r := records[ref]; len(records) != 1 || r.rv != 30 || r.applied != nil || told == 0 {
		t.Errorf("%d records, at %d, told %d times", len(records), r.rv, told)
	}
	list("45", ours(42))
	if r := tr.records(me, nil)[ref]; r.rv != 42 {
		t.Errorf("the next list leaves it at %d", r.rv)
	}
}

// TestAbsentIsDropped: what the API server has not is pruned once, also where its watch
// does not tell; a namesake that came meanwhile stays known.
func TestAbsentIsDropped(t *testing.T) {
	tr := newTracker(func(Owner) {})
	ref := refOf(configMaps, ours(50))
	tr.observe(configMaps, &reading{PartialObjectMetadata: *ours(50)})
	tr.absent(ref, "another")
	if len(tr.objects) != 1 {
		t.Error("a namesake was dropped")
	}
	tr.absent(ref, "u")
	if len(tr.objects) != 0 {
		t.Error("it is there still")
	}
}
