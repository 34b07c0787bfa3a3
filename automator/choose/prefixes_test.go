package choose

import (
	"slices"
	"strings"
	"testing"
)

func TestPrefixes(t *testing.T) {
	digits := strings.Fields("0 1 2 3 4 5 6 7 8 9 v0 v1 v2 v3 v4 v5 v6 v7 v8 v9")
	for _, test := range []struct {
		rule Rule
		want []string
	}{
		{Rule{Semver: ">=1.2.0 <2.0.0"}, []string{"0", "1.", "v0", "v1."}},
		{Rule{Semver: ">=1.2.0-0 <2.0.0"}, []string{"0", "1.", "2.", "v0", "v1.", "v2."}},
		{Rule{Semver: ">=1.2.0 <2.0.1"}, []string{"0", "1.", "2.", "v0", "v1.", "v2."}},
		{Rule{Semver: "^1.2", Loose: true}, []string{"0", "1", "v0", "v1"}},
		{Rule{Semver: "0.3.x"}, []string{"0", "v0"}},
		{Rule{Semver: "1.2 - 2.4"}, []string{"0", "1.", "2.", "v0", "v1.", "v2."}},
		{Rule{Semver: "1.x || 3.x"}, []string{"0", "1.", "2.", "3.", "v0", "v1.", "v2.", "v3."}},
		{Rule{Semver: ">= 1.2.0, < 2"}, []string{"0", "1.", "v0", "v1."}},
		{Rule{Semver: ">=1.2.0"}, digits},
		{Rule{Semver: "~0.0.0"}, digits},
		{Rule{Semver: "*"}, digits},
		{Rule{Semver: "<20"}, digits},
		{Rule{Semver: "1.x", Match: "^v1"}, []string{"v1"}},
		{Rule{Semver: "1.x", Match: "-alpine$"}, []string{"0", "1.", "v0", "v1."}},
		{Rule{Semver: "1.x", Match: "-(.*)$", Extract: "$1"}, nil},
		{Rule{Alphabetical: "asc"}, nil},
		{Rule{Alphabetical: "asc", Match: `^main-[0-9]+`}, []string{"main-"}},
		{Rule{Alphabetical: "asc", Match: `^(?P<a>ma(in))-(\d+)$`, Extract: "$3"}, []string{"main-"}},
		{Rule{Alphabetical: "asc", Match: `main-`}, nil},
		{Rule{Alphabetical: "asc", Match: `^a|b`}, nil},
		{Rule{Alphabetical: "asc", Match: `^(?i)main`}, nil},
		{Rule{Alphabetical: "asc", Match: `^main-*`}, []string{"main"}},
		{Rule{Digest: "latest"}, []string{"latest"}},
	} {
		p, err := New(test.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Prefixes(); !slices.Equal(got, test.want) {
			t.Errorf("%v: got %v, want %v", test.rule, got, test.want)
		}
	}
}

// Whatever a policy admits has one of its prefixes.
func TestEveryCandidateHasAPrefix(t *testing.T) {
	var tags []string
	for _, v := range []string{"", "v"} {
		for _, major := range []string{"0", "00", "1", "01", "2", "3", "10", "110"} {
			tags = append(tags, v+major, v+major+"-rc.1")
			for _, rest := range []string{".0", ".0.0", ".02.3", ".0.0-rc.1"} {
				tags = append(tags, v+major+rest)
			}
		}
	}
	ops := []string{"", "=", "!=", ">", "<", ">=", "<=", "=>", "=<", "~", "~>", "^", "> ", "<= "}
	versions := []string{"*", "0", "0.0.0", "0.0", "1", "v1", "01.2", "1.x", "1.0.0", "1.2.3-rc.1", "2.0.0", "2.0.0-0", "10", "x.1"}
	var ranges []string
	for _, op := range ops {
		for _, version := range versions {
			ranges = append(ranges, op+version, op+version+" <3", ">=1.2, "+op+version, op+version+" || 11.x", "0 - 1 "+op+version)
		}
	}
	for _, from := range versions {
		for _, to := range versions {
			ranges = append(ranges, from+" - "+to)
		}
	}
	admitted := 0
	for _, r := range ranges {
		for _, loose := range []bool{false, true} {
			p, err := New(Rule{Semver: r, Loose: loose})
			if err != nil {
				continue // what cannot be combined
			}
			prefixes := p.Prefixes()
			for _, tag := range tags {
				if !p.Explain(tag).In {
					continue
				}
				admitted++
				if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(tag, prefix) }) {
					t.Fatalf("%q admits %s, which has none of %v", r, tag, prefixes)
				}
			}
		}
	}
	if admitted < 10_000 {
		t.Errorf("only %d tags were admitted", admitted)
	}
}
