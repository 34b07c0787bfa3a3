package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/choose"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
)

var now = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC) // a Friday

// world is a repository: what tags are, and who signed what.
type world struct {
	digests map[string]string
	signed  map[string]time.Time // by digest; zero: without a verified time
	away    string               // a lookup that nobody answers
	asked   []string
}

func (w *world) answer(question string) error {
	w.asked = append(w.asked, question)
	if question == w.away {
		return errors.New("nobody answers")
	}
	return nil
}

func (w *world) Digest(_ context.Context, tag string) (string, error) {
	if err := w.answer("digest " + tag); err != nil {
		return "", err
	}
	if digest, ok := w.digests[tag]; ok {
		return digest, nil
	}
	return "", fmt.Errorf("%w: there is no tag %s", ErrRefused, tag)
}

func (w *world) Platforms(_ context.Context, digest string) ([]string, error) {
	return []string{"linux/amd64", "linux/" + strings.TrimPrefix(digest, "sha256:")}, w.answer("platforms " + digest)
}

func (w *world) Verify(_ context.Context, digest string) (Proof, error) {
	if err := w.answer("verify " + digest); err != nil {
		return Proof{}, err
	}
	at, ok := w.signed[digest]
	if !ok {
		return Proof{}, fmt.Errorf("%w: %s is not signed", ErrRefused, digest)
	}
	return Proof{Signers: []string{"ci"}, Time: at}, nil
}

// question asks about versions 1.0.0, 1.1.0 ... of a list, for places that hold current.
func question(t testing.TB, tags, current string) Question {
	t.Helper()
	p, err := choose.New(choose.Rule{Semver: "*"})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Collect(choose.Options{})
	for _, tag := range strings.Fields(tags) {
		c.Offer(tag)
	}
	ranked, err := c.Ranked()
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Candidates: ranked, Compare: p.Compare, Now: now}
	for _, field := range strings.Fields(current) {
		tag, digest, pinned := strings.Cut(field, "@")
		q.Current = append(q.Current, Value{Tag: tag, Digest: digest, Pinned: pinned})
	}
	return q
}

func newWorld() *world {
	w := &world{digests: map[string]string{}, signed: map[string]time.Time{}}
	for _, tag := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "v1.3.0"} {
		w.digests[tag] = "sha256:" + tag
	}
	return w
}

func seen(hours int, digest string) ledger.Sighting {
	return ledger.Sighting{First: now.Add(time.Duration(hours) * time.Hour), Digest: "sha256:" + digest}
}

// TestGates: each gate refuses the best candidate, and the next one, or none, wins.
func TestGates(t *testing.T) {
	for name, test := range map[string]struct {
		current string // default 1.1.0
		change  func(*Question, *world)
		want    string // tag and digest; empty: nothing is written
		gate    Gate   // of the first refusal
		reason  string
		asked   string
		until   time.Time
	}{
		"nothing to check": {want: "1.3.0"},
		"up to date":       {current: "1.3.0", change: func(q *Question, _ *world) { q.Verify, q.Platforms = true, []string{"linux/x"} }},
		"pinned":           {current: "1.1.0@sha256:1.1.0", want: "1.3.0 sha256:1.3.0", asked: "digest 1.3.0"},
		"to be pinned":     {current: "1.3.0@", want: "1.3.0 sha256:1.3.0", asked: "digest 1.3.0"},
		"pinned once":      {current: "1.3.0@sha256:old"},
		"pinned always": {current: "1.3.0@sha256:old", change: func(q *Question, _ *world) { q.Renew = true },
			want: "1.3.0 sha256:1.3.0", asked: "digest 1.3.0"},
		"pinned always, up to date": {current: "1.3.0@sha256:1.3.0", change: func(q *Question, _ *world) { q.Renew = true }, asked: "digest 1.3.0"},
		"held": {change: func(q *Question, _ *world) {
			q.Holds = []hold.Hold{{Kind: hold.Explicit, Version: ">=1.3", Until: now.Add(time.Hour)}}
		},
			want: "1.2.0", gate: Held, reason: ">=1.3: held", until: now.Add(time.Hour)},
		"held, over": {change: func(q *Question, _ *world) { q.Holds = []hold.Hold{{Version: ">=1.3", Until: now}} }, want: "1.3.0"},
		"digest held": {change: func(q *Question, _ *world) { q.Holds = []hold.Hold{{Kind: hold.Reverted, Digest: "sha256:1.3.0"}} },
			want: "1.2.0 sha256:1.2.0", gate: Held, reason: "reverted", asked: "digest 1.3.0, digest 1.2.0"},
		"all held":  {change: func(q *Question, _ *world) { q.Holds = []hold.Hold{{}} }, gate: Held, reason: "every version"},
		"downgrade": {current: "2.0.0", gate: Downgrade, reason: "2.0.0 is newer than 1.3.0, and downgrades are not made"},
		"downgrade allowed": {current: "2.0.0", change: func(q *Question, _ *world) { q.AllowDowngrade = true },
			want: "1.3.0"},
		"downgrade allowed, but the newest is held": {current: "1.3.0 1.2.0", change: func(q *Question, _ *world) {
			q.AllowDowngrade, q.Holds = true, []hold.Hold{{Kind: hold.Explicit, Version: "1.3.0"}}
		}, gate: Held, reason: "1.3.0: held"},
		"one place has it, another something newer": {current: "2.0.0 1.3.0", change: func(q *Question, _ *world) { q.Verify = true }},
		"not comparable": {current: "main", gate: Downgrade, reason: "1.3.0 and main cannot be compared"},
		"window": {change: func(q *Question, _ *world) { q.Window = must(NewWindow([]string{"Mon"}, "09:00", "", "")) },
			gate: Time, reason: "from 2026-11-23T09:00:00Z on", until: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)},
		"window open": {change: func(q *Question, _ *world) { q.Window = must(NewWindow(nil, "09:00", "11:00", "")) }, want: "1.3.0"},
		"first met": {change: func(q *Question, _ *world) { q.MinimumAge = time.Hour },
			gate: Age, reason: "younger than 1h0m0s, until 2026-11-20T11:00:00Z", asked: "digest 1.3.0, digest 1.2.0", until: now.Add(time.Hour)},
		"too young, by the ledger": {change: func(q *Question, _ *world) {
			q.MinimumAge, q.Seen = 3*time.Hour, map[string]ledger.Sighting{"1.3.0": seen(-2, "1.3.0"), "1.2.0": seen(-4, "1.2.0")}
		}, want: "1.2.0 sha256:1.2.0", gate: Age, reason: "until 2026-11-20T11:00:00Z", asked: "digest 1.2.0", until: now.Add(time.Hour)},
		"old enough": {change: func(q *Question, _ *world) {
			q.MinimumAge, q.Seen = 3*time.Hour, map[string]ledger.Sighting{"1.3.0": seen(-3, "1.3.0")}
		}, want: "1.3.0 sha256:1.3.0", asked: "digest 1.3.0"},
		"moved since it was met": {change: func(q *Question, _ *world) {
			q.MinimumAge, q.Seen = 3*time.Hour, map[string]ledger.Sighting{"1.3.0": seen(-9, "old"), "1.2.0": seen(-9, "1.2.0")}
		}, want: "1.2.0 sha256:1.2.0", gate: Age, reason: "until 2026-11-20T13:00:00Z"},
		"met in the future": {change: func(q *Question, _ *world) {
			q.MinimumAge, q.Seen = time.Hour, map[string]ledger.Sighting{"1.3.0": seen(9, "1.3.0"), "1.2.0": seen(-9, "1.2.0")}
		}, want: "1.2.0 sha256:1.2.0", gate: Age, reason: "until 2026-11-20T11:00:00Z", asked: "digest 1.3.0, digest 1.2.0"},
		"gone": {change: func(q *Question, w *world) { q.Platforms = []string{"linux/amd64"}; delete(w.digests, "1.3.0") },
			want: "1.2.0 sha256:1.2.0", gate: Exists, reason: "there is no tag 1.3.0"},
		"platform": {change: func(q *Question, _ *world) { q.Platforms = []string{"linux/amd64", "linux/1.2.0"} },
			want: "1.2.0 sha256:1.2.0", gate: Platform, reason: "there is no linux/1.2.0, but linux/amd64, linux/1.3.0"},
		"not signed": {change: func(q *Question, w *world) { q.Verify = true; w.signed["sha256:1.2.0"] = time.Time{} },
			want: "1.2.0 sha256:1.2.0", gate: Signature, reason: "not signed", asked: "digest 1.3.0, verify sha256:1.3.0, digest 1.2.0, verify sha256:1.2.0"},
		"nothing signed": {change: func(q *Question, _ *world) { q.Verify = true }, gate: Signature, reason: "not signed"},
		"signed long ago": {change: func(q *Question, w *world) {
			q.Verify, q.MinimumAge, w.signed["sha256:1.3.0"] = true, time.Hour, now.Add(-2*time.Hour)
		}, want: "1.3.0 sha256:1.3.0"},
		"signed just now": {change: func(q *Question, w *world) {
			q.Verify, q.MinimumAge, w.signed["sha256:1.3.0"] = true, time.Hour, now.Add(-time.Minute)
			q.Seen = map[string]ledger.Sighting{"1.3.0": seen(-9, "1.3.0")}
		}, gate: Age, reason: "until 2026-11-20T10:59:00Z"},
		"signed without a time": {change: func(q *Question, w *world) {
			q.Verify, q.MinimumAge, w.signed["sha256:1.3.0"] = true, time.Hour, time.Time{}
			q.Seen = map[string]ledger.Sighting{"1.3.0": seen(-9, "1.3.0")}
		}, want: "1.3.0 sha256:1.3.0"},
		"signed young, by the ledger": {change: func(q *Question, _ *world) {
			q.Verify, q.MinimumAge, q.Candidates = true, time.Hour, q.Candidates[:1]
			s := seen(-9, "1.3.0")
			s.Signed = now.Add(-time.Minute)
			q.Seen = map[string]ledger.Sighting{"1.3.0": s}
		}, gate: Age, reason: "until 2026-11-20T10:59:00Z"},
		"moved in this pass": {change: func(q *Question, _ *world) { q.Refused = map[string]string{"1.3.0": "it moved"} },
			want: "1.2.0", gate: Moved, reason: "it moved"},
		"list shrank": {change: func(q *Question, _ *world) { q.Tags = Tags{Count: 4, Complete: true, Before: 10} },
			gate: List, reason: "lists 4 tags, and listed 10 before", until: now.Add(24 * time.Hour)},
		"list shrank a day ago": {change: func(q *Question, _ *world) {
			q.Tags = Tags{Count: 4, Complete: true, Before: 10, Shrunk: now.Add(-24 * time.Hour)}
		}, want: "1.3.0"},
		"list shrank to half":     {change: func(q *Question, _ *world) { q.Tags = Tags{Count: 5, Complete: true, Before: 10} }, want: "1.3.0"},
		"short list shrank":       {change: func(q *Question, _ *world) { q.Tags = Tags{Count: 1, Complete: true, Before: 9} }, want: "1.3.0"},
		"a part of the list":      {change: func(q *Question, _ *world) { q.Tags = Tags{Count: 1, Before: 100} }, want: "1.3.0"},
		"list shrank, up to date": {current: "1.3.0", change: func(q *Question, _ *world) { q.Tags = Tags{Count: 1, Complete: true, Before: 10} }},
		"list lacks what is there": {change: func(q *Question, _ *world) { q.Tags = Tags{Count: 3, Lacks: []string{"1.1.0"}} },
			gate: List, reason: "lacks 1.1.0, which the registry has", asked: "digest 1.1.0"},
		"list lacks what was deleted": {change: func(q *Question, w *world) {
			q.Tags = Tags{Count: 3, Lacks: []string{"1.1.0"}}
			delete(w.digests, "1.1.0")
		}, want: "1.3.0"},
		"by the place's spelling": {current: "v1.1.0@", change: func(q *Question, _ *world) {}, want: "v1.3.0 sha256:v1.3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			current := test.current
			if current == "" {
				current = "1.1.0"
			}
			tags := "1.0.0 1.1.0 1.2.0 1.3.0"
			if strings.HasPrefix(current, "v") {
				tags += " v1.3.0"
			}
			q, w := question(t, tags, current), newWorld()
			if test.change != nil {
				test.change(&q, w)
			}
			d, err := Decide(t.Context(), q, w)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(d.Choices) > 0 {
				got = strings.TrimSpace(d.Choices[0].Tag + " " + d.Choices[0].Digest)
			}
			if got != test.want {
				t.Errorf("got %q, want %q; refused: %v", got, test.want, d.Refusals)
			}
			if test.gate != "" && (len(d.Refusals) == 0 || d.Refusals[0].Gate != test.gate || !strings.Contains(d.Refusals[0].Reason, test.reason)) {
				t.Errorf("refused %+v, want %s: %s", d.Refusals, test.gate, test.reason)
			}
			if test.gate == "" && len(d.Refusals) > 0 {
				t.Errorf("refused %+v", d.Refusals)
			}
			if asked := strings.Join(w.asked, ", "); test.asked != "" && asked != test.asked || test.want == "" && test.gate == "" && asked != test.asked {
				t.Errorf("asked %s, want %s", asked, test.asked)
			}
			if !test.until.IsZero() && !d.Until.Equal(test.until) {
				t.Errorf("until %s, want %s", d.Until, test.until)
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestNobodyAnswers: what cannot be checked today is not passed over for an older candidate.
func TestNobodyAnswers(t *testing.T) {
	for _, away := range []string{"digest 1.3.0", "platforms sha256:1.3.0", "verify sha256:1.3.0", "digest 1.1.0"} {
		q, w := question(t, "1.0.0 1.1.0 1.2.0 1.3.0", "1.1.0"), newWorld()
		w.signed["sha256:1.3.0"], w.signed["sha256:1.2.0"] = now, now
		w.away, q.Verify, q.Platforms, q.Tags.Lacks = away, true, []string{"linux/amd64"}, []string{"1.1.0"}
		if away != "digest 1.1.0" {
			delete(w.digests, "1.1.0")
		}
		d, err := Decide(t.Context(), q, w)
		if err == nil || !strings.Contains(err.Error(), "nobody answers") || d.Found {
			t.Errorf("%s: %v, %+v", away, err, d.Choices)
		}
	}
}

func TestFor(t *testing.T) {
	q, w := question(t, "1.3.0 v1.3.0", "1.1.0 v1.2.0 1.3.0 1.9.0 main"), newWorld()
	q.Verify = true
	w.signed["sha256:1.3.0"], w.signed["sha256:v1.3.0"] = now, now
	d, err := Decide(t.Context(), q, w)
	if err != nil {
		t.Fatal(err)
	}
	for current, want := range map[string]string{
		"1.1.0": "1.3.0 sha256:1.3.0", "v1.2.0": "v1.3.0 sha256:v1.3.0", "1.3.0": "1.3.0 sha256:1.3.0",
		"1.9.0": "1.9.0 is newer than v1.3.0, and downgrades are not made; hint: allowDowngrade", "main": "v1.3.0 and main cannot be compared",
	} {
		c, reason := d.For(current)
		if got := strings.TrimSpace(c.Tag+" "+c.Digest) + reason; got != want {
			t.Errorf("%s: %s, want %s", current, got, want)
		}
	}
	delete(w.signed, "sha256:v1.3.0")
	if d, err := Decide(t.Context(), q, w); err != nil || d.Found {
		t.Errorf("a spelling that is not signed is written: %v, %+v", err, d.Choices)
	}
}

// TestAllowDowngrade goes down from what is no candidate any more, and from nothing else.
func TestAllowDowngrade(t *testing.T) {
	q := question(t, "1.0.0 1.1.0 1.3.0", "1.3.0 1.2.0")
	q.AllowDowngrade, q.Holds = true, []hold.Hold{{Version: "1.3.0"}}
	d := must(Decide(t.Context(), q, newWorld()))
	if _, reason := d.For("1.3.0"); !strings.Contains(reason, "from what is still a candidate") {
		t.Errorf("1.3.0 is lowered: %s", reason)
	}
	if c, reason := d.For("1.2.0"); c.Tag != "1.1.0" {
		t.Errorf("1.2.0, which was deleted, stays: %s", reason)
	}
}

func TestDigestPolicy(t *testing.T) {
	p := must(choose.New(choose.Rule{Digest: "latest"}))
	c := p.Collect(choose.Options{})
	c.Offer("latest")
	q := Question{Candidates: must(c.Ranked()), Compare: p.Compare, Moving: true, Now: now, Current: []Value{{Tag: "latest", Digest: "sha256:a", Pinned: true}}}
	w := newWorld()
	w.digests["latest"] = "sha256:a"
	if d := must(Decide(t.Context(), q, w)); !d.UpToDate() || len(w.asked) != 1 {
		t.Errorf("asked %v, refused %v", w.asked, d.Refusals)
	}
	w.digests["latest"] = "sha256:b"
	if d := must(Decide(t.Context(), q, w)); len(d.Choices) != 1 || d.Choices[0].Digest != "sha256:b" {
		t.Errorf("choices %v, refused %v", d.Choices, d.Refusals)
	}
	q.MinimumAge, q.Seen = time.Hour, map[string]ledger.Sighting{"latest": seen(-9, "a")}
	d := must(Decide(t.Context(), q, w))
	if d.Found || d.Learned["latest"] != seen(0, "b") {
		t.Errorf("choices %v, learned %v", d.Choices, d.Learned)
	}
	q.Seen = d.Learned
	q.Now = now.Add(time.Hour)
	if d := must(Decide(t.Context(), q, w)); len(d.Choices) != 1 {
		t.Errorf("after the cool-down: %v", d.Refusals)
	}
}

// TestNewest: without a memory everything came at once, and nothing is newer than what is there.
func TestNewest(t *testing.T) {
	p := must(choose.New(choose.Rule{Newest: true}))
	var l ledger.Ledger
	i := l.Image("shop:shop", "r")
	decide := func(at time.Time, tags ...string) Decision {
		c := p.Collect(choose.Options{Seen: func(tag string) time.Time { return i.Seen(tag, at) }})
		for _, tag := range tags {
			c.Offer(tag)
		}
		q := Question{Candidates: must(c.Ranked()), Compare: c.Compare, Now: at, Seen: i.Tags, Current: []Value{{Tag: "b-5"}}}
		return must(Decide(t.Context(), q, newWorld()))
	}
	if d := decide(now, "b-5", "b-9", "a-1"); d.Found && !d.UpToDate() {
		t.Errorf("without a memory: %v", d.Choices)
	}
	if d := decide(now.Add(time.Hour), "b-5", "b-9", "a-1", "a-2"); len(d.Choices) != 1 || d.Choices[0].Tag != "a-2" {
		t.Errorf("a new one: %v, %v", d.Choices, d.Refusals)
	}
}
