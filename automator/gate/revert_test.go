package gate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sealift.dev/automator/choose"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
)

const shop = "shop:shop"

// ban is what a person took back in one file: versions above low, up to high.
type ban struct{ low, high int }

// deployment is a repository with an automator and people at work.
type deployment struct {
	t       *testing.T
	rand    *rand.Rand
	policy  *choose.Policy
	freeze  bool
	files   map[string]int // minor version of 1.N.0; -1: a branch's tag
	wrote   map[string]int // by the automator, to each file
	bans    map[string]ban
	newest  int
	history []hold.Commit // newest first
	state   []byte        // the ledger; nil: lost
	log     []string
}

func tagOf(minor int) string {
	if minor < 0 {
		return "main"
	}
	return fmt.Sprintf("1.%d.0", minor)
}

func (d *deployment) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf(format, args...))
}

// pass is what the automator does.
func (d *deployment) pass() {
	l := &ledger.Ledger{}
	if d.state != nil {
		l = must(ledger.Parse(d.state))
	}
	i := l.Image(shop, "r")
	names := slices.Sorted(maps.Keys(d.files))
	hq := hold.Question{Image: shop, Written: i.Written, Stored: i.Holds, Freeze: d.freeze, Compare: d.policy.Compare, Now: now}
	if d.state == nil {
		hq.Past = hold.ReadHistory(d.history)
	}
	for _, name := range names {
		hq.Values = append(hq.Values, hold.Value{Path: name, Tag: tagOf(d.files[name])})
	}
	outcome := hold.Judge(hq)
	i.Holds, i.Written = outcome.Store, outcome.Written
	q := Question{Compare: d.policy.Compare, Now: now, Holds: outcome.Holds}
	c := d.policy.Collect(choose.Options{})
	for n := range d.newest + 1 {
		c.Offer(tagOf(n))
	}
	q.Candidates = must(c.Ranked())
	for n, name := range names {
		if outcome.Frozen[n] == "" {
			q.Current = append(q.Current, Value{Tag: tagOf(d.files[name])})
		}
	}
	decision := must(Decide(d.t.Context(), q, &world{}))
	w := hold.Written{Commit: fmt.Sprintf("%07x", len(d.history)), At: now}
	for n, name := range names {
		if outcome.Frozen[n] != "" || len(q.Current) == 0 {
			continue
		}
		if choice, reason := decision.For(tagOf(d.files[name])); reason == "" && choice.Tag != tagOf(d.files[name]) {
			w.Tag = choice.Tag
			w.Paths = append(w.Paths, name)
			d.write(name, choice.Tag)
		}
	}
	if len(w.Paths) > 0 {
		d.note("automator: %s to %v", w.Tag, w.Paths)
		d.history = slices.Insert(d.history, 0, hold.Commit{ID: w.Commit, Message: "Update\n\nSealift-Image: " + shop + " " + w.Tag})
		i.Wrote(w)
	}
	d.state = must(l.Encode())
}

// write checks what the automator does to one file.
func (d *deployment) write(name, tag string) {
	var minor int
	if _, err := fmt.Sscanf(tag, "1.%d.0", &minor); err != nil {
		d.t.Fatal(err)
	}
	if b, ok := d.bans[name]; ok && (d.freeze || minor > b.low && minor <= b.high) {
		d.t.Fatalf("%s was reverted in %s (%+v), and is written again:\n%s", tag, name, b, strings.Join(d.log, "\n"))
	}
	if minor < d.files[name] {
		d.t.Fatalf("%s is lowered to %s:\n%s", name, tag, strings.Join(d.log, "\n"))
	}
	delete(d.bans, name)
	d.files[name], d.wrote[name] = minor, minor
}

// person is what somebody does in between.
func (d *deployment) person() {
	names := slices.Sorted(maps.Keys(d.files))
	name := names[d.rand.IntN(len(names))]
	switch d.rand.IntN(9) {
	case 0, 1:
		d.newest += 1 + d.rand.IntN(2)
		d.note("published %s", tagOf(d.newest))
	case 2, 3, 4:
		d.set(name, d.rand.IntN(d.newest+1))
	case 5:
		d.set(name, -1)
	case 6:
		to := fmt.Sprintf("%s.%d", strings.Split(name, ".")[0], len(d.log))
		d.note("renamed %s to %s", name, to)
		d.files[to] = d.files[name]
		if w, ok := d.wrote[name]; ok {
			d.wrote[to] = w
		}
		if b, ok := d.bans[name]; ok {
			d.bans[to] = b
		}
		delete(d.files, name)
		delete(d.wrote, name)
		delete(d.bans, name)
	case 7:
		d.state = nil
		d.note("the ledger is lost")
	case 8:
		to := fmt.Sprintf("copy%d", len(d.log))
		d.files[to] = d.rand.IntN(d.newest + 1)
		d.note("new: %s %s", to, tagOf(d.files[to]))
	}
}

// set is a person's edit: a revert, if it goes below what the automator wrote.
func (d *deployment) set(name string, minor int) {
	d.note("person: %s from %s to %s", name, tagOf(d.files[name]), tagOf(minor))
	d.files[name] = minor
	w, ok := d.wrote[name]
	switch {
	case !ok || minor < 0:
	case minor < w:
		d.bans[name] = ban{minor, w}
	default:
		delete(d.bans, name)
	}
}

// TestRevertsStick: whatever people do, and whenever the ledger is lost, the automator writes
// no version to a file that a person took back there, before a newer one has passed; and a new
// version goes to every file that is not frozen.
func TestRevertsStick(t *testing.T) {
	policy := must(choose.New(choose.Rule{Semver: "*"}))
	for seed := range uint64(100) {
		d := &deployment{t: t, rand: rand.New(rand.NewPCG(seed, 7)), policy: policy, freeze: seed%3 == 0, newest: 2,
			files: map[string]int{"a": 1, "b": 1, "c": 0}, wrote: map[string]int{}, bans: map[string]ban{}}
		for range 25 {
			for range d.rand.IntN(3) {
				d.person()
			}
			d.pass()
		}
		if d.freeze {
			continue
		}
		d.newest += 5
		d.pass()
		for name, minor := range d.files {
			if minor >= 0 && minor != d.newest {
				t.Fatalf("%s has %s, and not the newest %s:\n%s", name, tagOf(minor), tagOf(d.newest), strings.Join(d.log, "\n"))
			}
		}
	}
}
