package hostile

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// vector is a hostile release, and its benign twin, which differs in the hostile
// bit only.
type vector struct {
	name string
	// make publishes a release in w: the hostile one, or its twin.
	make func(w *world, hostile bool)
	// step, reason and text say how it is refused; no step: it is delivered, too.
	step, reason, text string
	tls                bool   // the registry of make is behind TLS
	listed             string // the name in the list, where that is another
}

// idle is the memory of a reader that reads nothing.
var idle struct {
	sync.Once
	kib int
}

// runAll runs the vectors of a section, which are, with others, those that the list
// names.
func runAll(t *testing.T, section string, vectors []vector, others ...string) {
	idle.Do(func() { idle.kib = run(t, job{}).Peak })
	names := others
	for _, v := range vectors {
		if name := cmp.Or(v.listed, v.name); !slices.Contains(names, name) || v.listed == "" {
			names = append(names, name)
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			v.test(t)
		})
	}
	checkNames(t, section, names)
}

func (v vector) test(t *testing.T) {
	if v.step != "decode" { // to unpack is all that a pull does
		v.keeps(t)
	}
	for _, hostile := range []bool{false, true} {
		w := newWorld(t)
		if v.tls {
			w.useTLS()
		}
		v.make(w, hostile)
		o := run(t, w.job())
		t.Logf("hostile %v: %d KiB over idle, %v of CPU", hostile, o.Peak-idle.kib, o.CPU)
		if over := o.Peak - idle.kib; over > overIdle {
			t.Errorf("it took %d KiB more than an idle process, and %d are allowed", over, overIdle)
		}
		if strings.ContainsFunc(o.Message, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 }) {
			t.Errorf("the message holds what cannot be printed: %q", o.Message)
		}
		if len(o.Message) > 4096 {
			t.Errorf("the message has %d bytes: %.300q", len(o.Message), o.Message)
		}
		if !hostile || v.step == "" {
			if o.Step != "" || len(o.Objects) == 0 {
				t.Errorf("hostile %v: refused at %s (%s): %s", hostile, o.Step, o.Reason, o.Message)
			}
			continue
		}
		if o.Step != v.step || o.Reason != v.reason || !strings.Contains(o.Message+"\n"+o.Details, v.text) {
			t.Errorf("got %q %q %q %q, want %q %q %q", o.Step, o.Reason, o.Message, o.Details, v.step, v.reason, v.text)
		}
	}
}

// job is how a reader gets at the release.
func (w *world) job() job {
	return job{Host: w.s.Host, CA: w.s.CA, Repository: repository, Tag: "main", Policies: w.policies, Environment: "prod", Password: w.password}
}

func pick[T any](hostile bool, bad, benign T) T {
	if hostile {
		return bad
	}
	return benign
}
