package hold

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/choose"
)

func versions(t testing.TB) Compare {
	t.Helper()
	p, err := choose.New(choose.Rule{Semver: ">=0.0.0-0"})
	if err != nil {
		t.Fatal(err)
	}
	return p.Compare
}

// ask is a question about shop:shop, whose files hold values: "a.yaml=1.1.0", with a digest
// behind @.
func ask(t testing.TB, values string) Question {
	q := Question{Image: "shop:shop", Compare: versions(t), Now: now}
	for _, field := range strings.Fields(values) {
		path, ref, _ := strings.Cut(field, "=")
		tag, digest, _ := strings.Cut(ref, "@")
		q.Values = append(q.Values, Value{Path: path, Tag: tag, Digest: digest})
	}
	return q
}

func wrote(tag string, paths ...string) Written {
	tag, digest, _ := strings.Cut(tag, "@")
	return Written{Tag: tag, Digest: digest, Commit: "c0ffee1", At: now.Add(-time.Hour), Paths: paths}
}

// held says which of tags the holds cover.
func held(o Outcome, compare Compare, tags ...string) string {
	var out []string
	for _, tag := range tags {
		if slices.ContainsFunc(o.Holds, func(h Hold) bool { return h.Covers(tag, tag, compare) }) {
			out = append(out, tag)
		}
	}
	return strings.Join(out, " ")
}

// TestTable has a row for each row of the page's table.
func TestTable(t *testing.T) {
	reverts := func(id string) Past {
		return ReadHistory([]Commit{{ID: "d00d", Time: now, Message: "Revert \"Update\"\n\nThis reverts commit " + id + ".\n"}})
	}
	trailer := func(text string) Past {
		return ReadHistory([]Commit{{ID: "c0ffee1", Time: now, Message: "Update\n\nSealift-Image: " + text + "\n"}})
	}
	for name, test := range map[string]struct {
		values  string
		written []Written
		past    Past
		stored  []Hold
		file    File
		freeze  bool
		moving  string
		held    string // of 1.0.0 1.1.0 1.1.5 1.2.0 1.3.0
		frozen  string
	}{
		"nothing was written":             {values: "a=1.1.0"},
		"as written":                      {values: "a=1.2.0 b=1.2.0", written: []Written{wrote("1.2.0", "a", "b")}},
		"as written, other spelling":      {values: "a=v1.2.0", written: []Written{wrote("1.2.0", "a")}},
		"older":                           {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")}, held: "1.1.5 1.2.0"},
		"older in one file":               {values: "a=1.2.0 b=1.1.0", written: []Written{wrote("1.2.0", "a", "b")}, held: "1.1.5 1.2.0"},
		"older in two files":              {values: "a=1.1.5 b=1.1.0", written: []Written{wrote("1.2.0", "a", "b")}, held: "1.1.5 1.2.0"},
		"older, frozen":                   {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")}, freeze: true, held: "1.0.0 1.1.0 1.1.5 1.2.0 1.3.0"},
		"newer":                           {values: "a=1.3.0", written: []Written{wrote("1.2.0", "a")}},
		"a branch's tag":                  {values: "a=main b=1.2.0", written: []Written{wrote("1.2.0", "a", "b")}, frozen: "a"},
		"a branch's tag, nothing written": {values: "a=latest", frozen: "a"},
		"older, by trailers":              {values: "a=1.1.0", past: trailer("shop:shop 1.2.0"), held: "1.1.5 1.2.0"},
		"as written, by trailers":         {values: "a=1.2.0", past: trailer("shop:shop 1.2.0@sha256:a")},
		"another image's trailers":        {values: "a=1.1.0", past: trailer("shop:blog 1.2.0")},
		"the ledger goes before trailers": {values: "a=1.1.0", written: []Written{wrote("1.1.0", "a")}, past: trailer("shop:shop 1.2.0")},
		"a downgrade was reverted":        {values: "a=1.3.0", written: []Written{wrote("1.2.0", "a")}, past: reverts("c0ffee1"), held: "1.0.0 1.1.0 1.1.5 1.2.0"},
		"another commit was reverted":     {values: "a=1.3.0", written: []Written{wrote("1.2.0", "a")}, past: reverts("beef123")},
		"renamed and reverted":            {values: "new=1.1.0", written: []Written{wrote("1.2.0", "old")}, held: "1.1.5 1.2.0"},
		"a new file with an old version":  {values: "a=1.2.0 new=1.1.0", written: []Written{wrote("1.2.0", "a")}},
		"every file is meant":             {values: "new=1.1.0", written: []Written{wrote("1.2.0")}, held: "1.1.5 1.2.0"},
		"a digest was reverted":           {values: "a=1.2.0@sha256:a", written: []Written{wrote("1.2.0@sha256:b", "a")}},
		"a moving tag":                    {values: "a=latest@sha256:b", written: []Written{wrote("latest@sha256:b", "a")}, moving: "latest"},
		"stored, and the file is new":     {values: "new=1.1.0", stored: []Hold{{Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0"}}, held: "1.1.5 1.2.0"},
		"stored, and passed":              {values: "a=1.3.0 b=1.2.0", stored: []Hold{{Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0"}}},
		"stored, and passed in one":       {values: "a=1.3.0 b=1.1.0", stored: []Hold{{Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0"}}, held: "1.1.5 1.2.0"},
		"stored, and nothing left":        {stored: []Hold{{Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0"}}, held: "1.1.5 1.2.0"},
		"a closed pull request":           {values: "a=1.1.0", stored: []Hold{{Kind: Closed, Version: "1.2.0"}}, held: "1.2.0"},
		"a closed one, and passed":        {values: "a=1.2.0", stored: []Hold{{Kind: Closed, Version: "1.2.0"}}},
		"by hand, one":                    {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop", Version: "1.2.0"}}}, held: "1.2.0"},
		"by hand, a range":                {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop", Version: ">=1.1.5"}}}, held: "1.1.5 1.2.0 1.3.0"},
		"by hand, all":                    {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop:shop"}}}, held: "1.0.0 1.1.0 1.1.5 1.2.0 1.3.0"},
		"by hand, another image":          {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop:blog"}}}},
		"by hand, over":                   {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop", Until: now}}}},
		"by hand, not yet over":           {values: "a=1.1.0", file: File{Holds: []Entry{{Image: "shop", Version: "1.2.0", Until: now.Add(1)}}}, held: "1.2.0"},
		"released": {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")},
			file: File{Releases: []Entry{{Image: "shop", Since: now}}}},
		"one of them released": {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")},
			file: File{Releases: []Entry{{Image: "shop", Version: "1.2.0", Since: now}}}, held: "1.1.5"},
		"released, frozen": {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")}, freeze: true,
			file: File{Releases: []Entry{{Image: "shop", Since: now}}}},
		"released before": {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")},
			file: File{Releases: []Entry{{Image: "shop", Since: now.Add(-time.Second)}}}, held: "1.1.5 1.2.0"},
		"released when it was seen first": {values: "a=1.1.0", written: []Written{wrote("1.2.0", "a")},
			stored: []Hold{{Kind: Reverted, Above: "1.1.0", UpTo: "1.2.0", Since: now.Add(-time.Hour)}},
			file:   File{Releases: []Entry{{Image: "shop", Since: now.Add(-time.Minute)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			q := ask(t, test.values)
			q.Written, q.Past, q.Stored, q.Explicit, q.Freeze, q.Moving = test.written, test.past, test.stored, test.file, test.freeze, test.moving
			o := Judge(q)
			if got := held(o, q.Compare, "1.0.0", "1.1.0", "1.1.5", "1.2.0", "1.3.0"); got != test.held {
				t.Errorf("held %q, want %q: %v", got, test.held, o.Holds)
			}
			var frozen []string
			for _, i := range slices.Sorted(maps.Keys(o.Frozen)) {
				frozen = append(frozen, q.Values[i].Path)
			}
			if got := strings.Join(frozen, " "); got != test.frozen {
				t.Errorf("frozen %q, want %q", got, test.frozen)
			}
		})
	}
}

func TestRevertedDigest(t *testing.T) {
	q := ask(t, "a=latest@sha256:old")
	q.Moving, q.Written = "latest", []Written{wrote("latest@sha256:bad", "a")}
	o := Judge(q)
	if len(o.Holds) != 1 || !o.Holds[0].CoversDigest("sha256:bad") || o.Holds[0].CoversDigest("sha256:new") || o.Holds[0].Covers("latest", "latest", q.Compare) {
		t.Errorf("holds %v", o.Holds)
	}
	q.Stored = o.Store
	q.Written = []Written{wrote("latest@sha256:new", "a")}
	q.Values[0].Digest = "sha256:new"
	if o := Judge(q); len(o.Store) > 0 {
		t.Errorf("holds of an image that went on: %v", o.Store)
	}
	q.Values[0].Digest = "" // somebody took the pin away
	if o := Judge(q); len(o.Store) > 0 || len(o.Frozen) > 0 {
		t.Errorf("without a pin: %v", o)
	}
}

func TestClosedDigest(t *testing.T) {
	q := ask(t, "a=1.1.0@sha256:old")
	q.Written = []Written{wrote("1.1.0@sha256:old", "a")}
	q.Stored = []Hold{{Kind: Closed, Digest: "sha256:no", Since: now}}
	if o := Judge(q); len(o.Holds) != 1 || !o.Holds[0].CoversDigest("sha256:no") || o.Holds[0].Covers("1.1.0", "1.1.0", q.Compare) {
		t.Errorf("holds %v", o.Holds)
	}
	q.Written[0].Digest, q.Written[0].At = "sha256:newer", now.Add(time.Hour)
	if o := Judge(q); slices.ContainsFunc(o.Holds, func(h Hold) bool { return h.Kind == Closed }) {
		t.Errorf("after a newer one: %v", o.Holds)
	}
}

func TestFrozenPlaces(t *testing.T) {
	q := ask(t, "a=1.1.0 b=1.1.0 c=feature-x")
	q.Values[0].Held, q.Values[1].Foreign = true, true
	q.Written = []Written{wrote("1.2.0", "a", "b", "c")}
	o := Judge(q)
	if len(o.Holds) > 0 {
		t.Errorf("what is left to people is taken for a revert: %v", o.Holds)
	}
	for i, want := range []string{"its marker holds it", "another repository", `"feature-x" cannot be compared with "1.2.0"`} {
		if !strings.Contains(o.Frozen[i], want) {
			t.Errorf("%d: %s", i, o.Frozen[i])
		}
	}
}

func TestHoldsKeepTheirDate(t *testing.T) {
	q := ask(t, "a=1.1.0")
	q.Written = []Written{wrote("1.3.0", "a")}
	q.Now = now.Add(time.Second - 1) // a release of the same second lifts it
	first := Judge(q)
	q.Now = now.Add(time.Hour)
	q.Stored = first.Store
	q.Values[0].Tag = "1.2.0"
	o := Judge(q)
	if len(o.Store) != 1 || !o.Store[0].Since.Equal(now) || o.Store[0].Above != "1.2.0" {
		t.Errorf("stored %+v", o.Store)
	}
}

func TestWhatTheLedgerKeeps(t *testing.T) {
	for name, test := range map[string]struct {
		values  string
		written []Written
		past    Past
		want    string
	}{
		"as it is":         {values: "a=1.2.0 b=1.1.0", written: []Written{wrote("1.2.0", "a", "b")}, want: "1.2.0[a b]"},
		"renamed":          {values: "b=1.1.0", written: []Written{wrote("1.2.0", "a")}, want: "1.2.0[b]"},
		"deleted":          {values: "a=1.2.0", written: []Written{wrote("1.2.0", "a"), wrote("1.3.0", "b")}, want: "1.2.0[a]"},
		"copied":           {values: "a=1.2.0 b=1.2.0", written: []Written{wrote("1.2.0", "a")}, want: "1.2.0[a b]"},
		"all are gone":     {written: []Written{wrote("1.2.0", "a")}, want: "1.2.0[a]"},
		"new and older":    {values: "a=1.2.0 b=1.1.0", written: []Written{wrote("1.2.0", "a")}, want: "1.2.0[a]"},
		"from the history": {values: "a=1.1.0", past: ReadHistory([]Commit{{ID: "1", Message: "Sealift-Image: shop:shop 1.2.0"}}), want: "1.2.0[]"},
		"every file":       {values: "a=1.1.0", written: []Written{wrote("1.2.0")}, want: "1.2.0[]"},
	} {
		q := ask(t, test.values)
		q.Written, q.Past = test.written, test.past
		var got []string
		for _, w := range Judge(q).Written {
			got = append(got, fmt.Sprint(w.Tag, w.Paths))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}

func TestHistory(t *testing.T) {
	p := ReadHistory([]Commit{
		{ID: "5555555", Message: "Revert \"Revert\"\n\nThis reverts commit 4444444."},
		{ID: "4444444", Message: "Revert\n\nThis reverts commit 2222222222."},
		{ID: "3333333", Message: "Update\n\nSealift-Image: shop:shop 1.3.0\nSealift-Image: blog 2.0.0@sha256:a (signed by ci)\nSealift-Image: broken\n"},
		{ID: "2222222222", Message: "Update\n\nSealift-Image: shop:shop 1.2.0\r\n"},
		{ID: "1111111", Message: "Revert\n\nThis reverts commit 0000000."},
	})
	if got := p.last("shop:shop", versions(t)); len(got) != 1 || got[0].Tag != "1.3.0" || got[0].Commit != "3333333" {
		t.Errorf("shop: %+v", got)
	}
	if got := p.last("blog:blog", versions(t)); len(got) != 1 || got[0].Tag != "2.0.0" || got[0].Digest != "sha256:a" {
		t.Errorf("blog: %+v", got)
	}
	for id, want := range map[string]bool{"4444444": true, "2222222222": false, "0000000000": true, "1111111": false, "": false} {
		if p.Reverts(id) != want {
			t.Errorf("%s was reverted: %v", id, !want)
		}
	}
	if len(Past{}.last("shop:shop", versions(t))) > 0 || (Past{}).Reverts("1") {
		t.Error("no history knows something")
	}
}
