package automator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
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
		"ssh://git@example.com/shop":     "credentials do not belong in the URL",
		"git://example.com/shop":         "only https:// and http:// are supported",
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
		mustFail(t, git, opts, opts.Repo, "repository not found", "hint: check the URL")
	})
	t.Run("empty repository", func(t *testing.T) {
		empty := newGitServer(t, nil, nil)
		mustFail(t, nil, empty.options(), empty.url, "empty", "hint: push a first commit")
	})
	t.Run("unreachable", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		mustFail(t, nil, Options{Repo: server.URL + "/shop", Branch: branchMain}, server.URL, "connection refused")
	})
	t.Run("link", func(t *testing.T) {
		linked := newGitServer(t, map[string]string{"other.yaml": configFor("x/y", "*"), "sealift.yaml": "symlink:other.yaml"}, nil)
		mustFail(t, linked, linked.options(), "sealift.yaml", "not a regular file")
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
	mustFail(t, git, opts, git.url, "authentication required", "hint: pass a username")
	opts.Username, opts.Password = "ann", "wrong-password"
	mustFail(t, git, opts, git.url, "authentication required", "hint: pass a username")
	opts.Username, opts.Password = "reader", "secret"
	mustFail(t, git, opts, "pushing to main of "+git.url, "hint: these credentials may not")
	opts.Username = "ann"
	if result, err := Run(t.Context(), opts); err != nil || !result.Pushed {
		t.Errorf("the right password: %+v, %v", result, err)
	}
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
	opts.Username, opts.Password = "ann", "secret"
	mustFail(t, nil, opts, "repository not found")
	if len(leaked) > 0 {
		t.Errorf("the canary got %q", leaked)
	}
}

func TestBadConfigurations(t *testing.T) {
	good := configFor("localhost/apps/shop", "*")
	if _, err := parseConfig([]byte(good)); err != nil {
		t.Fatalf("the benign twin: %v", err)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"not YAML":      {"automate:", "automate: [", "did not find"},
		"unknown field": {"branch: main", "brunch: main", "brunch"},
		"duplicate key": {"branch: main", "branch: main\n  branch: other", "there twice"},
		"aliases":       {"automate:", "a: &a " + strings.Repeat("x", 50_000) + "\nb: [" + strings.Repeat("*a, ", 1000) + "]\nautomate:", "over the limit"},
		"other kind":    {"kind: Config", "kind: Kustomization", `kind "Kustomization"`},
		"other version": {"v1alpha1", "v9", `apiVersion "sealift.dev/v9"`},
		"range":         {`"*"`, `"a"`, `images[0]: shop: semver range "a"`},
		"empty range":   {`"*"`, `""`, "range is empty"},
		"no name":       {"name: shop", "name: ''", "images[0]: name"},
		"marker name":   {"name: shop", "name: 'a:b'", `name "a:b"`},
		"image":         {"localhost/apps/shop", "localhost/Apps", "hint: write HOST/REPOSITORY"},
		"image and tag": {"localhost/apps/shop", "localhost/apps/shop:1", "without a tag"},
		"no images":     {"images:", "images: []\nx:", "unknown field"},
		"twice":         {"  images:\n", "  images:\n    - {name: shop, image: a/b, select: {semver: '*'}}\n", "images[1]: shop:shop is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig([]byte(strings.Replace(good, test.old, test.new, 1)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	for _, text := range []string{"", "apiVersion: sealift.dev/v1alpha1\nkind: Config\n", "apiVersion: sealift.dev/v1alpha1\nkind: Config\nautomate: {images: []}\n"} {
		if _, err := parseConfig([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
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

func page(w http.ResponseWriter, next string, tags ...string) {
	if next != "" {
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": "apps/shop", "tags": tags})
}

func TestBadRegistries(t *testing.T) {
	answers := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"unauthorised":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, "hint: docker login"},
		"no repository": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "hint: check the name"},
		"not JSON":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "invalid character"},
		"page too large": {func(w http.ResponseWriter, _ *http.Request) {
			page(w, "", strings.Repeat("x", maxPageBytes))
		}, fmt.Sprintf("larger than %d bytes", maxPageBytes)},
		"pages without end": {func(w http.ResponseWriter, r *http.Request) { page(w, r.URL.Path, "1.0.0") }, fmt.Sprintf("more than %d pages", maxPages)},
		"too many tags": {func(w http.ResponseWriter, r *http.Request) {
			page(w, r.URL.Path, make([]string, 10_000)...)
		}, fmt.Sprintf("more than %d tags", maxTags)},
		"next page elsewhere": {func(w http.ResponseWriter, _ *http.Request) { page(w, "http://127.0.0.2:1/v2/", "1.0.0") }, "host does not match"},
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			image := tagServer(t, test.answer)
			git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":0.1.0")}, nil)
			mustFail(t, git, git.options(), "listing tags of "+image, test.want)
		})
	}
	t.Run("benign pages", func(t *testing.T) {
		image := tagServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("last") == "" {
				page(w, r.URL.Path+"?last=1.0.0", "1.0.0")
				return
			}
			page(w, "", "1.1.0", "evil\n1.9.0", "9.9.9 # x", "9.9.9\x1b[31m")
		})
		git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":0.1.0")}, nil)
		result, err := Run(t.Context(), git.options())
		if err != nil || !result.Pushed || result.Images[0].Tag != "1.1.0" || result.Images[0].Tags != 5 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

func TestRegistryWithoutEncryption(t *testing.T) {
	config := configFor("registry.example.com:80/apps/shop", "*")
	config = strings.Replace(config, "registry.example.com:80", "10.255.255.1", 1)
	git := newGitServer(t, map[string]string{"sealift.yaml": config, "shop.yaml": deployment("x")}, nil)
	opts := git.options()
	opts.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "10.255.255.1" {
			return http.DefaultTransport.RoundTrip(r)
		}
		if r.URL.Scheme == "http" {
			t.Errorf("%s was asked without encryption", r.URL)
		}
		return nil, fmt.Errorf("nobody at %s", r.URL.Host)
	})
	mustFail(t, git, opts, "listing tags of 10.255.255.1/apps/shop", "not encrypted; hint: use https")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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

func TestDockerConfiguration(t *testing.T) {
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			page(w, "", "3.0.0")
		}
	}))
	defer server.Close()
	host = strings.TrimPrefix(server.URL, "http://")
	image := host + "/apps/shop"
	git := newGitServer(t, map[string]string{"sealift.yaml": configFor(image, "*"), "shop.yaml": deployment(image + ":1.1.0")}, nil)
	opts := git.options()
	mustFail(t, git, opts, "listing tags of "+image, "hint: docker login")

	t.Setenv("DOCKER_CONFIG", t.TempDir())
	config := fmt.Sprintf(`{"auths": {%q: {"username": "ann", "password": "secret"}}}`, host)
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	opts.Keychain = authn.Keychain(nil)
	if result, err := Run(t.Context(), opts); err != nil || !result.Pushed {
		t.Errorf("%+v, %v", result, err)
	}
}
