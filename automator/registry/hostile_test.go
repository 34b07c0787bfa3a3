package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sealift.dev/automator/registry"
)

// raw answers with a body as it is written.
func raw(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

func TestBadLists(t *testing.T) {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"1.0.0",`, n), ",") }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no JSON":            {raw("<html>"), "invalid character"},
		"an array":           {raw(`["1.0.0"]`), "it is no object"},
		"empty":              {raw(""), "unexpected EOF"},
		"cut off":            {raw(`{"tags": ["1.0.0"`), "unexpected EOF"},
		"cut off in a tag":   {raw(`{"tags": ["1.0.0", "1.1`), "unexpected EOF"},
		"null":               {raw(`{"name": "apps/shop", "tags": null}`), "its list of tags is null"},
		"no tags":            {raw(`{"name": "apps/shop"}`), "it has no list of tags"},
		"tags are text":      {raw(`{"tags": "1.0.0"}`), "its tags are no list"},
		"a tag is a number":  {raw(`{"tags": ["1.0.0", 2]}`), "one of its tags is no text"},
		"a tag is a list":    {raw(`{"tags": ["1.0.0", ["2"]]}`), "one of its tags is no text"},
		"twice":              {raw(`{"tags": ["1.0.0"], "tags": []}`), "it has two lists of tags"},
		"something behind":   {raw(`{"tags": ["1.0.0"]} x`), "there is something behind it"},
		"two documents":      {raw(`{"tags": ["1.0.0"]}{"tags": []}`), "there is something behind it"},
		"deep":               {raw(`{"manifest": ` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `, "tags": []}`), "nested deeper than 32"},
		"a long tag":         {raw(`{"tags": ["` + strings.Repeat("x", 200_000) + `"]}`), "a value has more than 65536 bytes"},
		"blanks without end": {raw(strings.Repeat(" ", 200_000)), "a value has more than 65536 bytes"},
		"too many":           {raw(`{"tags": [` + many(200_001) + `]}`), "there are more than 200000 tags"},
		"unasked 304":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "was not asked that"},
		"encoded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			page(w, "", "1.0.0")
		}, "content encoding"},
		"shorter than it says": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			page(w, "", "1.0.0")
		}, "unexpected EOF"},
		"no repository":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "hint: check the name"},
		"unauthorised":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "hint: docker login"},
		"forbidden":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "hint: docker login"},
		"escape codes":          {refuse("evil\x1b[31m\nnext line"), "(DENIED: evil·[31m next line)"},
		"pages round and round": {func(w http.ResponseWriter, r *http.Request) { page(w, r.URL.Path+"?last=1.0.0", "1.0.0") }, "one that it has given before"},
		"pages without end": {func(w http.ResponseWriter, r *http.Request) {
			page(w, r.URL.Path+"?last="+r.URL.Query().Get("last")+"x", "1.0.0")
		}, "more than 2000 pages"},
		"next page on another host":   {next("http://127.0.0.2:1/v2/apps/shop/tags/list?last=1"), "on another host"},
		"next page by another scheme": {nextAt("https://%s/v2/apps/shop/tags/list?last=1"), `by "https", not by http; hint: `},
		"next page with a password":   {nextAt("http://ann:secret@%s/v2/apps/shop/tags/list?last=1"), "on another host"},
		"next page elsewhere":         {next("//127.0.0.2:1/v2/apps/shop/tags/list?last=1"), "on another host"},
		"next page of another":        {next("/v2/apps/other/tags/list?last=1"), "of another repository"},
		"next page above":             {next("/v2/apps/shop/../other/tags/list?last=1"), "of another repository"},
		"next page of no list":        {next("/v2/apps/shop/manifests/1?last=1"), "of another repository"},
		"next page without a query":   {next("/v2/apps/shop/tags/list"), "has no query"},
		"next link does not parse":    {next("http://[::1/v2/"), "does not parse"},
		"next link is long":           {next("/v2/apps/shop/tags/list?last=" + strings.Repeat("x", 5000)), "more than 4096 bytes"},
		"second page is broken": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") != "" {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			page(w, r.URL.Path+"?last=1.0.0", "1.0.0")
		}, "500 Internal Server Error"},
		"second page is null": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") != "" {
				page(w, "")
				return
			}
			page(w, r.URL.Path+"?last=1.0.0", "1.0.0")
		}, "its list of tags is null"},
		"hangs up in the second page": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") == "" {
				page(w, r.URL.Path+"?last=1.0.0", "1.0.0")
				return
			}
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"tags": ["1.1.0",`)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, test.answer)
			listing, err := anonymous(t, registry.Options{}).Tags(t.Context(), d.repo, nil, func(string) {})
			if err == nil || listing.Complete || !strings.Contains(err.Error(), test.want) ||
				!strings.HasPrefix(err.Error(), "listing tags of "+d.repo+": ") {
				t.Errorf("%+v, %v; want %q", listing, err, test.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("not fit for a terminal: %q", err)
			}
		})
	}
}

func refuse(message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": "DENIED", "message": message}}})
	}
}

func next(link string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { page(w, link, "1.0.0") }
}

func nextAt(link string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { page(w, fmt.Sprintf(link, r.Host), "1.0.0") }
}

// TestOddButGoodLists are the twins of the bad ones.
func TestOddButGoodLists(t *testing.T) {
	second := func(link func(r *http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("token") != "" {
				page(w, "", "1.1.0")
				return
			}
			w.Header().Add("Link", `</v2/>; rel="first"`)
			w.Header().Add("Link", `</v2/>; rel=prev, <`+link(r)+`>; title="next"; rel=Next`)
			page(w, "", "1.0.0")
		}
	}
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		want    []string
		invalid int
	}{
		"nothing":         {raw(`{"name": "apps/shop", "tags": []}`), nil, 0},
		"other fields":    {raw(`{"manifest": {"sha256:0": {"tag": ["x"], "size": 1}}, "child": [], "tags": ["1.0.0"], "name": null}`), []string{"1.0.0"}, 0},
		"no valid names":  {raw(`{"tags": ["1.0.0", "", "-x", ".x", "a b", "a\n1.9.0", "9.9.9\u001b[31m", "ä", "a/b", "` + strings.Repeat("x", 129) + `", "_x"]}`), []string{"1.0.0", "_x"}, 9},
		"the longest tag": {raw(`{"tags": ["` + strings.Repeat("x", 128) + `"]}`), []string{strings.Repeat("x", 128)}, 0},
		"a path":          {second(func(*http.Request) string { return "/v2/apps/shop/tags/list?token=x" }), []string{"1.0.0", "1.1.0"}, 0},
		"a whole URL":     {second(func(r *http.Request) string { return "http://" + r.Host + "/v2/apps/shop/tags/list?token=x" }), []string{"1.0.0", "1.1.0"}, 0},
		"a query alone":   {second(func(*http.Request) string { return "?token=x" }), []string{"1.0.0", "1.1.0"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, test.answer)
			tags, listing := list(t, anonymous(t, registry.Options{}), d.repo)
			if !slices.Equal(tags, test.want) || listing.Invalid != test.invalid || !listing.Complete {
				t.Errorf("%q, %+v", tags, listing)
			}
		})
	}
}

// TestListBehindARedirect: the answering host's next link counts, and is asked for at the first.
func TestListBehindARedirect(t *testing.T) {
	behind := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the credentials went along")
		}
		if r.URL.Query().Get("last") != "" {
			page(w, "", "1.1.0")
			return
		}
		page(w, r.URL.Path+"?last=1.0.0", "1.0.0")
	})
	front := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, behind.server.URL+"/v2/mirror/shop/tags/list?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
	})
	tags, _ := list(t, anonymous(t, registry.Options{}), front.repo)
	if !slices.Equal(tags, []string{"1.0.0", "1.1.0"}) || len(front.requests()) != 2 {
		t.Errorf("%q", tags)
	}
}

// TestMemoryOfAHundredThousandTags: what is held does not grow with the list.
func TestMemoryOfAHundredThousandTags(t *testing.T) {
	const count, perPage = 100_000, 1000
	held := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		from := 0
		_, _ = fmt.Sscanf(r.URL.Query().Get("last"), "1.0.0-build.%d", &from)
		if from == count {
			page(w, "")
			return
		}
		if from+perPage < count {
			w.Header().Set("Link", fmt.Sprintf(`<%s?last=1.0.0-build.%06d>; rel="next"`, r.URL.Path, from+perPage))
		}
		fmt.Fprint(w, `{"name": "apps/shop", "tags": ["1.0.0-build.`)
		for i := range perPage {
			if i > 0 {
				fmt.Fprint(w, `", "1.0.0-build.`)
			}
			fmt.Fprintf(w, "%06d", from+i+1)
		}
		fmt.Fprint(w, `"]}`)
	}))
	defer server.Close()
	c := anonymous(t, registry.Options{})
	before, most, seen := held(), uint64(0), 0
	listing, err := c.Tags(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/apps/shop", nil, func(string) {
		if seen++; seen%10_000 == 0 {
			most = max(most, held())
		}
	})
	if err != nil || seen != count || listing.Requests != count/perPage+1 { // the last page is full: one more question
		t.Fatalf("%d tags, %+v, %v", seen, listing, err)
	}
	if grown := int64(most) - int64(before); grown > 2<<20 {
		t.Errorf("%d bytes are held for a list of %d tags", grown, count)
	}
}

func TestNamesOfRepositories(t *testing.T) {
	c := anonymous(t, registry.Options{})
	for _, repo := range []string{"", "Upper/case", "a b", "a/b:1", "a/b@sha256:0", "https://a/b"} {
		if _, err := c.Tags(t.Context(), repo, nil, func(string) {}); err == nil {
			t.Errorf("%q is accepted", repo)
		}
		c.Hint(repo)
	}
	if _, err := registry.New(registry.Options{Rate: -1}); err == nil {
		t.Error("a negative rate is accepted")
	}
}

func TestSame(t *testing.T) {
	for _, same := range [][2]string{
		{"nginx", "docker.io/library/nginx"}, {"index.docker.io/library/nginx", "library/nginx"},
		{"registry.example.com/apps/shop", "Registry.Example.com/apps/shop"},
	} {
		if !registry.Same(same[0], same[1]) {
			t.Errorf("%q are two", same)
		}
	}
	for _, other := range [][2]string{{"nginx", "quay.io/library/nginx"}, {"a/b", "a/c"}, {"", ""}, {"A/b", "A/b"}} {
		if registry.Same(other[0], other[1]) {
			t.Errorf("%q are one", other)
		}
	}
}

func TestNoEncryption(t *testing.T) {
	_, err := anonymous(t, registry.Options{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "http" {
			t.Errorf("%s was asked without encryption", r.URL)
		}
		return nil, errors.New("nobody is there")
	})}).Tags(t.Context(), "10.255.255.1/apps/shop", nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "not encrypted; hint: use https") {
		t.Errorf("%v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
