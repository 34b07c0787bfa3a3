package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/hold"
)

func TestMerge(t *testing.T) {
	a, b := full(), full()
	x, y := a.Images[policy], b.Images[policy]
	x.Tags["early"], y.Tags["early"] = Sighting{First: at(1), Digest: "sha256:e"}, Sighting{First: at(2), Digest: "sha256:e"}
	x.Tags["moved"], y.Tags["moved"] = Sighting{First: at(1), Digest: "sha256:old"}, Sighting{First: at(2), Digest: "sha256:new"}
	x.Tags["asked"], y.Tags["asked"] = Sighting{First: at(3)}, Sighting{First: at(2), Digest: "sha256:q"}
	y.Tags["other"] = Sighting{First: at(9)}
	x.Wrote(hold.Written{Tag: "1.3.0", At: at(5), Paths: []string{"a.yaml"}})
	y.Wrote(hold.Written{Tag: "1.4.0", At: at(6), Paths: []string{"a.yaml", "c.yaml"}})
	x.Holds = append(x.Holds, hold.Hold{Kind: hold.Closed, Version: "9.0.0", Since: at(9)})
	y.Holds = append(y.Holds, hold.Hold{Kind: hold.Closed, Version: "9.0.0", Since: at(8)}, hold.Hold{Kind: hold.Closed, Version: "8.0.0"})
	b.Images["other:other"] = &Image{Repo: "r"}

	merged := Merge(a, b)
	m := merged.Images[policy]
	for tag, want := range map[string]Sighting{
		"early": {First: at(1), Digest: "sha256:e"}, "moved": {First: at(2), Digest: "sha256:new"},
		"asked": {First: at(2), Digest: "sha256:q"}, "other": {First: at(9)},
	} {
		if m.Tags[tag] != want {
			t.Errorf("%s: %+v", tag, m.Tags[tag])
		}
	}
	if len(m.Holds) != 3 || merged.Images["other:other"] == nil {
		t.Errorf("holds %+v", m.Holds)
	}
	if got, _ := json.Marshal(m.Written); strings.Count(string(got), "a.yaml") != 1 || !strings.Contains(string(got), `"1.4.0","at":"2026-11-01T18:00:00Z","paths":["a.yaml","c.yaml"]`) {
		t.Errorf("written %s", got)
	}
	if other := Merge(b, a); !bytes.Equal(encode(t, merged), encode(t, other)) {
		t.Errorf("merged\n%s\nand the other way round\n%s", encode(t, merged), encode(t, other))
	}
	if got := Merge(nil, full()); !bytes.Equal(encode(t, got), encode(t, full())) {
		t.Errorf("with none: %s", encode(t, got))
	}
}

// TestMergeNeverShortensACoolDown: a tag with a digest is never older than in the ledger that
// saw this digest first.
func TestMergeNeverShortensACoolDown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var of [2]*Ledger
		for n := range of {
			of[n] = &Ledger{}
			of[n].Image(policy, "r").Learn(map[string]Sighting{"t": {
				First: at(r.IntN(9)), Digest: fmt.Sprint("sha256:", r.IntN(2))}})
		}
		got := Merge(of[0], of[1]).Images[policy].Tags["t"]
		var best time.Time
		for _, l := range of {
			if s := l.Images[policy].Tags["t"]; s.Digest == got.Digest && (best.IsZero() || s.First.Before(best)) {
				best = s.First
			}
		}
		if best.IsZero() || got.First.Before(best) {
			t.Fatalf("%+v of %+v and %+v", got, of[0].Images[policy].Tags, of[1].Images[policy].Tags)
		}
	}
}
