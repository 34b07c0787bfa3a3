package ledger

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/hold"
)

const policy = "shop:shop"

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }

func encode(t *testing.T, l *Ledger) []byte {
	t.Helper()
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, data []byte) *Ledger {
	t.Helper()
	l, err := Parse(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return l
}

// full is a ledger that has one of everything.
func full() *Ledger {
	l := &Ledger{Requests: map[string]Request{"sealift/shop": {Number: 7, Commit: "c1",
		Images: map[string]hold.Written{policy: {Tag: "1.3.0"}}}}}
	i := l.Image(policy, "r.example.com/shop")
	i.Learn(map[string]Sighting{
		"1.2.0": {First: at(0), Digest: "sha256:a", Signed: at(-5)},
		"1.3.0": {First: at(1), Digest: "sha256:b"},
		"1.4.0": {First: at(2)},
		"1.5.0": {First: at(2), Signed: at(1)},
	})
	i.Wrote(hold.Written{Tag: "1.2.0", Digest: "sha256:a", Commit: "c0", At: at(3), Paths: []string{"b.yaml", "a.yaml", "a.yaml"}})
	i.Holds = []hold.Hold{{Image: policy, Kind: hold.Reverted, Above: "1.1.0", UpTo: "1.2.0", Since: at(4)}}
	i.Listed(12, false, at(4))
	return l
}

func TestLedgerReadsBackAndIsAlwaysTheSame(t *testing.T) {
	data := encode(t, full())
	back := decode(t, data)
	if !reflect.DeepEqual(back, full()) {
		t.Errorf("read back as\n%s", encode(t, back))
	}
	if again := encode(t, back); !bytes.Equal(data, again) {
		t.Errorf("encoded as\n%s\nand again as\n%s", data, again)
	}
	for _, want := range []string{`"1.3.0": "2026-11-01T13:00:00Z sha256:b"`, `"1.5.0": "2026-11-01T14:00:00Z - 2026-11-01T13:00:00Z"`} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s lacks %s", data, want)
		}
	}
	if back.News(full()) || full().News(back) {
		t.Error("a ledger is news to itself")
	}
}

func TestWhatIsNews(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Image)
		want   bool
	}{
		"nothing":          {func(*Image) {}, false},
		"a count":          {func(i *Image) { i.Listed(1000, false, at(9)) }, false},
		"an older meeting": {func(i *Image) { i.Learn(map[string]Sighting{"1.3.0": {First: at(9), Digest: "sha256:b"}}) }, false},
		"a tag":            {func(i *Image) { i.Learn(map[string]Sighting{"2.0.0": {First: at(9)}}) }, true},
		"a moved tag":      {func(i *Image) { i.Learn(map[string]Sighting{"1.3.0": {First: at(9), Digest: "sha256:c"}}) }, true},
		"a write":          {func(i *Image) { i.Wrote(hold.Written{Tag: "1.3.0", Paths: []string{"a.yaml"}}) }, true},
		"a hold":           {func(i *Image) { i.Holds = nil }, true},
		"a short list":     {func(i *Image) { i.Listed(1, true, at(9)) }, true},
	} {
		l := full()
		test.change(l.Images[policy])
		if got := l.News(full()); got != test.want {
			t.Errorf("%s: news %v", name, got)
		}
	}
	var none *Ledger
	l := &Ledger{}
	l.Image(policy, "r.example.com/shop").Listed(7, false, at(0))
	if l.News(none) {
		t.Error("a first look alone is news")
	}
}

func TestLearn(t *testing.T) {
	i := full().Images[policy]
	i.Learn(map[string]Sighting{
		"1.2.0": {First: at(8), Digest: "sha256:a"},
		"1.3.0": {First: at(8), Digest: "sha256:moved"},
		"1.4.0": {First: at(8), Digest: "sha256:asked", Signed: at(6)},
	})
	want := map[string]Sighting{
		"1.2.0": {First: at(0), Digest: "sha256:a", Signed: at(-5)},
		"1.3.0": {First: at(8), Digest: "sha256:moved"},
		"1.4.0": {First: at(2), Digest: "sha256:asked", Signed: at(6)},
		"1.5.0": {First: at(2), Signed: at(1)},
	}
	if !reflect.DeepEqual(i.Tags, want) {
		t.Errorf("got %+v", i.Tags)
	}
}

func TestAnotherRepositoryBeginsAnew(t *testing.T) {
	l := full()
	if i := l.Image(policy, "r.example.com/other"); len(i.Tags) > 0 || i.Count != 0 || len(i.Written) != 1 || len(i.Holds) != 1 {
		t.Errorf("got %+v", i)
	}
}

func TestWrote(t *testing.T) {
	i := &Image{}
	i.Wrote(hold.Written{Tag: "1.0.0", At: at(0), Paths: []string{"a", "b", "c"}})
	i.Wrote(hold.Written{Tag: "1.1.0", At: at(1), Paths: []string{"b"}})
	i.Wrote(hold.Written{Tag: "1.2.0", At: at(2), Paths: []string{"b", "c"}})
	want := []hold.Written{{Tag: "1.0.0", At: at(0), Paths: []string{"a"}}, {Tag: "1.2.0", At: at(2), Paths: []string{"b", "c"}}}
	if !reflect.DeepEqual(i.Written, want) {
		t.Errorf("got %+v", i.Written)
	}
	i.Wrote(hold.Written{Tag: "1.3.0", At: at(3)})
	if want := []hold.Written{{Tag: "1.3.0", At: at(3)}}; !reflect.DeepEqual(i.Written, want) {
		t.Errorf("got %+v", i.Written)
	}
}

func TestListed(t *testing.T) {
	i := &Image{}
	for _, step := range []struct {
		count  int
		shrunk bool
		want   int
	}{{80, false, 80}, {88, false, 80}, {91, false, 91}, {85, false, 85}, {10, true, 85}, {86, false, 85}} {
		i.Listed(step.count, step.shrunk, at(1))
		if i.Count != step.want || i.Shrunk.IsZero() == step.shrunk {
			t.Errorf("after %d: %d, shrunk since %s", step.count, i.Count, i.Shrunk)
		}
	}
}

func TestSeenAndSweep(t *testing.T) {
	l := &Ledger{}
	i := l.Image(policy, "r")
	for _, tag := range []string{"a", "b"} {
		if got := i.Seen(tag, at(0)); !got.Equal(at(0)) {
			t.Errorf("%s came at %s", tag, got)
		}
	}
	l = decode(t, encode(t, l))
	i = l.Image(policy, "r")
	if got := i.Seen("a", at(5)); !got.Equal(at(0)) {
		t.Errorf("a came at %s", got)
	}
	i.Learn(map[string]Sighting{"a": {First: at(5), Digest: "sha256:a", Signed: at(-3)}})
	if got := i.Seen("a", at(5)); !got.Equal(at(-3)) {
		t.Errorf("a came at %s", got)
	}
	if problem := i.Sweep(); problem != "" || len(i.Tags) != 1 {
		t.Errorf("%s, %v", problem, i.Tags)
	}
	for n := range maxNewest {
		i.Seen(fmt.Sprint("t", n), at(6))
	}
	if problem := i.Sweep(); !strings.Contains(problem, "5001 tags are more than the 5000") {
		t.Error(problem)
	}
	if back := decode(t, encode(t, l)); len(back.Images[policy].Tags) > 0 {
		t.Errorf("%d tags of too many are kept, and the others would be new", len(back.Images[policy].Tags))
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := &Ledger{}
	for n := range 60 {
		i := l.Image(fmt.Sprintf("apps:%d", n), "r")
		tags := map[string]Sighting{}
		for v := range 300 {
			tags[fmt.Sprintf("1.%d.0", v)] = Sighting{First: at(v), Digest: "sha256:" + strings.Repeat("a", 64)}
		}
		i.Learn(tags)
		var paths []string
		for f := range 600 {
			paths = append(paths, fmt.Sprintf("clusters/%d/app.yaml", f))
		}
		i.Wrote(hold.Written{Tag: "1.9.0", At: at(1), Paths: paths})
		i.Wrote(hold.Written{Tag: "1.10.0", At: at(2), Paths: paths[:7]})
		for h := range 40 {
			i.Holds = append(i.Holds, hold.Hold{Kind: hold.Closed, Version: fmt.Sprintf("1.%d.0", h), Since: at(h)})
		}
	}
	data := encode(t, l)
	back := decode(t, data)
	if len(data) > MaxBytes || len(back.Images) != 60 {
		t.Errorf("%d bytes, %d images", len(data), len(back.Images))
	}
	one := back.Images["apps:7"]
	if len(one.Written) != 1 || one.Written[0].Tag != "1.10.0" || one.Written[0].Paths != nil {
		t.Errorf("written: %+v, and want the last for every file", one.Written)
	}
	if len(one.Holds) != maxHolds || !slices.ContainsFunc(one.Holds, func(h hold.Hold) bool { return h.Version == "1.39.0" }) {
		t.Errorf("%d holds", len(one.Holds))
	}

	few := &Ledger{}
	tags := map[string]Sighting{}
	for v := range 300 {
		tags[fmt.Sprintf("1.%d.0", v)] = Sighting{First: at(v)}
	}
	few.Image(policy, "r").Learn(tags)
	kept := decode(t, encode(t, few)).Images[policy].Tags
	if _, newest := kept["1.299.0"]; len(kept) != maxTags || !newest {
		t.Errorf("%d tags are kept", len(kept))
	}
}

func TestBrokenLedgers(t *testing.T) {
	good := string(encode(t, full()))
	for name, text := range map[string]string{
		"empty":         "",
		"cut":           good[:len(good)/2],
		"more behind":   good + "{}",
		"version":       strings.Replace(good, `"version": 1`, `"version": 2`, 1),
		"no version":    `{"images": {}}`,
		"unknown field": strings.Replace(good, `"count"`, `"counts"`, 1),
		"twice":         strings.Replace(good, `"count": 12`, `"count": 12, "count": 13`, 1),
		"null":          `{"version": 1, "images": {"a:b": null}}`,
		"bad time":      strings.Replace(good, "2026-11-01T13:00:00Z sha256:b", "yesterday sha256:b", 1),
		"no time":       strings.Replace(good, "2026-11-01T13:00:00Z sha256:b", "0001-01-01T00:00:00Z sha256:b", 1),
		"long line":     strings.Replace(good, "2026-11-01T13:00:00Z sha256:b", "2026-11-01T13:00:00Z a b c", 1),
		"by hand":       strings.Replace(good, `"Reverted"`, `"Explicit"`, 1),
		"negative":      strings.Replace(good, `"count": 12`, `"count": -12`, 1),
		"large":         good + strings.Repeat(" ", MaxBytes),
	} {
		if text == good {
			t.Fatalf("%s: nothing was broken", name)
		}
		if l, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "reading the ledger: ") {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

func TestRetain(t *testing.T) {
	l := full()
	l.Image("gone:gone", "r").Learn(map[string]Sighting{"1.0.0": {First: at(0)}})
	l.Retain([]string{"other:other"})
	if i := l.Images[policy]; len(l.Images) != 1 || len(i.Tags) > 0 || len(i.Holds) != 1 || len(i.Written) != 1 {
		t.Errorf("got %+v", l.Images)
	}
}

// FuzzParse: what is read can be written, and reads the same then.
func FuzzParse(f *testing.F) {
	data, err := full().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"images":{"a:a":{"tags":{"":"2026-11-01T13:00:00+01:00"},"written":[{"tag":"","paths":[]}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse(data)
		if err != nil {
			return
		}
		once, err := l.Encode()
		if err != nil {
			return
		}
		back, err := Parse(once)
		if err != nil {
			t.Fatalf("%v in\n%s", err, once)
		}
		twice, err := back.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%v:\n%s\n%s", err, once, twice)
		}
		Merge(l, back)
	})
}
