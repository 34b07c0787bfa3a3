package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealift.dev/internal/httpx"
	"sealift.dev/test/stage"
)

// guarded asks for the password that is valid now.
type guarded struct {
	password atomic.Value // string
	asked    atomic.Int64 // times that credentials were asked for
	seen     atomic.Value // the last Authorization
}

func (g *guarded) protect(o *stage.GitOptions) {
	wrap := o.Wrap
	o.Wrap = func(next http.Handler) http.Handler {
		return wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.seen.Store(r.Header.Get("Authorization"))
			if _, password, _ := r.BasicAuth(); password != g.password.Load() && r.Header.Get("Authorization") != "Bearer "+g.password.Load().(string) {
				w.Header().Set("Www-Authenticate", `Basic realm="git"`)
				http.Error(w, "Invalid username or token.", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		}))
	}
}

func newGuarded(t *testing.T) (*guarded, *server) {
	t.Helper()
	g := new(guarded)
	g.password.Store("first")
	return g, newServer(t, map[string]string{"a.yaml": "a: 1\n"}, g.protect)
}

// TestExpiredToken: a token that expires between two requests is renewed, if there is a new one.
func TestExpiredToken(t *testing.T) {
	g, s := newGuarded(t)
	token := "first"
	r := s.open(func(o *Options) {
		o.Credentials = func(context.Context) (string, string, error) {
			g.asked.Add(1)
			defer func() { token = g.password.Load().(string) }() // as a cache does that renews late
			return "bot", token, nil
		}
	})
	mustBump(t, r, "a: 2\n", "a.yaml")
	g.password.Store("second")
	mustBump(t, r, "a: 3\n", "a.yaml")
	g.password.Store("third")
	token = "second"
	base := mustSnapshot(t, r, "main")
	p := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 4\n")})
	g.password.Store("fourth")
	token = "third"
	if err := r.Push(t.Context(), []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}, PushOptions{}); err != nil {
		t.Errorf("a push with a renewed token: %v", err)
	}
	fixed := s.open(func(o *Options) {
		o.Credentials = func(context.Context) (string, string, error) { return "bot", "first", nil }
	})
	s.reset()
	_, err := fixed.Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "401 Unauthorized", "Invalid username or token.", "hint: pass a user name and a password or token")
	if requests, _, _ := s.counts(); requests != 1 {
		t.Errorf("%d requests with the same token", requests)
	}
	if strings.Contains(err.Error(), "first") {
		t.Errorf("%v tells the password", err)
	}
}

func TestCredentials(t *testing.T) {
	g, s := newGuarded(t)
	for name, test := range map[string]struct {
		user, password string
		err            error
		want           string
	}{
		"basic":     {"bot", "first", nil, ""},
		"bearer":    {"", "first", nil, ""},
		"anonymous": {"", "", nil, "401"},
		"wrong":     {"bot", "x", nil, "401"},
		"none":      {"", "", errors.New("the file is gone"), "asking for credentials: the file is gone"},
	} {
		r := s.open(func(o *Options) {
			o.Credentials = func(context.Context) (string, string, error) { return test.user, test.password, test.err }
		})
		_, err := r.Refs(t.Context(), "refs/heads/main")
		if test.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if test.want != "" {
			wantError(t, err, test.want)
		}
		if sent, _ := g.seen.Load().(string); test.err == nil && (sent == "") != (name == "anonymous") {
			t.Errorf("%s: the server saw %q", name, sent)
		}
	}
}

// TestRedirects: the way may lead elsewhere, the credentials not.
func TestRedirects(t *testing.T) {
	g, s := newGuarded(t)
	credentials := func(o *Options) {
		o.Credentials = func(context.Context) (string, string, error) { return "bot", "first", nil }
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(w, r, s.git.URL+strings.Replace(r.URL.RequestURI(), "/moved", "/shop.git", 1), http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, "/login"):
			http.Redirect(w, r, "/users/sign_in", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/round"):
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/down"):
			http.Redirect(w, r, "ftp://example.com"+r.URL.RequestURI(), http.StatusFound)
		}
	}))
	defer front.Close()
	refs := func(path string) error {
		_, err := s.open(credentials, func(o *Options) { o.URL = front.URL + path }).Refs(t.Context(), "refs/heads/main")
		return err
	}
	g.seen.Store("nothing")
	wantError(t, refs("/moved"), "401")
	if got := g.seen.Load(); got != "" {
		t.Errorf("another host got %q", got)
	}
	wantError(t, refs("/login"), "/users/sign_in, which is no Git repository")
	wantError(t, refs("/round"), "more than 5 redirects")
	wantError(t, refs("/down"), `a redirect from http to "ftp"`)
	// The same without a password: everything goes on where the way led.
	open := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	s.git = open.git
	mustBump(t, s.open(func(o *Options) { o.URL = front.URL + "/moved" }), "a: 2\n", "a.yaml")
	if got := open.run(open.bare, "show", "main:a.yaml"); got != "a: 2" {
		t.Errorf("it holds %q", got)
	}
}

func TestOddServers(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   []string
	}{
		"dumb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("1234\trefs/heads/main\n"))
		}, []string{"not Git's smart protocol", "dumb", "hint: "}},
		"a page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>"))
		}, []string{`"text/html"`, "hint: "}},
		"not there": {http.NotFound, []string{"404 Not Found", "private repository"}},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "account\x1b[31m suspended", http.StatusForbidden)
		}, []string{"403 Forbidden: account·[31m suspended", "check their rights"}},
		"broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, []string{"500 Internal Server Error"}},
		"an error packet": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte("0016ERR repository gone"))
		}, []string{"the server says: repository gon"}},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("000eversion 2\n" + strings.Repeat("000bunborn\n", 999)))
			}
		}, []string{"more than 1000 capabilities"}},
		"empty": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		}, []string{"unexpected EOF"}},
		"sha256": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			var r request
			r.line("version 2\n")
			r.line("object-format=sha256\n")
			r.mark(flush)
			_, _ = w.Write(r.Bytes())
		}, []string{"named by sha256", "hint: "}},
	} {
		t.Run(name, func(t *testing.T) {
			odd := httptest.NewServer(test.answer)
			defer odd.Close()
			r, err := Open(Options{URL: odd.URL + "/shop.git"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Refs(t.Context(), "refs/heads/main")
			wantError(t, err, append(test.want, "reading the branches of "+odd.URL+"/shop.git: ")...)
		})
	}
}

// TestStalledServer: an answer that does not come, or stops, ends with an error.
func TestStalledServer(t *testing.T) {
	for name, stall := range map[string]func(w http.ResponseWriter){
		"at once": func(http.ResponseWriter) {},
		"midway": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, "000eversion 2\n")
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				stall(w)
				<-r.Context().Done()
			}))
			defer stalled.Close()
			r, err := Open(Options{URL: stalled.URL})
			if err != nil {
				t.Fatal(err)
			}
			r.wire.(*httpWire).pace = func(string) httpx.Pace {
				return httpx.Pace{Header: 50 * time.Millisecond, Window: 50 * time.Millisecond, Bytes: 1000}
			}
			_, err = r.Refs(t.Context(), "refs/heads/main")
			if !errors.Is(err, httpx.ErrSlow) {
				t.Errorf("got %v, want ErrSlow", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			r.wire.(*httpWire).pace = paceOf
			time.AfterFunc(50*time.Millisecond, cancel)
			if _, err = r.Refs(ctx, "refs/heads/main"); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want Canceled", err)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"https://example.com/a/b.git":        "https://example.com/a/b.git",
		"https://example.com:8443/a/b.git/":  "https://example.com:8443/a/b.git",
		"ssh://git@example.com/a/b.git":      "ssh://git@example.com /a/b.git",
		"ssh://example.com:2222/~ann/b.git":  "ssh://example.com:2222 ~ann/b.git",
		"git@example.com:a/b.git":            "ssh://git@example.com a/b.git",
		"example.com:/srv/b.git":             "ssh://example.com /srv/b.git",
		"git@[::1]:a":                        "ssh://git@[::1] a",
		"https://ann:secret@example.com/a":   "error: credentials do not belong",
		"https://ann@example.com/a":          "error: credentials do not belong",
		"ssh://ann:secret@example.com/a":     "error: credentials do not belong",
		"ssh://-oProxyCommand=touch/x":       "error: no acceptable path",
		"git@example.com:-x":                 "error: no acceptable path",
		"-oProxyCommand=x:y":                 "error: no acceptable path",
		"ftp://example.com/a":                "error: only https://",
		"file:///etc":                        "error: only https://",
		"/etc":                               "error: has no host",
		"":                                   "error: has no host",
		"https:///a":                         "error: has no host",
		"https://ann:se%zzcret@example.com/": "error: does not parse",
	} {
		u, err := parseAddress(address)
		if problem, isError := strings.CutPrefix(want, "error: "); isError {
			wantError(t, err, problem, "hint: ")
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells the password", err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		got := u.String()
		if u.Scheme == "ssh" {
			got = strings.TrimSuffix(strings.TrimSuffix(got, u.Path), "/") + " " + u.Path
		}
		if got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	r, err := Open(Options{URL: "http://git.example.com/shop.git", Credentials: func(context.Context) (string, string, error) { return "a", "b", nil }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Refs(t.Context(), "refs/heads/main")
	wantError(t, err, "git.example.com is not encrypted; hint: use https")
}
