package automator

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sealift.dev/automator/remote"
)

// mustFail asserts one clear error and an untouched branch.
func mustFail(t *testing.T, git *gitServer, opts Options, want ...string) {
	t.Helper()
	var before string
	if git != nil {
		before = git.git(git.bare, "for-each-ref")
	}
	result, err := Run(t.Context(), opts)
	if err == nil || result.Pushed {
		t.Fatalf("no error: %+v", result)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if git != nil && git.git(git.bare, "for-each-ref") != before {
		t.Error("the repository has changed")
	}
}

func TestBadOptions(t *testing.T) {
	for repo, want := range map[string]string{
		"":                               "hint: write https://HOST/PATH",
		"/tmp/shop":                      "hint: write https://HOST/PATH",
		"ssh://git@example.com/shop":     "there is no SSH key",
		"git://example.com/shop":         "are supported; hint: write https://HOST/PATH",
		"https:///shop":                  "has no host",
		"https://ann:secret@example.com": "credentials do not belong in the URL",
		"https://ann:sec\nret@x":         "does not parse",
		"http://git.example.com/shop":    "not encrypted; hint: use https",
	} {
		_, err := Run(t.Context(), Options{Repo: repo, Branch: branchMain})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q: %v, want %q", repo, err, want)
		}
	}
	opts := Options{Repo: "https://git.example.com/shop", Author: Author{Name: "Ann\nparent 0", Email: "a@b"}}
	if _, err := Run(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "line breaks") {
		t.Errorf("author: %v", err)
	}
}

func TestBadRepositories(t *testing.T) {
	git := newGitServer(t, map[string]string{"README": "x"}, nil)
	t.Run("no configuration", func(t *testing.T) {
		mustFail(t, git, git.options(), "main of "+git.url, "no sealift.yaml", "hint:")
	})
	t.Run("no branch", func(t *testing.T) {
		opts := git.options()
		opts.Branch = "nowhere"
		mustFail(t, git, opts, git.url, `no branch "nowhere"`, "hint:")
	})
	t.Run("no repository", func(t *testing.T) {
		opts := git.options()
		opts.Repo += "x"
		mustFail(t, git, opts, opts.Repo, "404 Not Found", "hint: check the URL")
	})
	t.Run("empty repository", func(t *testing.T) {
		empty := newGitServer(t, nil, nil)
		mustFail(t, nil, empty.options(), empty.url, "hint: push it first")
	})
	t.Run("unreachable", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		mustFail(t, nil, Options{Repo: server.URL + "/shop", Branch: branchMain}, server.URL, "connection refused")
	})
	t.Run("link", func(t *testing.T) {
		linked := newGitServer(t, map[string]string{"other.yaml": configFor("x/y", "*"), "sealift.yaml": "symlink:other.yaml"}, nil)
		mustFail(t, linked, linked.options(), "no sealift.yaml")
	})
}

func TestGitCredentials(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	files := map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}
	git := newGitServer(t, files, func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch user, password, _ := r.BasicAuth(); {
			case password != "secret":
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
			case user == "reader" && strings.Contains(r.URL.String(), "receive-pack"):
				w.WriteHeader(http.StatusForbidden)
			default:
				inner.ServeHTTP(w, r)
			}
		})
	})
	opts := git.options()
	mustFail(t, git, opts, git.url, "401 Unauthorized", "hint: pass a user name")
	opts.Git.Credentials = credentials("ann", "wrong-password")
	mustFail(t, git, opts, git.url, "401 Unauthorized", "hint: pass a user name")
	opts.Git.Credentials = credentials("reader", "secret")
	mustFail(t, git, opts, "pushing to "+git.url, "hint: these credentials may not")
	opts.Git.Credentials = credentials("ann", "secret")
	if result, err := Run(t.Context(), opts); err != nil || !result.Pushed {
		t.Errorf("the right password: %+v, %v", result, err)
	}
}

func credentials(user, password string) remote.Credentials {
	return func(context.Context) (string, string, error) { return user, password, nil }
}

// TestRedirectKeepsCredentials: a redirect to another host gets no password.
func TestRedirectKeepsCredentials(t *testing.T) {
	var leaked []string
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if auth := r.Header.Get("Authorization"); auth != "" {
			leaked = append(leaked, auth)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer canary.Close()
	git := newGitServer(t, nil, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, canary.URL+r.URL.RequestURI(), http.StatusFound)
		})
	})
	opts := git.options()
	opts.Git.Credentials = credentials("ann", "secret")
	mustFail(t, nil, opts, "404 Not Found")
	if len(leaked) > 0 {
		t.Errorf("the canary got %q", leaked)
	}
}

// tagServer answers lists of tags by hand, for what a real registry never says.
func tagServer(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/apps/shop"
}

func TestOneBadImageDoesNotHoldUpTheOthers(t *testing.T) {
	image := newRegistry(t, "1.2.0")
	locked := tagServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	config := configFor(image, "*") + "    - {name: locked, image: " + locked + ", select: {semver: '*'}}\n"
	files := map[string]string{
		"sealift.yaml": config, "shop.yaml": deployment(image + ":1.1.0"),
		"locked.yaml": "a: 2.0.0 # {\"$imagepolicy\": \"locked:locked:tag\"}\n",
	}
	git := newGitServer(t, files, nil)
	result, err := Run(t.Context(), git.options())
	if err == nil || !strings.Contains(err.Error(), "listing tags of "+locked) || !result.Pushed || len(result.Changes) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := git.show("shop.yaml"); got != deployment(image+":1.2.0") {
		t.Errorf("shop.yaml is %q", got)
	}
	if got := git.show("locked.yaml"); got != files["locked.yaml"] {
		t.Errorf("locked.yaml is %q", got)
	}
}
