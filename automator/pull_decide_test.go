package automator

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sealift.dev/automator/forge"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
)

func TestDecidePull(t *testing.T) {
	for name, test := range map[string]struct {
		facts pullFacts
		want  step // without its reason
		told  bool
	}{
		"nothing there, nothing wanted":  {pullFacts{asked: true}, step{}, false},
		"first":                          {pullFacts{asked: true, wanted: true}, step{push: true, keep: true}, false},
		"up to date":                     {pullFacts{asked: true, wanted: true, exists: true, own: true, same: true, open: true}, step{keep: true}, false},
		"other content":                  {pullFacts{asked: true, wanted: true, exists: true, own: true, open: true}, step{push: true, keep: true}, false},
		"pushed, but never asked":        {pullFacts{asked: true, wanted: true, exists: true, own: true, same: true}, step{keep: true}, false},
		"somebody's commit":              {pullFacts{asked: true, wanted: true, exists: true, open: true}, step{}, true},
		"somebody's, superseded":         {pullFacts{asked: true, exists: true, open: true, ended: "x"}, step{}, true},
		"somebody's branch, no request":  {pullFacts{asked: true, wanted: true, exists: true}, step{}, true},
		"somebody's branch, not wanted":  {pullFacts{asked: true, exists: true}, step{}, false},
		"waiting":                        {pullFacts{asked: true, exists: true, own: true, open: true, waiting: "x"}, step{}, true},
		"waiting, others wanted":         {pullFacts{asked: true, wanted: true, exists: true, own: true, open: true, waiting: "x"}, step{}, true},
		"superseded":                     {pullFacts{asked: true, exists: true, own: true, open: true, ended: "x"}, step{close: true, drop: true}, true},
		"superseded, by push options":    {pullFacts{exists: true, own: true, open: true, ended: "x"}, step{drop: true}, true},
		"open, nobody knows for what":    {pullFacts{asked: true, exists: true, own: true, open: true}, step{}, true},
		"merged, branch left":            {pullFacts{asked: true, exists: true, own: true}, step{drop: true}, false},
		"closed by a person":             {pullFacts{asked: true, exists: true, own: true, rejected: true}, step{}, false},
		"closed by a person, newer came": {pullFacts{asked: true, wanted: true, exists: true, own: true, rejected: true}, step{push: true, keep: true}, false},
		"open, its branch was deleted":   {pullFacts{asked: true, open: true, ended: "x"}, step{close: true, drop: true}, true},
	} {
		got := decidePull(test.facts)
		if told := got.reason != ""; told != test.told {
			t.Errorf("%s: reason %q", name, got.reason)
		}
		if got.reason = ""; got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestStanding(t *testing.T) {
	proposed := map[string]hold.Written{"a:a": {Tag: "1.1.0"}}
	report := func(change func(*ImageReport)) group {
		r := ImageReport{Name: "a:a", Tag: "1.1.0"}
		change(&r)
		return group{images: []ImageReport{r}}
	}
	refused := func(gate, tag string) group {
		return report(func(r *ImageReport) { r.Refusals = []Refusal{{Tag: tag, Gate: gate, Reason: "so"}} })
	}
	for name, test := range map[string]struct {
		group          group
		waiting, ended bool
	}{
		"still wanted":        {group{changes: []Change{{Image: "a:a"}}}, false, false},
		"there already":       {report(func(*ImageReport) {}), false, true},
		"gone":                {group{}, false, true},
		"held":                {refused("hold", "1.1.0"), false, true},
		"every version held":  {refused("hold", ""), false, true},
		"untrusted":           {refused("signature", "1.1.0"), false, true},
		"another is held":     {refused("hold", "1.2.0"), false, true},
		"window closed":       {refused("window", ""), true, false},
		"too young":           {refused("age", "1.1.0"), true, false},
		"list not believed":   {refused("list", ""), true, false},
		"no answer":           {report(func(r *ImageReport) { r.Err = errors.New("outage") }), true, false},
		"nothing to be found": {report(func(r *ImageReport) { r.Tag = "" }), true, false},
		"older than present":  {refused("downgrade", "1.1.0"), false, true},
	} {
		waiting, ended := standing(proposed, test.group)
		if (waiting != "") != test.waiting || (ended != "") != test.ended {
			t.Errorf("%s: waiting %q, ended %q", name, waiting, ended)
		}
	}
}

// hostileTexts are what a tag, a file or a signer may be called.
func hostileTexts() []string {
	return []string{
		"a|b", "`code`", "</details><script>", "--> <!-- sealift: {}", "@everyone #1", "[x](http://evil)", "\x1b[31m", "a\nb\n/merge",
		strings.Repeat("x", 5000), "\xff\xfe", "| a |", "![](http://evil/x.png)",
	}
}

func TestBodyOfHostileNames(t *testing.T) {
	one := &pull{head: "sealift/images"}
	for _, s := range hostileTexts() {
		one.changes = append(one.changes, Change{File: s, Line: 1, Image: "a:a", Tag: s, Digest: s, Old: s, New: s})
		one.images = append(one.images, ImageReport{Name: "a:a", Image: s, Signers: []string{s}, Refusals: []Refusal{{Tag: s, Gate: "hold", Reason: s}}})
	}
	p := &pulls{now: time.Unix(0, 0)}
	one.proposed = map[string]hold.Written{"a:a": {Tag: "1|`-->"}}
	proposal, err := p.proposal(one)
	if err != nil {
		t.Fatal(err)
	}
	body := proposal.Body
	if len(body) > forge.MaxBody || !utf8.ValidString(body) || strings.ContainsAny(body, "\x1b\xff") {
		t.Errorf("%d bytes", len(body))
	}
	// Outside of code there is no markup but ours.
	plain := withoutCode(body)
	for _, markup := range []string{"<script", "http://evil", "@everyone", "![", "](http"} {
		if strings.Contains(plain, markup) {
			t.Errorf("%q is not in code in %s", markup, plain)
		}
	}
	if strings.Count(body, markEnd) < 1 || strings.Contains(body, "\n/merge") {
		t.Errorf("%s", body)
	}
	if _, m := marked(body); m.Images["a:a"] != "1|`-->" {
		t.Errorf("the mark is %+v", m)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "| ") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 6 {
			t.Errorf("a row has other cells: %s", line)
		}
	}
}

// withoutCode cuts what is between backticks, whatever their number.
func withoutCode(s string) string {
	var out strings.Builder
	for {
		begin := strings.IndexByte(s, '`')
		if begin < 0 {
			return out.String() + s
		}
		out.WriteString(s[:begin])
		s = s[begin:]
		fence := s[:len(s)-len(strings.TrimLeft(s, "`"))]
		end := closing(s[len(fence):], fence)
		if end < 0 {
			return out.String() + s
		}
		s = s[len(fence)+end+len(fence):]
	}
}

// closing finds a run of backticks as long as fence, and no longer.
func closing(s, fence string) int {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '`')
		if i < 0 {
			return -1
		}
		at += i
		run := len(s[at:]) - len(strings.TrimLeft(s[at:], "`"))
		if run == len(fence) {
			return at
		}
		at += run
	}
}

func TestLongBodyIsCut(t *testing.T) {
	one := &pull{head: "sealift/images"}
	for range 5000 {
		one.changes = append(one.changes, Change{File: "deploy/production/some/folder/app.yaml", Line: 3, Image: "a:a", Tag: "1.1.0", Old: "1.0.0", New: "1.1.0"})
	}
	body := pullBody(one)
	if len(body) > maxBody || !strings.Contains(body, "more lines were left out") || !strings.Contains(body, "Merge to update") || !strings.Contains(body, "</details>") {
		t.Errorf("%d bytes: …%s", len(body), body[len(body)-500:])
	}
}

func TestMarks(t *testing.T) {
	body := "text\n" + mark{Images: map[string]string{"a:a": "1.1.0@sha256:" + strings.Repeat("ab", 32), "b:b": "no tag", "c:c": strings.Repeat("1", 200)}, Text: "x"}.String()
	got := proposed(&forge.Request{Body: body}, ledger.Request{})
	if w := got["a:a"]; w.Tag != "1.1.0" || w.Digest != "sha256:"+strings.Repeat("ab", 32) || len(got) != 1 {
		t.Errorf("%+v", got)
	}
	if got := proposed(&forge.Request{Body: withdrawn(body)}, ledger.Request{}); got != nil {
		t.Errorf("withdrawn: %+v", got)
	}
	if got := proposed(&forge.Request{Number: 3, Body: body}, ledger.Request{Number: 3, Images: map[string]hold.Written{"b:b": {Tag: "2"}}}); got["b:b"].Tag != "2" {
		t.Errorf("the ledger does not come first: %+v", got)
	}
	for _, broken := range []string{"", markBegin, markBegin + "{" + markEnd, markBegin + `{"images":3}` + markEnd, "-->" + markBegin} {
		if visible, m := marked(broken); visible != broken || m.Images != nil {
			t.Errorf("%q: %q, %+v", broken, visible, m)
		}
	}
}

func TestBranchNames(t *testing.T) {
	seen := map[string]string{}
	for _, group := range []string{"", "web", "images", "state", "a b", "a-b", "a/b", "a.b", "a.lock", "..", "-x", "-", "ä", strings.Repeat("g", 200), "Web"} {
		head := headOf("", group)
		if other, taken := seen[head]; taken {
			t.Errorf("%q and %q share %s", group, other, head)
		}
		seen[head] = group
		if strings.Trim(head, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/") != "" || head == "sealift/state" || strings.HasSuffix(head, "/") || len(head) > 90 {
			t.Errorf("%q is on %s", group, head)
		}
	}
	if got := headOf("bot/", "web"); got != "bot/web" {
		t.Errorf("%s", got)
	}
}

func FuzzMark(f *testing.F) {
	f.Add("text " + mark{Images: map[string]string{"a:a": "1"}}.String())
	f.Fuzz(func(t *testing.T, body string) {
		visible, m := marked(body)
		if !strings.HasPrefix(body, visible) {
			t.Errorf("%q is not the beginning of %q", visible, body)
		}
		if _, err := json.Marshal(m); err != nil {
			t.Error(err)
		}
		if _, again := marked(withdrawn(body)); !again.Withdrawn && utf8.ValidString(body) {
			t.Errorf("%q cannot be withdrawn", body)
		}
	})
}
