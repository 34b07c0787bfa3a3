package choose

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// rank offers tags in a random order, and twice: neither may make a difference.
func rank(t *testing.T, r Rule, o Options, tags ...string) ([]Candidate, error) {
	t.Helper()
	p, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	c := p.Collect(o)
	tags = slices.Concat(tags, tags)
	rand.Shuffle(len(tags), func(i, j int) { tags[i], tags[j] = tags[j], tags[i] })
	for _, tag := range tags {
		c.Offer(tag)
	}
	return c.Ranked()
}

func TestWinner(t *testing.T) {
	for _, test := range []struct {
		name    string
		rule    Rule
		tags    string
		current string
		want    string // empty: nothing
	}{
		{"highest", Rule{Semver: "*"}, "1.2.3 1.10.0 1.9.9", "", "1.10.0"},
		{"leading v", Rule{Semver: "1.x"}, "v1.0.0 v1.0.1 2.0.0", "", "v1.0.1"},
		{"leading zeros", Rule{Semver: "1.x"}, "1.02.3 1.01.9", "", "1.02.3"},
		{"leading zeros of a pre-release", Rule{Semver: ">=1.0.0-0"}, "1.2.3-01 1.2.2", "", "1.2.2"},
		{"only three parts", Rule{Semver: "*"}, "1 1.2 v1.0 1.2.3.4 latest main", "", ""},
		{"two parts and a pre-release", Rule{Semver: ">=0-0"}, "1.2-rc.1", "", ""},
		{"a dot in the pre-release is no part", Rule{Semver: ">=0-0"}, "1-a.b.c 1.2.3-a.b.c", "", "1.2.3-a.b.c"},
		{"loose", Rule{Semver: "*", Loose: true}, "1 1.2 v1.0 1.2.3.4", "", "1.2"},
		{"loose takes three parts, too", Rule{Semver: "*", Loose: true}, "1.2 1.2.1", "", "1.2.1"},

		{"and by comma", Rule{Semver: ">=1.0.0, <2.0.0"}, "0.9.0 1.5.0 2.0.0", "", "1.5.0"},
		{"and by blank", Rule{Semver: ">=1.0.0 <2.0.0"}, "0.9.0 1.5.0 2.0.0", "", "1.5.0"},
		{"or", Rule{Semver: "1.0.x || 3.0.x"}, "1.0.1 2.0.0 3.0.4 4.0.0", "", "3.0.4"},
		{"hyphen", Rule{Semver: "1.2 - 1.4.5"}, "1.1.9 1.2.0 1.4.5 1.4.6", "", "1.4.5"},
		{"wildcard x", Rule{Semver: "1.2.x"}, "1.2.9 1.3.0", "", "1.2.9"},
		{"wildcard X", Rule{Semver: "1.X"}, "1.2.9 2.3.0", "", "1.2.9"},
		{"tilde", Rule{Semver: "~1.2.3"}, "1.2.2 1.2.9 1.3.0", "", "1.2.9"},
		{"caret", Rule{Semver: "^1.2.3"}, "1.2.2 1.9.9 2.0.0", "", "1.9.9"},
		{"caret of zero", Rule{Semver: "^0.2.3"}, "0.2.9 0.3.0", "", "0.2.9"},
		{"equal", Rule{Semver: "=1.2.3"}, "1.2.2 1.2.3 1.2.4", "", "1.2.3"},
		{"not equal", Rule{Semver: "!=1.2.4 >1"}, "2.2.3 1.2.4", "", "2.2.3"},
		{"not equal, partly", Rule{Semver: "!=2.x"}, "1.2.3 2.4.0", "", "1.2.3"},

		{"pre-releases are out", Rule{Semver: ">=1.0.0"}, "1.0.0 2.0.0-rc.1", "", "1.0.0"},
		{"pre-releases by -0", Rule{Semver: ">=1.0.0-0"}, "1.0.0 2.0.0-rc.1", "", "2.0.0-rc.1"},
		{"for the whole group", Rule{Semver: ">=1.0.0-0 <2.0.0"}, "1.9.0 2.0.0-rc.1", "", "2.0.0-rc.1"},
		{"for that group alone", Rule{Semver: "1.0.0-0 || 2.x"}, "1.0.0 2.0.0 2.1.0-rc.1", "", "2.0.0"},
		{"a release is above its pre-releases", Rule{Semver: ">=1.0.0-0"}, "1.0.0-rc.9 1.0.0", "", "1.0.0"},
		{"identifiers that are not digits", Rule{Semver: ">=1.0.0-0"}, "1.0.0-rc9 1.0.0-rc10", "", "1.0.0-rc9"},
		{"identifiers that are digits", Rule{Semver: ">=1.0.0-0"}, "1.0.0-rc.9 1.0.0-rc.10", "", "1.0.0-rc.10"},
		{"numbers before words", Rule{Semver: ">=1.0.0-0"}, "1.0.0-1 1.0.0-a", "", "1.0.0-a"},

		{"a partial version", Rule{Semver: "2.0"}, "2.0.0 2.0.9 2.1.0", "", "2.0.9"},
		{"above a major version", Rule{Semver: ">11"}, "11.9.9 12.0.0", "", "12.0.0"},
		{"above a major version, none", Rule{Semver: ">11"}, "11.0.1 11.9.9", "", ""},
		{"up to a minor version", Rule{Semver: "<=1.1"}, "1.1.9 1.2.0", "", "1.1.9"},

		{"spellings: the greatest", Rule{Semver: "*"}, "1.2.4 v1.2.4 1.2.3", "", "v1.2.4"},
		{"spellings: that of the file", Rule{Semver: "*"}, "1.2.4 v1.2.4", "1.2.4", "1.2.4"},
		{"spellings: the way of the file", Rule{Semver: "*"}, "1.2.4 v1.2.4", "1.2.3", "1.2.4"},
		{"spellings: with v, as in the file", Rule{Semver: "*"}, "1.2.4 v1.2.4", "v1.2.3", "v1.2.4"},
		{"spellings: the only way there is", Rule{Semver: "*"}, "v1.2.4", "1.2.3", "v1.2.4"},
		{"spellings: the file has no version", Rule{Semver: "*"}, "1.2.4 v1.2.4", "latest", "v1.2.4"},
		{"spellings: of zeros", Rule{Semver: "*"}, "1.2.4 1.02.4", "", "1.2.4"},
		{"spellings: of zeros, in the file", Rule{Semver: "*"}, "1.2.4 1.02.4", "1.02.4", "1.02.4"},
		{"spellings: v in what is extracted", Rule{Semver: "*", Match: `^r-(.*)$`, Extract: "$1"}, "r-1.2.4 r-v1.2.4", "r-1.2.3", "r-1.2.4"},
		{"spellings: equal numbers", Rule{Numerical: "asc"}, "1 1.0 01", "", "1.0"},
		{"spellings: equal numbers, the file's", Rule{Numerical: "asc"}, "1 1.0 01", "01", "01"},

		{"alphabetical", Rule{Alphabetical: "asc"}, "a c b", "", "c"},
		{"alphabetical, in any case", Rule{Alphabetical: "AsC"}, "a c b", "", "c"},
		{"alphabetical, descending", Rule{Alphabetical: "Desc"}, "a c b", "", "a"},
		{"alphabetical is bytewise", Rule{Alphabetical: "asc"}, "a Z 9", "", "a"},
		{"alphabetical, digits", Rule{Alphabetical: "asc"}, "10 9", "", "9"},

		{"numerical", Rule{Numerical: "asc"}, "10 9 8.5", "", "10"},
		{"numerical, descending", Rule{Numerical: "DESC"}, "10 9 8.5", "", "8.5"},
		{"numerical, signs", Rule{Numerical: "desc"}, "-3 +2 0", "", "-3"},
		{"numerical, exponents", Rule{Numerical: "asc"}, "1e3 999 2.5E-1", "", "1e3"},
		{"numerical, leading zeros", Rule{Numerical: "asc"}, "007 6", "", "007"},
		{"numerical, ignored tags are no values", Rule{Numerical: "asc"}, "7 6 sha256-ab.sig", "", "7"},
		{"numerical, filtered tags are no values", Rule{Numerical: "asc", Match: `^\d+$`}, "7 6 latest", "", "7"},

		{"digest", Rule{Digest: "latest"}, "1.0.0 latest main", "", "latest"},
		{"digest, not there", Rule{Digest: "latest"}, "1.0.0 main", "", ""},
		{"newest without times", Rule{Newest: true}, "a c b", "", "c"},

		{"match", Rule{Alphabetical: "asc", Match: "^main-"}, "main-1 main-2 pr-3", "", "main-2"},
		{"match is not anchored", Rule{Alphabetical: "asc", Match: "main"}, "a-main-1 z", "", "a-main-1"},
		{"extract", Rule{Numerical: "asc", Match: `^main-[a-f0-9]+-(?P<ts>\d+)$`, Extract: "$ts"}, "main-ff-9 main-aa-10 pr-1-11", "", "main-aa-10"},
		{"extract with braces", Rule{Numerical: "asc", Match: `^main-[a-f0-9]+-(?P<ts>\d+)$`, Extract: "${ts}"}, "main-ff-9 main-aa-10", "", "main-aa-10"},
		{"extract by number", Rule{Semver: "1.x", Match: `^(.*)-alpine$`, Extract: "$1"}, "1.2.3-alpine 1.3.0", "", "1.2.3-alpine"},
		{"extract, first match", Rule{Numerical: "asc", Match: `(\d+)`, Extract: "$1"}, "a1b9 a2b0", "", "a2b0"},
		{"extract, an unknown group is empty", Rule{Semver: "*", Match: `^(.*)$`, Extract: "$1x"}, "1.0.0", "", ""},
		{"extract, nothing else than the whole tag", Rule{Semver: "*", Match: `^v(.*)$`}, "v1.0.0 1.1.0", "", "v1.0.0"},
		{"same text: the smallest", Rule{Semver: "*", Match: `^(.*)-b\d+$`, Extract: "$1"}, "1.0.0-b3 1.0.0-b1 1.0.0-b2", "", "1.0.0-b1"},
		{"same text: that of the file", Rule{Semver: "*", Match: `^(.*)-b\d+$`, Extract: "$1"}, "1.0.0-b3 1.0.0-b1 1.0.0-b2", "1.0.0-b2", "1.0.0-b2"},
		{"same text, alphabetical", Rule{Alphabetical: "asc", Match: `^(..)`, Extract: "$1"}, "bb-3 bb-1 aa-9", "", "bb-1"},
		{"same text, empty", Rule{Alphabetical: "asc", Match: `^(.*)$`, Extract: "$1x"}, "b a c", "", "a"},

		{"signatures are ignored", Rule{Alphabetical: "asc"}, "a b.sig", "", "a"},
		{"one's own list replaces", Rule{Alphabetical: "asc", Ignore: []string{"^c"}}, "a b.sig c", "", "b.sig"},
		{"an empty list, too", Rule{Alphabetical: "asc", Ignore: []string{}}, "a b.sig", "", "b.sig"},

		{"what is no tag", Rule{Alphabetical: "asc"}, "a z/z z@z z:z " + strings.Repeat("z", 129), "", "a"},
		{"no tags", Rule{Semver: "*"}, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ranked, err := rank(t, test.rule, Options{}, strings.Fields(test.tags)...)
			if test.want == "" {
				if !errors.Is(err, ErrNothing) {
					t.Fatalf("got %v, %v, want ErrNothing", ranked, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := ranked[0].Spelling(test.current); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOneBadNumberFailsThePolicy(t *testing.T) {
	for _, bad := range []string{"1a", "latest", "1e999", "NaN", "Inf", "infinity", "1__0", "1.2.3", "0x10"} {
		if ranked, err := rank(t, Rule{Numerical: "asc"}, Options{}, "1", "2", bad); err == nil || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("%s: got %v, %v, want an error that names it", bad, ranked, err)
		}
	}
}

func TestInvalidPolicies(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{Rule{}, "no policy"},
		{Rule{Semver: " "}, "empty"},
		{Rule{Semver: "1.0.0p"}, "semver range"},
		{Rule{Semver: "1x"}, "semver range"},
		{Rule{Semver: "x1"}, "semver range"},
		{Rule{Semver: "-1"}, "semver range"},
		{Rule{Semver: "a"}, "semver range"},
		{Rule{Semver: "*-*"}, "semver range"},
		{Rule{Semver: "x.1x"}, "semver range"},
		{Rule{Semver: "1.x.2x"}, "semver range"},
		{Rule{Semver: "*.|"}, "semver range"},
		{Rule{Semver: "xx"}, "semver range"},
		{Rule{Semver: "1.0.0 ||"}, "semver range"},
		{Rule{Semver: ">=1.0.0<2.0.0"}, "semver range"},
		{Rule{Semver: ">=1.0.0 <"}, "semver range"},
		{Rule{Semver: strings.Repeat(">1 ", 10_000)}, "too long"},
		{Rule{Semver: "*", Newest: true}, "newest and semver"},
		{Rule{Loose: true, Newest: true}, "loose"},
		{Rule{Alphabetical: "up"}, "asc or desc"},
		{Rule{Numerical: "up"}, "asc or desc"},
		{Rule{Digest: "a b"}, "no tag"},
		{Rule{Newest: true, Match: "("}, "match"},
		{Rule{Newest: true, Match: `(?=a)`}, "match"},
		{Rule{Newest: true, Match: strings.Repeat("a{1000}", 20)}, "instructions"},
		{Rule{Newest: true, Match: "a{900}", Ignore: []string{"b{900}", "c{900}"}}, "together"},
		{Rule{Newest: true, Match: strings.Repeat("a", 2000)}, "2000 bytes"},
		{Rule{Newest: true, Extract: "$1"}, "goes with match"},
		{Rule{Newest: true, Match: "a", Extract: strings.Repeat("$1", 1000)}, "2000 bytes"},
		{Rule{Newest: true, Ignore: []string{"("}}, "ignore"},
		{Rule{Newest: true, Ignore: make([]string, 65)}, "65 expressions"},
	} {
		if _, err := New(test.rule); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80v: got %v, want an error about %q", test.rule, err, test.want)
		}
	}
}

func TestNewestGoesByTheTimeSeen(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	times := map[string]time.Time{"old": day(1), "new": day(3), "also-new": day(3), "between": day(2)}
	options := Options{Seen: func(tag string) time.Time { return times[tag] }}
	ranked, err := rank(t, Rule{Newest: true}, options, "old", "new", "also-new", "between", "unseen")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range ranked {
		order = append(order, c.Tag())
	}
	if want := []string{"new", "also-new", "between", "old", "unseen"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	p, err := New(Rule{Newest: true})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Collect(options)
	if order, ok := c.Compare("between", "old"); !ok || order <= 0 {
		t.Errorf("between, old: %d, %v", order, ok)
	}
	if _, ok := c.Compare("unseen", "old"); ok {
		t.Error("a tag without a time is compared")
	}
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		rule       Rule
		a, b       string
		order      int
		comparable bool
	}{
		{Rule{Semver: "1.x"}, "1.2.0", "1.1.0", 1, true},
		{Rule{Semver: "1.x"}, "1.2.0", "v1.2.0", 0, true},
		{Rule{Semver: "1.x"}, "3.0.0", "2.0.0-rc.1", 1, true}, // outside the range
		{Rule{Semver: "1.x"}, "latest", "1.1.0", 0, false},
		{Rule{Semver: "1.x"}, "1.2", "1.1.0", 0, false},
		{Rule{Semver: "1.x", Loose: true}, "1.2", "1.1.0", 1, true},
		{Rule{Semver: "1.x", Ignore: []string{"^1.5.0$"}}, "1.5.0", "1.4.0", 1, true}, // no candidate any more
		{Rule{Semver: "1.x", Match: "-alpine$"}, "1.5.0", "1.4.0-alpine", 0, false},
		{Rule{Alphabetical: "asc"}, "b", "a", 1, true},
		{Rule{Alphabetical: "desc"}, "b", "a", -1, true},
		{Rule{Alphabetical: "asc", Match: "^main-"}, "feature", "main-1", 0, false},
		{Rule{Numerical: "asc"}, "10", "9", 1, true},
		{Rule{Numerical: "asc"}, "latest", "9", 0, false},
		{Rule{Newest: true}, "b", "a", 0, false},
		{Rule{Newest: true}, "a", "a", 0, true},
		{Rule{Digest: "latest"}, "latest", "main", 0, false},
		{Rule{Digest: "latest"}, "latest", "latest", 0, true},
		{Rule{Semver: "*"}, "", "1.0.0", 0, false},
	} {
		p, err := New(test.rule)
		if err != nil {
			t.Fatal(err)
		}
		if order, ok := p.Compare(test.a, test.b); order != test.order || ok != test.comparable {
			t.Errorf("%v: %s, %s: got %d, %v, want %d, %v", test.rule, test.a, test.b, order, ok, test.order, test.comparable)
		}
	}
}

func TestManyTagsKeepFewCandidates(t *testing.T) {
	p, err := New(Rule{Semver: "*"})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Collect(Options{Keep: 3})
	for _, i := range rand.Perm(20_000) {
		c.Offer(fmt.Sprintf("1.%d.3", i))
	}
	ranked, err := c.Ranked()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range ranked {
		got = append(got, k.Tag())
	}
	if want := []string{"1.19999.3", "1.19998.3", "1.19997.3"}; !slices.Equal(got, want) || c.Count() != 20_000 {
		t.Errorf("got %v of %d, want %v", got, c.Count(), want)
	}
}

// One text for all tags, and many spellings of one version, are bounded as well.
func TestManySpellingsAreBounded(t *testing.T) {
	for _, rule := range []Rule{{Alphabetical: "asc", Match: "^(a?)", Extract: "$1x"}, {Semver: "*"}} {
		p, err := New(rule)
		if err != nil {
			t.Fatal(err)
		}
		c := p.Collect(Options{})
		for _, i := range rand.Perm(100) {
			c.Offer("1.2." + strings.Repeat("0", i) + "3")
		}
		ranked, err := c.Ranked()
		if err != nil {
			t.Fatal(err)
		}
		want := "1.2.3" // the greatest of the spellings
		if rule.Semver == "" {
			want = "1.2." + strings.Repeat("0", 99) + "3" // the smallest of the same text
		}
		if k := ranked[0]; len(ranked) != 1 || k.Tag() != want || len(k.Tags) != maxSpellings || len(k.spellings)+len(k.spellings[0].tags) != maxSpellings+1 {
			t.Errorf("%v: %d candidates, %d tags, first %s", rule, len(ranked), len(k.Tags), k.Tag())
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	for _, rule := range []Rule{{Semver: ">=1.0.0"}, {Numerical: "asc", Match: `^1\.(\d+)\.3$`, Extract: "$1"}, {Alphabetical: "asc"}} {
		p, err := New(rule)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(p.String(), func(b *testing.B) {
			b.ReportAllocs()
			c := p.Collect(Options{})
			for i := range b.N {
				c.Offer(fmt.Sprintf("1.%d.3", i%100_000))
			}
		})
	}
}
