package controller

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer"
)

func mark(repository string, sequence int64) record {
	return record{marks: watermarks{repository: {Repository: repository, Sequence: sequence, Revision: "main@sha1:" + strings.Repeat("0", 40)}}}
}

// kept plays the API server's part: what is to be written is stored.
func kept(stored map[string]*corev1.ConfigMap, batch ...*saving) {
	changed, migrated := place("sealift-system", stored, batch)
	for _, c := range changed {
		stored[c.Name] = c
	}
	for _, c := range migrated {
		delete(stored, c.Name)
	}
}

func read(t *testing.T, stored map[string]*corev1.ConfigMap, d types.NamespacedName) watermarks {
	t.Helper()
	a := acceptance{stored: stored}
	found, err := a.merged(d)
	if err != nil {
		t.Fatal(err)
	}
	return found.marks
}

// TestPlace fills, grows and reads back acceptance records.
func TestPlace(t *testing.T) {
	stored := map[string]*corev1.ConfigMap{}
	name := func(i int) types.NamespacedName {
		return types.NamespacedName{Namespace: "shop", Name: fmt.Sprintf("d-%d", i)}
	}
	const many = 1000
	var batch []*saving
	for i := range many {
		batch = append(batch, &saving{key: recordKey(name(i)), value: mark("r.example.com/shop", int64(i))})
		if len(batch) == 10 {
			kept(stored, batch...)
			batch = nil
		}
	}
	if len(stored) < 2 || len(stored) > 5 {
		t.Errorf("%d records are in %d config maps", many, len(stored))
	}
	for i := range many {
		if got := read(t, stored, name(i)); got["r.example.com/shop"].Sequence != int64(i) {
			t.Fatalf("%s: %v", name(i), got)
		}
	}
	changed, _ := place("sealift-system", stored, []*saving{{key: recordKey(name(7)), value: mark("r.example.com/shop", 8)}})
	if len(changed) != 1 {
		t.Errorf("one record changes %d config maps", len(changed))
	}
	for i := range 200 { // one tenant's record grows without end
		kept(stored, &saving{key: recordKey(name(7)), value: mark(fmt.Sprintf("r.example.com/%d/%s", i, strings.Repeat("x", 3000)), 1)})
	}
	for n, c := range stored {
		if _, grown := c.Data[recordKey(name(8))]; grown && size(c) > shardMost+4000 {
			t.Errorf("%s grew to %d bytes, and takes others' records along", n, size(c))
		}
	}
	if got := read(t, stored, name(8)); got["r.example.com/shop"].Sequence != 8 {
		t.Errorf("a neighbour's record: %v", got)
	}
}

// TestPlaceTakesOverOlderRecords: one ConfigMap for each Delivery becomes entries.
func TestPlaceTakesOverOlderRecords(t *testing.T) {
	older := func(name, by, value string) *corev1.ConfigMap {
		c := &corev1.ConfigMap{Data: map[string]string{"x": value}}
		c.Name, c.Annotations = name, map[string]string{acceptedBy: by}
		return c
	}
	stored := map[string]*corev1.ConfigMap{
		"accepted-aaa": older("accepted-aaa", "shop/one", `{"Repository":"r.example.com/one","Sequence":3}`),
		"accepted-bbb": older("accepted-bbb", "shop/two", `{"Repository":"r.example.com/two","Sequence":4}`),
		"accepted-ccc": older("accepted-ccc", "shop/bad", `nonsense`),
	}
	one, two := types.NamespacedName{Namespace: "shop", Name: "one"}, types.NamespacedName{Namespace: "shop", Name: "two"}
	if got := read(t, stored, one); got["r.example.com/one"].Sequence != 3 {
		t.Errorf("before: %v", got)
	}
	kept(stored, &saving{key: recordKey(one), value: mark("r.example.com/one", 5)})
	if len(stored) != 2 || stored["accepted-1"] == nil || stored["accepted-ccc"] == nil {
		t.Errorf("there are %v", stored)
	}
	if got := read(t, stored, one); got["r.example.com/one"].Sequence != 5 {
		t.Errorf("one: %v", got)
	}
	if got := read(t, stored, two); got["r.example.com/two"].Sequence != 4 {
		t.Errorf("two: %v", got)
	}
	bad := acceptance{stored: stored}
	if _, err := bad.merged(types.NamespacedName{Namespace: "shop", Name: "bad"}); err == nil || !strings.Contains(err.Error(), "accepted-ccc") {
		t.Errorf("a record that cannot be read: %v", err)
	}
	if lower := encode(`[{"Repository":"r","Sequence":9}]`, record{marks: watermarks{"r": synchronizer.Watermark{Repository: "r", Sequence: 1}}}); !strings.Contains(lower, `"Sequence":9`) {
		t.Errorf("a record was lowered: %s", lower)
	}
}

// TestPlaceOfALargeRecord: a record that is larger than those of which many share a config
// map has one of its own, and stays there.
func TestPlaceOfALargeRecord(t *testing.T) {
	stored := map[string]*corev1.ConfigMap{}
	large, small := types.NamespacedName{Namespace: "shop", Name: "large"}, types.NamespacedName{Namespace: "shop", Name: "small"}
	kept(stored, &saving{key: recordKey(small), value: mark("r.example.com/shop", 1)})
	for i := range 5 {
		value := mark("r.example.com/shop", int64(i))
		value.begun = &beginning{Message: strings.Repeat("x", shardMost)}
		kept(stored, &saving{key: recordKey(large), value: value})
	}
	kept(stored, &saving{key: recordKey(small), value: mark("r.example.com/shop", 2)})
	if len(stored) > 3 {
		t.Errorf("two records are in %d config maps", len(stored))
	}
	if got := read(t, stored, large)["r.example.com/shop"].Sequence; got != 4 {
		t.Errorf("the large one is at %d", got)
	}
}

// TestPlaceLabels: a config map that somebody took the label from, so that no watch shows
// it, has it again.
func TestPlaceLabels(t *testing.T) {
	stored, name := map[string]*corev1.ConfigMap{}, types.NamespacedName{Namespace: "shop", Name: "shop"}
	for i := range 2 {
		kept(stored, &saving{key: recordKey(name), value: mark("r.example.com/shop", int64(i))})
		if c := stored["accepted-1"]; c == nil || c.Labels[managedBy] != "sealift" {
			t.Fatalf("saved for the %d. time: %+v", i+1, stored)
		}
		stored["accepted-1"].Labels = nil
	}
}
