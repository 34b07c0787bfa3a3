package synchronizer

import (
	"fmt"
	"testing"
)

// TestPassesOfOneNamespace: a namespace makes half of the passes, and another one begins
// at once; who waited has its place once, in turn, and nothing is left in the end.
func TestPassesOfOneNamespace(t *testing.T) {
	var again []string
	p := NewPasses(4, func(_, name string) { again = append(again, name) })
	for i := range 4 {
		if began := p.Begin("hostile", fmt.Sprint(i)); began != (i < 2) {
			t.Errorf("pass %d began: %v", i, began)
		}
	}
	if n := p.Waiting(); n != 2 || !p.Waits("hostile", "3") || p.Waits("honest", "0") {
		t.Errorf("%d wait", n)
	}
	if p.Begin("hostile", "3") {
		t.Error("who waits and is asked for once more begins")
	}
	if !p.Begin("honest", "0") {
		t.Error("the honest one waits")
	}
	p.End("hostile", "0")
	if got := fmt.Sprint(again); got != "[2]" {
		t.Errorf("%s have their place", got)
	}
	if p.Begin("hostile", "3") || !p.Begin("hostile", "2") {
		t.Error("another one has the place")
	}
	p.End("hostile", "1")
	if !p.Begin("hostile", "3") {
		t.Error("the last one waits on")
	}
	p.End("hostile", "2")
	p.End("hostile", "3")
	p.End("honest", "0")
	if got := fmt.Sprint(again); got != "[2 3]" || p.Waiting() != 0 || len(p.begins) != 0 || p.places.taken != 0 || len(p.places.namespaces) != 0 {
		t.Errorf("%s had to be called; left are %v and %+v", got, p.begins, p.places)
	}
}
