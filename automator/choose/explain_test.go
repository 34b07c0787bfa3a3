package choose

import (
	"slices"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		rule   Rule
		tag    string
		in     bool
		text   string
		reason string
	}{
		{Rule{Semver: "1.x"}, "1.2.3", true, "1.2.3", `in the range "1.x"`},
		{Rule{Semver: "1.x"}, "2.0.0", false, "2.0.0", `not in the range "1.x"`},
		{Rule{Semver: "1.x"}, "1.2.3-rc.1", false, "1.2.3-rc.1", "pre-release"},
		{Rule{Semver: "1.x"}, "2.0.0-rc.1", false, "2.0.0-rc.1", "not in the range"},
		{Rule{Semver: "1.x"}, "1.2", false, "1.2", "three parts"},
		{Rule{Semver: "1.x"}, "a.b.c", false, "a.b.c", "no version"},
		{Rule{Semver: "1.x"}, "sha256-ab.sig", false, "", `ignored by ^.*\.sig$`},
		{Rule{Semver: "1.x"}, "a b", false, "", "no tag"},
		{Rule{Semver: "1.x", Match: `^(.*)-x$`, Extract: "$1"}, "1.2.3-x", true, "1.2.3", "in the range"},
		{Rule{Semver: "1.x", Match: `^(.*)-x$`, Extract: "$1"}, "1.2.3", false, "", `does not match ^(.*)-x$`},
		{Rule{Semver: "1.x", Match: `(.*)`, Extract: strings.Repeat("$1", 200)}, "1.2.3", false, "", "1000 bytes"},
		{Rule{Numerical: "asc"}, "7", true, "7", "every tag"},
		{Rule{Numerical: "asc"}, "x", false, "x", "fails"},
		{Rule{Alphabetical: "desc"}, "x", true, "x", "every tag"},
		{Rule{Newest: true}, "x", true, "x", "every tag"},
		{Rule{Digest: "latest"}, "latest", true, "latest", "follow"},
		{Rule{Digest: "latest"}, "main", false, "main", "not the tag to follow"},
	} {
		p, err := New(test.rule)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Explain(test.tag)
		if got.In != test.in || got.Text != test.text || !strings.Contains(got.Reason, test.reason) || got.Tag != test.tag {
			t.Errorf("%v: %s: got %+v", test.rule, test.tag, got)
		}
	}
}

func TestAdvice(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		tags string
		want []string
	}{
		{Rule{Semver: ">=1.0.0-0"}, "1.0.0-rc9 1.0.0-rc10 1.0.0", []string{"rc9 is above rc10"}},
		{Rule{Semver: ">=1.0.0-0"}, "1.0.0-rc.9 1.0.0-rc.10", nil},
		{Rule{Semver: ">=1.0.0-0 <2.0.0"}, "1.5.0 2.0.0-rc.1", []string{"<2.0.0-0"}},
		{Rule{Semver: ">=1.0.0-0 <2.0.0-0"}, "1.5.0 2.0.0-rc.1", nil},
		{Rule{Semver: ">=1.0.0 <2.0.0"}, "1.5.0 2.0.0-rc.1", nil},
		{Rule{Semver: "1.x"}, "1.2.3-alpine 1.2.4-alpine 1.2.3", []string{"1.2.4-alpine is a pre-release to semver, as 1 more"}},
		{Rule{Semver: "1.x", Match: `^(.*)-alpine$`, Extract: "$1"}, "1.2.3-alpine 1.2.4-alpine 1.2.3", nil},
		{Rule{Semver: "1.x", Match: `^(.*)-alpine$`, Extract: "$1x"}, "1.2.3-alpine", []string{"$1x stands for nothing"}},
		{Rule{Semver: "1.x", Match: `^(?P<v>.*)-alpine$`, Extract: "${v}-$0"}, "1.2.3-alpine", nil},
		{Rule{Semver: "1.x", Match: `^(.*)_(.*)$`, Extract: "$1-$2"}, "1.2.3_alpine 1.2.4_alpine", nil},
		{Rule{Alphabetical: "asc"}, "1.2.3-alpine rc9", nil},
	} {
		p, err := New(test.rule)
		if err != nil {
			t.Fatal(err)
		}
		a := p.Advise()
		for _, tag := range strings.Fields(test.tags) {
			a.Offer(tag)
		}
		got := a.Warnings()
		if len(got) != len(test.want) {
			t.Errorf("%v: got %q", test.rule, got)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%v: got %q, want %q", test.rule, got[i], want)
			}
		}
	}
}

// FuzzExtract holds what New, Offer and Explain say of the same tag against one another.
func FuzzExtract(f *testing.F) {
	f.Add("1.x", `^(.*)-b\d+$`, "$1", "1.2.3-b1", "1.2.3-b2")
	f.Add(">=1.0.0-0", `^(?P<v>v?\d.*)`, "${v}", "v1.0.0-rc.1", "1.0.0-rc.1")
	f.Add(">=0.0.0-0", "", "", "1.2.3--", "1.2.3-.a")
	f.Add("*", `(((a)))*`, "$1$2$$${3}$x", "aaa", "1.0.0")
	f.Fuzz(func(t *testing.T, semver, match, extract, a, b string) {
		p, err := New(Rule{Semver: semver, Match: match, Extract: extract})
		if err != nil {
			return
		}
		c, advice := p.Collect(Options{Keep: 1}), p.Advise()
		for _, tag := range []string{a, b} {
			c.Offer(tag)
			advice.Offer(tag)
		}
		advice.Warnings()
		in := map[string]bool{a: p.Explain(a).In, b: p.Explain(b).In}
		ranked, err := c.Ranked()
		if (err == nil) != (in[a] || in[b]) {
			t.Fatalf("ranked %v, %v; explained %v", ranked, err, in)
		}
		if err != nil {
			return
		}
		for _, current := range []string{"", a, b} {
			if got := ranked[0].Spelling(current); !in[got] {
				t.Fatalf("%q is chosen, which is out", got)
			}
		}
		order, ok := p.Compare(a, b)
		back, _ := p.Compare(b, a)
		if order != -back {
			t.Fatalf("%q and %q: %d one way, %d the other", a, b, order, back)
		}
		if ok && in[a] && in[b] && order > 0 && !slices.Contains(ranked[0].Tags, a) {
			t.Fatalf("%q is preferred to %q, and not chosen: %v", a, b, ranked[0].Tags)
		}
	})
}
