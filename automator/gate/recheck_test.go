package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBudget: the network is asked about MaxAsked candidates, and their clocks start.
func TestBudget(t *testing.T) {
	var tags []string
	w := newWorld()
	for n := range 20 {
		tags = append(tags, fmt.Sprintf("2.%d.0", n))
		w.digests[tags[n]] = "sha256:" + tags[n]
	}
	q := question(t, strings.Join(tags, " "), "1.0.0")
	q.Verify, q.MinimumAge = true, time.Hour
	d := must(Decide(t.Context(), q, w))
	if len(w.asked) != 2*MaxAsked || d.Found || len(d.Learned) != MaxAsked {
		t.Errorf("asked %v", w.asked)
	}
	if last := d.Refusals[len(d.Refusals)-1]; last.Gate != Budget || last.Tag != "2.11.0" {
		t.Errorf("refused %+v", d.Refusals)
	}
}

// TestClockStartsWhileTheWindowIsClosed: weekends do not add to the cool-down.
func TestClockStartsWhileTheWindowIsClosed(t *testing.T) {
	q, w := question(t, "1.3.0", "1.1.0"), newWorld()
	q.Window, q.MinimumAge = must(NewWindow([]string{"Mon"}, "", "", "")), time.Hour
	d := must(Decide(t.Context(), q, w))
	if d.Found || d.Learned["1.3.0"] != seen(0, "1.3.0") {
		t.Errorf("learned %v", d.Learned)
	}
	q.Seen, q.Now, w.asked = d.Learned, now.Add(2*time.Hour), nil
	if d = must(Decide(t.Context(), q, w)); d.Found || d.Refusals[0].Gate != Time || len(w.asked) > 0 {
		t.Errorf("refused %v, asked %v", d.Refusals, w.asked)
	}
}

// TestRecheck: a tag that moves between check and write is refused, and the next one wins.
func TestRecheck(t *testing.T) {
	q, w := question(t, "1.2.0 1.3.0", "1.1.0"), newWorld()
	q.Verify = true
	w.signed["sha256:1.3.0"], w.signed["sha256:1.2.0"] = now, now
	d := must(Decide(t.Context(), q, w))
	if moved := must(d.Recheck(t.Context(), w)); len(moved) > 0 {
		t.Errorf("moved: %v", moved)
	}
	w.digests["1.3.0"] = "sha256:evil"
	moved := must(d.Recheck(t.Context(), w))
	if !strings.Contains(moved["1.3.0"], "moved from sha256:1.3.0 to sha256:evil") {
		t.Errorf("moved: %v", moved)
	}
	q.Refused = moved
	if d = must(Decide(t.Context(), q, w)); len(d.Choices) != 1 || d.Choices[0].Digest != "sha256:1.2.0" {
		t.Errorf("choices %v, refused %v", d.Choices, d.Refusals)
	}
	delete(w.digests, "1.2.0")
	if moved := must(d.Recheck(t.Context(), w)); moved["1.2.0"] == "" {
		t.Error("a tag that went away has not moved")
	}
	w.away = "digest 1.2.0"
	if _, err := d.Recheck(t.Context(), w); err == nil {
		t.Error("nobody answers, and that is fine")
	}
	q.Current[0].Pinned, w.asked = true, nil
	q.Current[0].Digest = "sha256:1.1.0"
	w.digests["1.2.0"], w.away = "sha256:1.2.0", ""
	d = must(Decide(t.Context(), q, w))
	w.asked = nil
	if moved := must(d.Recheck(t.Context(), w)); len(moved)+len(w.asked) > 0 {
		t.Errorf("a pinned value is asked about again: %v, %v", w.asked, moved)
	}
	if slices.ContainsFunc(d.Choices, func(c Choice) bool { return c.Digest == "" }) {
		t.Errorf("a pinned value without a digest: %v", d.Choices)
	}
}
