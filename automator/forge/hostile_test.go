package forge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator/forge"
	"sealift.dev/test/stage/forges"
)

// faulty is a forge that answers everything in one way.
func faulty(t *testing.T, provider string, handler http.HandlerFunc) forge.Forge {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	f, err := forge.Open(forge.Options{
		Provider: provider, Repo: "https://git.example.com/acme/deploy.git", URL: server.URL,
		Token: func(context.Context) (string, error) { return token, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func providers() []string { return []string{forge.GitHub, forge.GitLab, forge.Gitea, forge.Forgejo} }

// TestFaultyAnswers are those of forges, and of what stands in front of them.
func TestFaultyAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string // in the error's text
	}{
		"error 500": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"boom"}`, http.StatusInternalServerError)
		}, "500 Internal Server Error: boom"},
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>Bad gateway</html>")
		}, "502 Bad Gateway"},
		"a page instead of JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<!DOCTYPE html><html>Sign in</html>")
		}, "web page"},
		"not JSON":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[{]") }, "finding"},
		"another JSON": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":1}`) }, "finding"},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error":"insufficient_scope","error_description":"The request requires higher privileges"}`)
		}, "hint: the token may not do this"},
		"not found": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "hint: check the repository's URL"},
		"endless body": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte("[" + strings.Repeat(" ", 1<<16))); err != nil {
					return
				}
			}
		}, "larger than"},
		"a message with control characters": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, `{"message":"a\u001b[31mb\nc"}`)
		}, "a·[31mb c"},
		"a redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example.com/", http.StatusFound)
		}, "another host"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, provider := range providers() {
				_, err := faulty(t, provider, test.answer).Find(t.Context(), "main", "sealift/apps")
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 1000 {
					t.Errorf("%s: %v", provider, err)
				}
			}
		})
	}
}

// TestRateLimitsTellWhen has the forms in which forges say so.
func TestRateLimitsTellWhen(t *testing.T) {
	in := time.Now().Add(10 * time.Minute)
	for name, answer := range map[string]http.HandlerFunc{
		"primary, GitHub": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ratelimit-Remaining", "0")
			w.Header().Set("X-Ratelimit-Reset", fmt.Sprint(in.Unix()))
			http.Error(w, `{"message":"API rate limit exceeded for installation ID 1."}`, http.StatusForbidden)
		},
		"secondary, GitHub": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			http.Error(w, `{"message":"You have exceeded a secondary rate limit."}`, http.StatusForbidden)
		},
		"GitLab": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			http.Error(w, "Retry later", http.StatusTooManyRequests)
		},
		"GitLab by its own headers": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Ratelimit-Reset", fmt.Sprint(in.Unix()))
			http.Error(w, "Retry later", http.StatusTooManyRequests)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, provider := range providers() {
				asked := 0
				f := faulty(t, provider, func(w http.ResponseWriter, r *http.Request) { asked++; answer(w, r) })
				if _, err := f.Find(t.Context(), "main", "a"); err == nil {
					t.Errorf("%s: no error", provider)
				}
				_, err := f.Find(t.Context(), "main", "a")
				problem, ok := errors.AsType[*forge.Error](err)
				if !ok || problem.Until.Before(in.Add(-time.Minute)) || problem.Until.After(in.Add(time.Minute)) || !strings.Contains(err.Error(), "not before") {
					t.Errorf("%s: %v", provider, err)
				}
				if asked != 1 {
					t.Errorf("%s: a busy forge was asked %d times", provider, asked)
				}
			}
		})
	}
}

// TestRenamedRepository answers with a redirect on the same host: reading follows, writing does not.
func TestRenamedRepository(t *testing.T) {
	seen := ""
	f := faulty(t, forge.GitHub, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/repositories/7/") {
			http.Redirect(w, r, "/repositories/7/pulls", http.StatusMovedPermanently)
			return
		}
		seen = r.Header.Get("Authorization")
		fmt.Fprint(w, "[]")
	})
	if _, err := f.Find(t.Context(), "main", "a"); err != nil || seen != "Bearer "+token {
		t.Errorf("%v, %q", err, seen)
	}
	if _, err := f.Create(t.Context(), proposal()); err == nil || !strings.Contains(err.Error(), "renamed") {
		t.Errorf("%v", err)
	}
}

// TestCancelled ends a request that nobody answers.
func TestCancelled(t *testing.T) {
	for _, provider := range providers() {
		begun := make(chan struct{})
		f := faulty(t, provider, func(_ http.ResponseWriter, r *http.Request) { close(begun); <-r.Context().Done() })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		if _, err := f.Find(ctx, "main", "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", provider, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ provider, repo, url, want string }{
		{forge.GitHub, "https://github.com/acme/deploy.git", "", ""},
		{forge.GitHub, "git@github.com:acme/deploy.git", "", ""},
		{forge.GitHub, "ssh://git@ssh.github.com:443/acme/deploy.git", "", ""},
		{forge.GitHub, "https://ghe.example.com/acme/deploy", "https://ghe.example.com/api/v3", ""},
		{forge.GitLab, "ssh://git@gitlab.example.com:2222/a/b/c/deploy.git", "", ""},
		{forge.GitLab, "https://example.com/gitlab/acme/deploy.git", "https://example.com/gitlab", ""},
		{forge.Forgejo, "https://codeberg.org/acme/deploy.git/", "", ""},
		{forge.Gitea, "https://example.com/git/acme/deploy.git", "https://example.com/git/api/v1", ""},
		{"Bitbucket", "https://bitbucket.org/acme/deploy", "", "hint: GitHub, GitLab"},
		{forge.GitHub, "https://github.com/deploy", "", "OWNER/NAME"},
		{forge.GitHub, "https://github.com/a/b/c", "", "only GitLab"},
		{forge.GitHub, "https://github.com/acme/deploy", "https://u:p@github.com", "credentials"},
		{forge.GitHub, "https://github.com/acme/deploy", "http://api.example.com", "not encrypted"},
		{forge.GitHub, "deploy", "", "no host"},
		{forge.Gitea, "https://git.example.com/acme/deploy", "ftp://x", "acceptable"},
	} {
		_, err := forge.Open(forge.Options{Provider: test.provider, Repo: test.repo, URL: test.url})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s at %q: %v", test.repo, test.url, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%v has credentials", err)
		}
	}
}

// TestConfinedAddress comes from a repository: its writers must not send the token elsewhere.
func TestConfinedAddress(t *testing.T) {
	for _, test := range []struct {
		repo, url string
		ok        bool
	}{
		{"https://git.example.com/acme/deploy", "https://git.example.com/api/v1", true},
		{"https://git.example.com:8443/acme/deploy", "https://git.example.com:8443", true},
		{"git@git.example.com:acme/deploy", "https://git.example.com", true},
		{"https://github.com/acme/deploy", "https://api.github.com", true},
		{"https://git.example.com/acme/deploy", "https://evil.example.com", false},
		{"https://git.example.com/acme/deploy", "https://git.example.com.evil.org", false},
		{"https://git.example.com/acme/deploy", "https://git.example.com:8443", false},
		{"https://git.example.com/acme/deploy", "https://api.git.example.com", false},
	} {
		_, err := forge.Open(forge.Options{Provider: forge.Gitea, Repo: test.repo, URL: test.url, Confined: true})
		if (err == nil) != test.ok {
			t.Errorf("%s at %s: %v", test.repo, test.url, err)
		}
	}
}

// TestHeadOnlyInPath has a branch that would be other words in a URL.
func TestOddBranchNames(t *testing.T) {
	for _, kind := range kinds() {
		r := newRig(t, forges.Options{Kind: kind})
		if found, err := r.forge.Find(t.Context(), "main", "sealift/a&state=open#b c"); err != nil || len(found["sealift/a&state=open#b c"]) != 0 {
			t.Errorf("%s: %v, %v", kind, found, err)
		}
	}
}
