package registry

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzReadTags: whatever a page holds, it is read to its end, or refused; never cut short.
func FuzzReadTags(f *testing.F) {
	for _, body := range []string{
		`{"name": "apps/shop", "tags": ["1.0.0", "1.1.0"]}`, `{"tags": null}`, `{"tags": []}`, `{"tags": ["a"], "tags": []}`,
		`{"manifest": {"sha256:0": {"tag": []}}, "tags": ["a"]}`, `{"tags": ["a"`, `[]`, `{}`, `{"tags": [1]}`, ` {"tags":["\u0061"]} `,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var tags []string
		count, err := readTags(strings.NewReader(body), func(tag string) error {
			tags = append(tags, tag)
			return nil
		})
		if err == nil && count != len(tags) {
			t.Errorf("%q: %d tags, %d counted", body, len(tags), count)
		}
		if len(body) == 0 || err != nil {
			return
		}
		// Whatever is cut off in the middle is no page.
		whole := strings.TrimRight(body, " \t\r\n")
		if _, err := readTags(strings.NewReader(whole[:len(whole)-1]), func(string) error { return nil }); err == nil {
			t.Errorf("%q is read although its end is missing", whole[:len(whole)-1])
		}
	})
}

// FuzzNextQuery: no link leads anywhere but to the same list.
func FuzzNextQuery(f *testing.F) {
	for _, link := range []string{
		`</v2/apps/shop/tags/list?last=1>; rel="next"`, `<http://evil/v2/apps/shop/tags/list?last=1>; rel=next`, `<?a>;rel=next`,
		`<a>; rel=prev, <?b>; rel=next`, `<//evil?x>; rel=next`, `<\evil?x>; rel=next`, `<`, `<>;rel=next`, `<http://[::1?x>;rel=next`, `<?x#y>;rel=next`,
	} {
		f.Add(link)
	}
	asked := &url.URL{Scheme: "https", Host: "registry.example.com", Path: "/v2/apps/shop/tags/list", RawQuery: "n=1000"}
	f.Fuzz(func(t *testing.T, link string) {
		response := &http.Response{Header: http.Header{"Link": {link}}, Request: &http.Request{URL: asked}}
		query, err := nextQuery(response, "apps/shop")
		if err != nil || query == "" {
			return
		}
		at, err := url.Parse("https://registry.example.com/v2/apps/shop/tags/list?" + query)
		if err != nil {
			return // refused before it is asked for
		}
		if at.Scheme != asked.Scheme || at.Host != asked.Host || at.Path != asked.Path {
			t.Errorf("%q leads to %s", link, at)
		}
	})
}

// TestSpansHoldEveryTag: random prefixes and tags; whatever begins with a prefix is inside.
func TestSpansHoldEveryTag(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(most int) string {
		const letters = "019.-_AZabvz"
		b := make([]byte, 1+random.IntN(most))
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	for range 20_000 {
		var prefixes []string
		for range 1 + random.IntN(4) {
			prefixes = append(prefixes, word(3))
		}
		spans := spansOf(prefixes)
		if !slices.IsSortedFunc(spans, func(a, b span) int { return strings.Compare(a.after, b.after) }) {
			t.Fatalf("%q: out of order: %q", prefixes, spans)
		}
		for range 20 {
			tag := prefixes[random.IntN(len(prefixes))] + word(4)
			in := 0
			for _, s := range spans {
				if tag > s.after && !s.ends(tag) {
					in++
				}
			}
			if in == 0 {
				t.Fatalf("%q: %q is in none of %q", prefixes, tag, spans)
			}
		}
	}
	for prefix, want := range map[string]string{"1.": "1", "2": "1zzzz", "1.2": "1.1zzzz", "v": "uzzzz", "v1.": "v1", "0": "", "a": "", "A": "", "_": "", "x0": "x"} {
		if got := before(prefix); got != want || got >= prefix {
			t.Errorf("before %q: %q, want %q", prefix, got, want)
		}
	}
	if spansOf([]string{"1.", ""}) != nil || spansOf(nil) != nil {
		t.Error("a part is made of everything")
	}
	if got := fmt.Sprint(spansOf([]string{"v1.", "1.3", "1.", "1.2", "1."})); got != "[{1 1.} {v1 v1.}]" {
		t.Errorf("%s", got)
	}
}
