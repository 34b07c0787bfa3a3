package automator

import (
	"fmt"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		name, semver, tags, current string
		want, reason                string
	}{
		{name: "highest", semver: "*", tags: "1.9.0 1.10.0 1.2.0", want: "1.10.0"},
		{name: "range", semver: ">=1.0.0 <2.0.0", tags: "0.9.0 1.2.0 2.0.0", want: "1.2.0"},
		{name: "range with commas", semver: ">=1.0.0, <2.0.0", tags: "1.2.0 2.0.0", want: "1.2.0"},
		{name: "alternatives", semver: "~1.2 || ^3", tags: "1.2.9 2.0.0 3.4.5 4.0.0", want: "3.4.5"},
		{name: "hyphen range", semver: "1.0 - 1.4", tags: "1.4.9 1.5.0", want: "1.4.9"},
		{name: "partial version is a wildcard", semver: "2.0", tags: "2.0.7 2.1.0", want: "2.0.7"},
		{name: "three parts only", semver: "*", tags: "9 v8.0 1.2.3.4 7-1.2 2.5-a.b 1.2.3", want: "1.2.3"},
		{name: "leading zeros", semver: "*", tags: "2024.01.02 2023.12.31", want: "2024.01.02"},
		{name: "no versions", semver: "*", tags: "latest main 1.2.3_4 +1.2.3 1.2.3+b", reason: `nothing in 5 tags matches "*"`},
		{name: "nothing in range", semver: ">=3", tags: "1.2.3", reason: `nothing in 1 tags matches ">=3"`},
		{name: "no tags", semver: "*", reason: `nothing in 0 tags`},

		{name: "pre-releases are out", semver: ">=1.0.0", tags: "1.0.0 1.1.0-rc.1", want: "1.0.0"},
		{name: "pre-releases are in for the group", semver: ">=1.0.0-0 <2.0.0", tags: "1.0.0 2.0.0-rc.1", want: "2.0.0-rc.1"},
		{name: "rc9 after rc10", semver: ">=1.0.0-0", tags: "1.0.0-rc10 1.0.0-rc9", want: "1.0.0-rc9"},
		{name: "rc.10 after rc.9", semver: ">=1.0.0-0", tags: "1.0.0-rc.10 1.0.0-rc.9", want: "1.0.0-rc.10"},

		{name: "tie: lexically greatest", semver: "*", tags: "1.2.4 v1.2.4 01.2.4", want: "v1.2.4"},
		{name: "tie: any order", semver: "*", tags: "v1.2.4 01.2.4 1.2.4", want: "v1.2.4"},
		{name: "tie: the file's spelling without v", semver: "*", tags: "1.2.4 v1.2.4", current: "1.2.3", want: "1.2.4"},
		{name: "tie: the file's spelling with v", semver: "*", tags: "v1.2.4 1.2.4", current: "v1.2.3", want: "v1.2.4"},
		{name: "tie: the file's tag itself", semver: "*", tags: "1.2.4 01.2.4 v1.2.4", current: "01.2.4", want: "01.2.4"},
		{name: "tie: nothing comparable in the file", semver: "*", tags: "1.2.4 v1.2.4", current: "latest", want: "v1.2.4"},

		{name: "no downgrade", semver: "*", tags: "1.2.4", current: "1.3.0", reason: "1.3.0 is newer than 1.2.4"},
		{name: "no downgrade from two parts", semver: "*", tags: "1.2.4", current: "1.3", reason: "downgrades are not made"},
		{name: "no downgrade out of the range", semver: "<2", tags: "1.9.0 2.0.0", current: "2.0.0", reason: "downgrades are not made"},
		{name: "upgrade from a pre-release", semver: "*", tags: "1.3.0", current: "1.3.0-rc.1", want: "1.3.0"},
		{name: "equal version, another spelling", semver: "*", tags: "v1.3.0", current: "1.3.0", want: "v1.3.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := newCandidates(test.semver)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range strings.Fields(test.tags) {
				c.offer(tag)
			}
			tag, reason := c.choose(test.current)
			if test.reason != "" {
				if tag != "" || !strings.Contains(reason, test.reason) {
					t.Errorf("got %q, %q, want the reason %q", tag, reason, test.reason)
				}
				return
			}
			if tag != test.want || reason != "" {
				t.Errorf("got %q, %q, want %q", tag, reason, test.want)
			}
		})
	}
}

func TestBadRanges(t *testing.T) {
	for _, text := range []string{"", " ", "1.0.0p", "1x", "x1", "-1", "a", "*-*", strings.Repeat(">1 ", 10_000)} {
		if _, err := newCandidates(text); err == nil {
			t.Errorf("%.20q is accepted", text)
		}
	}
}

func TestManyTagsKeepFewCandidates(t *testing.T) {
	c, err := newCandidates("*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		c.offer(fmt.Sprintf("1.%d.3", i))
	}
	if len(c.tags) != 1 || c.newest() != "1.9999.3" || c.seen != 10_000 {
		t.Errorf("%d candidates of %d tags, newest %s", len(c.tags), c.seen, c.newest())
	}
}
