package engine

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRumoursAreBounded: whatever strangers label as an owner's, it hears of it only so
// often, and at once of what is its own.
func TestRumoursAreBounded(t *testing.T) {
	told := map[Owner]int{}
	tr := newTracker(func(o Owner) { told[o]++ })
	now := time.Unix(1_000_000, 0)
	tr.now = func() time.Time { return now }
	tr.rumours[me] = &rumours{postponed: true} // what is postponed is another test's matter
	forged := func(rv int, name string) *reading {
		m := ours(rv)
		m.Name = name
		return &reading{PartialObjectMetadata: *m}
	}
	for i := range 100 {
		tr.observe(configMaps, forged(i+1, fmt.Sprintf("forged-%d", i%7)))
	}
	if told[me] != paceBurst {
		t.Errorf("told %d times of strangers' objects", told[me])
	}
	tr.claim(me, []ObjectRef{{Kind: "ConfigMap", Namespace: "shop", Name: "forged-1"}})
	tr.observe(configMaps, forged(200, "forged-1"))
	if told[me] != paceBurst+1 {
		t.Error("not told at once of what it wants")
	}
	for i := range 10 {
		now = now.Add(rumourEvery)
		tr.observe(configMaps, forged(300+i, "forged-2"))
	}
	if heard := told[me] - paceBurst - 1; heard != 10 {
		t.Errorf("told %d times of 10 changes that are long enough apart", heard)
	}
	for i := range 3 * maxRumours {
		now = now.Add(rumourEvery)
		m := seen(1000+i, Owner(fmt.Sprintf("nobody-%d", i)), managed(FieldManager, metav1.ManagedFieldsOperationApply, oursV1))
		m.Name = fmt.Sprint(i)
		tr.observe(configMaps, &reading{PartialObjectMetadata: *m})
	}
	if len(tr.rumours) > maxRumours {
		t.Errorf("%d owners are remembered", len(tr.rumours))
	}
}

// TestManyRumoursCostLittle: the labels of very many owners at once do not have all of
// them looked through for each.
func TestManyRumoursCostLittle(t *testing.T) {
	tr := newTracker(func(Owner) {})
	now := time.Unix(1_000_000, 0)
	tr.now = func() time.Time { return now }
	hear := func(owner Owner) { tr.hear(notices{}, &record{}, owner) }
	for i := range maxRumours + 1 {
		hear(Owner(fmt.Sprint(i)))
	}
	tr.rumours["lately"] = &rumours{pace: pace{due: now.Add(-1)}}
	hear("one")
	if tr.rumours["lately"] == nil {
		t.Error("all were looked through twice at once")
	}
	now = now.Add(rumourEvery)
	hear("another")
	if tr.rumours["lately"] != nil {
		t.Error("nothing is forgotten")
	}
}
