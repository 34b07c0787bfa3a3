package engine

import (
	"testing"
	"time"
)

// What was applied half a day ago is applied again; not all owners do it at once.
func TestStale(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	a := &applied{at: at}
	var due []time.Duration
	for _, owner := range []Owner{"a.b", "c.d", "e.f"} {
		target := Target{Owner: owner}
		if a.stale(target, at.Add(9*time.Hour)) || !a.stale(target, at.Add(11*time.Hour+time.Second)) {
			t.Errorf("%s is due too early or too late", owner)
		}
		first := 9 * time.Hour
		for !a.stale(target, at.Add(first)) {
			first += time.Second
		}
		due = append(due, first)
	}
	if due[0] == due[1] && due[1] == due[2] {
		t.Errorf("all are due after %s", due[0])
	}
	if (&applied{}).stale(Target{Owner: "a.b"}, at) {
		t.Error("what has no time is stale")
	}
}
