package engine

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// somehow is a record of an object in a state drawn at random, mostly as it was applied.
func somehow(random *rand.Rand, ref ObjectRef, wanted digest, now time.Time) *record {
	rare := func() bool { return random.IntN(12) == 0 }
	r := &record{ref: ref, owner: me, owned: true, uid: "u", rv: 5, generation: 1,
		applied: &applied{owner: me, wanted: wanted, rv: 5, at: now}, verdict: verdict{uid: "u", rv: 5, status: "Current"}}
	for _, change := range []func(){
		func() { r.owned = false },
		func() { r.owner = you },
		func() { r.rv, r.lost = 0, &Drift{Reason: Missing} },
		func() { r.deleting = true },
		func() { r.drift = &Drift{Reason: Changed} },
		func() { r.applied = nil },
		func() { r.applied = &applied{owner: you, wanted: wanted, rv: 5, at: now} },
		func() { r.applied = &applied{owner: me, rv: 5, at: now} },
		func() { r.applied = &applied{owner: me, wanted: wanted, rv: 5, at: now.Add(-12 * time.Hour)} },
		func() { r.fight.until, r.fight.over = now.Add(time.Hour), &Drift{Reason: Changed} },
		func() { r.asks = &directives{undrifted: "it says so"} },
		func() { r.asks = &directives{unreconciled: "it says so"} },
		func() { r.verdict.rv = 4 },
		func() { r.verdict.uid = "v" },
		func() { r.verdict.status = "Failed" },
		func() { r.verdict = verdict{} },
	} {
		if rare() {
			change()
		}
	}
	return r
}

// TestCalm: the short way decides as the long one does, whatever is known of an object.
func TestCalm(t *testing.T) {
	random, now := rand.New(rand.NewPCG(1, 2)), time.Now()
	job := packed(parse(t, `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j"},"spec":{"ttlSecondsAfterFinished":1}}`))
	short, current := 0, 0
	for i := range 5000 {
		it := thing([]string{"ConfigMap", "Deployment"}[i%2], fmt.Sprint("a", i))
		switch random.IntN(8) {
		case 0:
			it.asks = &directives{undrifted: "it says so"}
		case 1:
			it.manifest = job
		case 2:
			it.course.skipped = "it says so"
		}
		target := Target{Owner: me, Correct: random.IntN(2) == 0, Settled: random.IntN(2) == 0, Release: "r"}
		it.wanted = wantedOf(t, it)
		tr := newTracker(func(Owner) {})
		tr.now = func() time.Time { return now }
		r := somehow(random, it.ref, it.wanted, now)
		if random.IntN(12) > 0 {
			tr.objects[it.ref] = r
			tr.owners[r.owner] = map[ObjectRef]*record{it.ref: r}
		}
		if random.IntN(12) == 0 {
			tr.passed[it.ref] = passing{owner: me, wanted: it.wanted, until: now.Add(time.Hour)}
		}
		items := []item{it}
		calm, records := tr.calm(target, items)
		got, gotErr := draft(target, items, calm, records, now)
		full := tr.records(me, []ObjectRef{it.ref})
		want, wantErr := drafted(target, items, full, now)
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%v, want %v", gotErr, wantErr)
		}
		if calm[0] {
			short++
		}
		if wantErr == nil && !reflect.DeepEqual(decisions(got), decisions(want)) {
			t.Fatalf("%+v: %v, want %v", *r, decisions(got), decisions(want))
		}
		e := &Engine{tracker: tr}
		verdict, known := e.known(target, it, full[it.ref])
		if places, _ := tr.unwell(target, items); len(places) == 0 {
			if current++; !known || !verdict.current() || absent(it, full[it.ref]) {
				t.Fatalf("%+v is %v", *r, verdict)
			}
		}
	}
	if short < 500 || current < 500 {
		t.Errorf("of 5,000 objects, the short way was taken for %d, and for the health of %d", short, current)
	}
}

func decisions(p *Plan) []string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, fmt.Sprint(s.Ref, s.Action, s.Reason, s.Hook, s.Wave, s.Drift, s.Until, s.wanted, s.stage, s.rank, s.lenient))
	}
	return append(all, fmt.Sprint(p.NextCheck))
}

// TestConfirmation stands for what there is, and for nothing else; the order in which a
// plan has it does not count.
func TestConfirmation(t *testing.T) {
	now := time.Unix(1000, 0)
	made := func(change func(a, b *record)) string {
		tr := newTracker(func(Owner) {})
		p := &Plan{Owner: me}
		var records []*record
		for i, name := range []string{"a", "b"} {
			it := thing("ConfigMap", name)
			it.wanted = digest{1}
			s := &Step{}
			s.rest(it)
			p.Steps = append(p.Steps, s)
			r := &record{ref: it.ref, owner: me, owned: true, uid: types.UID(name), rv: 5, stamp: now, fields: textOf([]byte("{}")),
				applied: &applied{owner: me, wanted: it.wanted, rv: uint64(i)}}
			tr.objects[it.ref] = r
			records = append(records, r)
		}
		change(records[0], records[1])
		one, other := tr.confirmation(p, true), tr.confirmation(&Plan{Owner: me, Steps: []*Step{p.Steps[1], p.Steps[0]}}, true)
		if !slices.Equal(one, other) {
			t.Error("the order counts")
		}
		return joinParts(one)
	}
	plain := made(func(_, _ *record) {})
	if plain == "" || plain != made(func(_, _ *record) {}) {
		t.Errorf("%q stands for the objects", plain)
	}
	for name, change := range map[string]func(a, b *record){
		"another object": func(a, _ *record) { a.uid = "c" },
		"another time":   func(a, _ *record) { a.stamp = now.Add(1) },
		"other fields":   func(_, b *record) { b.fields = textOf([]byte(`{"f:spec":{}}`)) },
		"gone":           func(a, _ *record) { a.rv = 0 },
		"of nobody":      func(a, _ *record) { a.owned = false },
	} {
		if got := made(change); got == plain || got == "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, change := range map[string]func(a, b *record){
		"drifted":     func(a, _ *record) { a.drift = &Drift{} },
		"in flight":   func(a, _ *record) { a.inflight = 1 },
		"not applied": func(a, _ *record) { a.applied = nil },
		"changed":     func(_, b *record) { b.applied.wanted = digest{2} },
	} {
		if got := made(change); got != "" {
			t.Errorf("%s: %q is confirmed", name, got)
		}
	}
}
