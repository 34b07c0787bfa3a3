package artifact

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const goodManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
	`"config":{"mediaType":"a","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},` +
	`"layers":[{"mediaType":"b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}]}`

// quick hangs up fast enough for a test.
func quick() pace {
	return pace{Header: 2 * time.Second, Window: 300 * time.Millisecond, Bytes: 1000}
}

// answerWith answers every request with body, under a content type and edited headers.
func answerWith(body, contentType string, edits ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(edits); i += 2 {
			w.Header().Set(edits[i], edits[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

func TestManifestRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodManifest, old, new, 1) }
	many := strings.Builder{}
	for i := range 100_000 {
		fmt.Fprintf(&many, `"a%d":"",`, i)
	}
	for name, c := range map[string]struct {
		body, contentType, want string
		is                      error
	}{
		"good":                 {goodManifest, "", "", nil},
		"content type":         {goodManifest, ocispec.MediaTypeImageManifest + "; charset=utf-8", "", nil},
		"another content type": {goodManifest, ocispec.MediaTypeImageIndex, "it was sent as", ErrCorrupt},
		"no media type":        {replace(`"mediaType":"application/vnd.oci.image.manifest.v1+json",`, ""), "", "media type", ErrCorrupt},
		"index":                {`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, ocispec.MediaTypeImageIndex, "media type", ErrCorrupt},
		"both":                 {replace(`"layers"`, `"manifests":[],"layers"`), "", "something else", ErrCorrupt},
		"Docker schema 1":      {`{"schemaVersion":1,"name":"x","fsLayers":[]}`, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema version", ErrCorrupt},
		"duplicate key":        {replace(`"layers"`, `"layers":[],"layers"`), "", "twice", ErrCorrupt},
		"key in another case":  {replace(`"layers"`, `"Layers":[],"layers"`), "", "in case only", ErrCorrupt},
		"trailing bytes":       {goodManifest + "{}", "", "bytes follow", ErrCorrupt},
		"not JSON":             {"<html>", "", "JSON", ErrCorrupt},
		"negative size":        {replace(`"size":2`, `"size":-1`), "", "size of -1", ErrCorrupt},
		"size of 2^62":         {replace(`"size":2`, `"size":4611686018427387904`), "", "size of 4611686018427387904", ErrCorrupt},
		"odd digest":           {replace("sha256:44136fa", "sha256:xyz"), "", "not a sha256 digest", ErrCorrupt},
		"foreign urls":         {replace(`"size":2`, `"size":2,"urls":["http://169.254.169.254/"]`), "", "lies elsewhere", ErrCorrupt},
		"large annotation":     {replace(`"layers"`, `"annotations":{"a":"`+strings.Repeat("x", 1<<20)+`"},"layers"`), "", "bytes of annotations", ErrLimit},
		"many annotations":     {replace(`"layers"`, `"annotations":{`+many.String()+`"z":""},"layers"`), "", "100001 annotations", ErrLimit},
		"over 4 MiB":           {replace(`"layers"`, strings.Repeat(" ", 4<<20)+`"layers"`), "", "more than 4194304 bytes", ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			if c.contentType == "" {
				c.contentType = ocispec.MediaTypeImageManifest
			}
			repository := serve(t, answerWith(c.body, c.contentType))
			_, err := NewRegistry(Options{PlainHTTP: true}).Manifest(t.Context(), repository.At(digest.FromString(c.body)))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), repository.String()) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestManifestOverTheWire(t *testing.T) {
	plain := answerWith(goodManifest, ocispec.MediaTypeImageManifest)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		is      error
	}{
		"good":                {plain, "", nil},
		"wrong digest header": {answerWith(goodManifest, ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString("x").String()), "", nil},
		"another body":        {answerWith(goodManifest+" ", ocispec.MediaTypeImageManifest), "its bytes have the digest", ErrCorrupt},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.(http.Flusher).Flush()
			zip := gzip.NewWriter(w)
			_, _ = io.CopyN(zip, zeros{}, 64<<20)
			_ = zip.Close()
		}, "content encoding", ErrCorrupt},
		"without end": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.CopyN(w, zeros{}, 1<<20); err != nil {
					return
				}
			}
		}, "more than 4194304 bytes", ErrLimit},
		"a byte at a time": {func(w http.ResponseWriter, r *http.Request) {
			for _, b := range []byte(goodManifest) {
				_, _ = w.Write([]byte{b})
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, "too slow", ErrUnavailable},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "too slow", ErrUnavailable},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
		}, "unexpected EOF", ErrUnavailable},
		"status 500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500", ErrUnavailable},
		"status 429": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "status 429", ErrUnavailable},
		"status 401": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "hint: log in", ErrUnauthorized},
		"status 403": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"\u001b[31mno"}]}`)
		}, `DENIED \x1b[31mno`, ErrUnauthorized},
		"redirect loop": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, 307) }, "redirects", ErrUnavailable},
		"redirect to metadata": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", 307)
		}, "link-local", ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			repository := serve(t, c.handler)
			started := time.Now()
			_, err := newRegistry(Options{PlainHTTP: true, Patience: -1}, quick()).Manifest(t.Context(), repository.At(digest.FromString(goodManifest)))
			if time.Since(started) > time.Minute {
				t.Error("it took", time.Since(started))
			}
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Count(err.Error(), repository.Host) != 1 {
				t.Errorf("%q does not name the registry once", err)
			}
		})
	}
}

func TestResolveThenManifestOfAnotherDigest(t *testing.T) {
	repository := serve(t, answerWith(goodManifest, ocispec.MediaTypeImageManifest, "Docker-Content-Digest", digest.FromString("x").String()))
	r := NewRegistry(Options{PlainHTTP: true})
	ref, err := r.Resolve(t.Context(), repository, "main")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Manifest(t.Context(), ref); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	odd := serve(t, answerWith("", "", "Docker-Content-Digest", "sha256:x\x1b"))
	if _, err := r.Resolve(t.Context(), odd, "main"); err == nil || strings.Contains(err.Error(), "\x1b") {
		t.Fatal(err)
	}
	silent := serve(t, answerWith(goodManifest, ocispec.MediaTypeImageManifest))
	if ref, err := r.Resolve(t.Context(), silent, "main"); err != nil || ref.Digest != digest.FromString(goodManifest) {
		t.Fatal(ref, err)
	}
}

func TestBlob(t *testing.T) {
	good := describe("x", []byte("hello"))
	edit := func(f func(*ocispec.Descriptor)) ocispec.Descriptor { d := good; f(&d); return d }
	for name, c := range map[string]struct {
		body string
		desc ocispec.Descriptor
		want string
		is   error
	}{
		"good":          {"hello", good, "", nil},
		"other bytes":   {"hellO", good, "have the digest", ErrCorrupt},
		"fewer bytes":   {"hell", good, "4 bytes instead of the 5", ErrCorrupt},
		"more bytes":    {"hello" + strings.Repeat("x", 1<<20), good, "more bytes than the 5", ErrCorrupt},
		"size lies":     {"hello", edit(func(d *ocispec.Descriptor) { d.Size = 4 }), "more bytes than the 4", ErrCorrupt},
		"over limit":    {"hello", edit(func(d *ocispec.Descriptor) { d.Size = 1001 }), "more than 1000", ErrLimit},
		"negative size": {"hello", edit(func(d *ocispec.Descriptor) { d.Size = -1 }), "size of -1", ErrCorrupt},
		"urls":          {"hello", edit(func(d *ocispec.Descriptor) { d.URLs = []string{"http://x"} }), "lies elsewhere", ErrCorrupt},
		"odd digest":    {"hello", edit(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../x" }), "not a sha256 digest", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			repository := serve(t, answerWith(c.body, "application/octet-stream"))
			data, err := NewRegistry(Options{PlainHTTP: true}).Blob(t.Context(), repository, c.desc, 1000)
			if c.want == "" && (err != nil || string(data) != c.body) || c.want != "" && (!errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestReferrersRefuses(t *testing.T) {
	empty := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	var pages atomic.Int32
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
		is      error
	}{
		"good": {answerWith(empty, ocispec.MediaTypeImageIndex), "", nil},
		"pages without end": {func(w http.ResponseWriter, r *http.Request) {
			answerWith(empty, ocispec.MediaTypeImageIndex, "Link", fmt.Sprintf(`<%s?n=%d>; rel="next"`, r.URL.Path, pages.Add(1)))(w, r)
		}, "more than 64 pages", ErrLimit},
		"next page elsewhere": {answerWith(empty, ocispec.MediaTypeImageIndex, "Link", `<http://169.254.169.254/>; rel="next"`), "on another host", ErrCorrupt},
		"status 500":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500", ErrUnavailable},
		"not JSON":            {answerWith("x", ocispec.MediaTypeImageIndex), "JSON", ErrCorrupt},
		"tag is no index": {func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/referrers/") {
				w.WriteHeader(404)
				return
			}
			answerWith(goodManifest, ocispec.MediaTypeImageManifest)(w, r)
		}, "media type", ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			ref := serve(t, c.handler).At(digest.FromString("x"))
			_, err := NewRegistry(Options{PlainHTTP: true}).Referrers(t.Context(), ref, "", 10)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestReferrersPassesOverOddEntries(t *testing.T) {
	good := digest.FromString("good")
	entry := func(d, rest string) string { return `{"mediaType":"m","digest":"` + d + `"` + rest + `}` }
	index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Join([]string{
		entry("sha256:x", `,"size":1`), entry(good.String(), `,"size":-1`), entry(good.String(), `,"size":99999999`),
		entry(good.String(), `,"size":1,"urls":["http://x"]`), entry(good.String(), `,"size":1,"artifactType":"other"`),
		entry(good.String(), `,"size":1,"artifactType":"wanted"`),
	}, ",") + `]}`
	ref := serve(t, answerWith(index, ocispec.MediaTypeImageIndex)).At(digest.FromString("x"))
	found, err := NewRegistry(Options{PlainHTTP: true}).Referrers(t.Context(), ref, "wanted", 10)
	if err != nil || len(found) != 1 || found[0].ArtifactType != "wanted" {
		t.Fatal(found, err)
	}
}

// canary counts requests, and those that carry a credential.
func canary(t *testing.T, handler http.HandlerFunc) (address string, asked, told *atomic.Int32) {
	t.Helper()
	asked, told = &atomic.Int32{}, &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		if r.Header.Get("Authorization") != "" || strings.Contains(string(body), "hunter2") {
			told.Add(1)
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked, told
}

func withPassword() Options {
	return Options{PlainHTTP: true, Credentials: func(context.Context, string) (Credential, error) {
		return Credential{Username: "u", Password: "hunter2"}, nil
	}}
}

func TestTokenServers(t *testing.T) {
	token, _, _ := canary(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"t"}`) })
	huge, _, _ := canary(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"token":"`)
		_, _ = io.CopyN(w, endless('x'), 8<<20)
	})
	newline, _, _ := canary(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"t\r\nX: y"}`) })
	for name, c := range map[string]struct{ realm, want string }{
		"same host":           {token + "/token", ""},
		"localhost":           {strings.Replace(token, "127.0.0.1", "localhost", 1) + "/token", "another host"},
		"metadata":            {"http://169.254.169.254/token", "another host"},
		"another domain":      {"https://evil.example.com/token", "another host"},
		"a file":              {"file:///etc/passwd", "no acceptable address"},
		"user in the address": {strings.Replace(token, "http://", "http://127.0.0.1@", 1), "no acceptable address"},
		"no address":          {"", "no acceptable address"},
		"huge answer":         {huge, "failed to decode"},
		"newline":             {newline, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			var challenges atomic.Int32
			repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer t" {
					answerWith(goodManifest, ocispec.MediaTypeImageManifest)(w, r)
					return
				}
				challenges.Add(1)
				w.Header().Set("Www-Authenticate", `Bearer realm="`+c.realm+`",service="s"`)
				w.WriteHeader(401)
			}))
			_, err := NewRegistry(withPassword()).Manifest(t.Context(), repository.At(digest.FromString(goodManifest)))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if challenges.Load() > 3 {
				t.Error(challenges.Load(), "challenges")
			}
		})
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestNoCredentialReachesAnotherHost(t *testing.T) {
	address, asked, told := canary(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Www-Authenticate", `Basic realm="x"`)
		_, _ = io.WriteString(w, "hello")
	})
	elsewhere := strings.Replace(address, "127.0.0.1", "localhost", 1)
	repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("Www-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
			return
		}
		http.Redirect(w, r, elsewhere+"/blob", 307)
	}))
	data, err := NewRegistry(withPassword()).Blob(t.Context(), repository, describe("x", []byte("hello")), 10)
	if err != nil || string(data) != "hello" {
		t.Fatal(data, err)
	}
	if asked.Load() != 1 || told.Load() != 0 {
		t.Fatal(asked.Load(), told.Load())
	}
	realm := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Www-Authenticate", `Bearer realm="`+elsewhere+`/token"`)
		w.WriteHeader(401)
	}))
	if _, err := NewRegistry(withPassword()).Resolve(t.Context(), realm, "x"); !errors.Is(err, ErrUnauthorized) {
		t.Fatal(err)
	}
	if asked.Load() != 1 {
		t.Fatal("the token server was asked")
	}
}

// TestNoChallengeNamesAStranger writes the stranger's realm in every way that
// some client reads as a token server's.
func TestNoChallengeNamesAStranger(t *testing.T) {
	token := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"t"}`) }
	address, asked, told := canary(t, token)
	friend, _, _ := canary(t, token)
	stranger := strings.Replace(address, "127.0.0.1", "localhost", 1)
	for name, c := range map[string]struct {
		headers []string
		good    bool
	}{
		"benign":              {headers: []string{`Bearer realm="FRIEND",service="s"`}, good: true},
		"benign, tab":         {headers: []string{"Bearer\trealm=\"FRIEND\""}, good: true},
		"benign, then Basic":  {headers: []string{`Bearer realm="FRIEND", Basic realm="Registry"`}, good: true},
		"tab":                 {headers: []string{"Bearer\trealm=\"STRANGER\""}},
		"comma":               {headers: []string{`Bearer,realm="STRANGER"`}},
		"quote":               {headers: []string{`Bearer"x",realm="STRANGER"`}},
		"no separator":        {headers: []string{`Bearer"",service="s" ,realm="STRANGER"`}},
		"case":                {headers: []string{`bEARER Realm="STRANGER",realm="STRANGER"`}},
		"blanks":              {headers: []string{"Bearer  \t realm \t=\t \"STRANGER\""}},
		"second realm":        {headers: []string{`Bearer realm="FRIEND",realm="STRANGER"`}},
		"escape":              {headers: []string{`Bearer realm="\x68ttp` + strings.TrimPrefix(stranger, "http") + `"`}},
		"decoy in quotes":     {headers: []string{`Bearer x="\", Basic ",realm="STRANGER"`}},
		"decoy as a value":    {headers: []string{`Bearer x=Basic,realm="STRANGER"`}},
		"behind Basic":        {headers: []string{`Basic realm="x", Bearer realm="STRANGER"`}},
		"behind another one":  {headers: []string{`Negotiate abc==, Bearer realm="STRANGER"`}},
		"another header":      {headers: []string{`Basic realm="x"`, "Bearer\trealm=\"STRANGER\""}},
		"another header also": {headers: []string{"Bearer\trealm=\"STRANGER\"", `Basic realm="x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer t" {
					answerWith(goodManifest, ocispec.MediaTypeImageManifest)(w, r)
					return
				}
				for _, header := range c.headers {
					w.Header().Add("Www-Authenticate", strings.NewReplacer("FRIEND", friend, "STRANGER", stranger).Replace(header))
				}
				w.WriteHeader(401)
			}))
			_, err := NewRegistry(withPassword()).Manifest(t.Context(), repository.At(digest.FromString(goodManifest)))
			if c.good && err != nil || !c.good && !errors.Is(err, ErrUnauthorized) {
				t.Error(err)
			}
			if asked.Load() != 0 || told.Load() != 0 {
				t.Errorf("the stranger was asked %d times, and told %d times", asked.Load(), told.Load())
			}
		})
	}
}

func TestPlainHTTPHint(t *testing.T) {
	repository := serve(t, realRegistry(true))
	_, err := NewRegistry(Options{}).Resolve(t.Context(), repository, "main")
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "hint: the registry speaks plain HTTP") {
		t.Fatal(err)
	}
}
