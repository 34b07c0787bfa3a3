package controller

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/api/v1alpha1"
)

// counting counts Events.
type counting int

func (c *counting) Eventf(_, _ runtime.Object, _, _, _, _ string, _ ...any) { *c++ }

// TestEventsAreBounded: one Delivery that has news all the time is told of within bounds, and
// takes nothing from others.
func TestEventsAreBounded(t *testing.T) {
	var written counting
	now := time.Unix(1_000_000, 0)
	f := newFrugal(&written)
	f.now = func() time.Time { return now }
	tell := func(name string, times int) int {
		before := written
		for i := range times {
			f.Eventf(&v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{UID: types.UID(name)}}, nil, "Warning", "Degraded", "Deliver", "%d", i)
		}
		return int(written - before)
	}
	if got := tell("flaps", 1000); got != eventBurst {
		t.Errorf("%d Events were written at once, want %d", got, eventBurst)
	}
	if got := tell("quiet", 1); got != 1 {
		t.Error("another object's Event was left out")
	}
	now = now.Add(10 * eventEvery)
	if got := tell("flaps", 1000); got != 10 {
		t.Errorf("%d Events were written later, want 10", got)
	}
	now = now.Add(24 * time.Hour)
	for i := range 2 * manyObjects {
		tell(fmt.Sprint(i), 1)
		now = now.Add(eventEvery)
	}
	if len(f.limits) > manyObjects {
		t.Errorf("%d objects are remembered", len(f.limits))
	}
}
