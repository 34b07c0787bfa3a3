package artifact

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestListedTokenServer has a token server beside the registry on a private
// address, which no client would trust by itself.
func TestListedTokenServer(t *testing.T) {
	var handler http.HandlerFunc
	address, _, told := canary(t, func(w http.ResponseWriter, r *http.Request) { handler(w, r) })
	elsewhere := strings.Replace(address, "127.0.0.1", "localhost", 1)
	host := strings.TrimPrefix(elsewhere, "http://")
	give := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/token" && r.URL.Query().Get("service") == "s" && r.Host == host {
			_, _ = io.WriteString(w, `{"token":"t"}`)
		}
	}
	move := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/auth/token?service=s", http.StatusTemporaryRedirect)
			return
		}
		give(w, r)
	}
	for name, c := range map[string]struct {
		listed []string
		realm  string
		handle http.HandlerFunc
		want   error
	}{
		"listed":                {[]string{host}, elsewhere + "/auth/token", give, nil},
		"service called alike":  {[]string{host}, elsewhere + `/auth/token",service="s",x="` + elsewhere + "/auth/token", give, nil},
		"in another case":       {[]string{strings.ToUpper(host)}, elsewhere + "/auth/token", give, nil},
		"not listed":            {nil, elsewhere + "/auth/token", give, ErrUnauthorized},
		"another port":          {[]string{"localhost:1"}, elsewhere + "/auth/token", give, ErrUnauthorized},
		"another host":          {[]string{"example.com"}, elsewhere + "/auth/token", give, ErrUnauthorized},
		"redirected there":      {[]string{host}, elsewhere + "/old", move, ErrUnavailable}, // oras-go refuses it
		"alias by the registry": {nil, "REGISTRY/.sealift/token-server/http/" + host + "/auth/token", give, ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			handler = c.handle
			var own string
			repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer t" {
					answerWith(goodManifest, ocispec.MediaTypeImageManifest)(w, r)
					return
				}
				w.Header().Set("Www-Authenticate", `Bearer realm="`+strings.Replace(c.realm, "REGISTRY", own, 1)+`",service="s"`)
				w.WriteHeader(401)
			}))
			own = "http://" + repository.Host
			options := withPassword()
			options.TokenServers = c.listed
			before := told.Load()
			_, err := NewRegistry(options).Manifest(t.Context(), repository.At(digest.FromString(goodManifest)))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.want == ErrUnauthorized && told.Load() != before {
				t.Error("it was told the password")
			}
		})
	}
}

func TestRetryAfterIsTold(t *testing.T) {
	var asked atomic.Int32
	repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	_, err := NewRegistry(Options{PlainHTTP: true}).Resolve(t.Context(), repository, "main")
	if !errors.Is(err, ErrUnavailable) || RetryAfter(err) != time.Hour || asked.Load() != 1 {
		t.Error(err, RetryAfter(err), asked.Load())
	}
}

func TestPlainHosts(t *testing.T) {
	r := NewRegistry(Options{PlainHTTP: true, PlainHosts: []string{"Registry.internal:80"}})
	for host, want := range map[string]string{
		"registry.internal": "http", "localhost:5000": "http", "127.0.0.1:5000": "http", "[::1]:5000": "http",
		"ghcr.io": "https", "docker.io": "https", "registry.internal:5000": "https", "10.0.0.1": "https",
	} {
		if got := r.url(Repository{Host: host, Path: "a"}, "tags").Scheme; got != want {
			t.Errorf("%s: %s", host, got)
		}
		if all := NewRegistry(Options{PlainHTTP: true}); all.url(Repository{Host: host, Path: "a"}, "tags").Scheme != "http" {
			t.Error(host)
		}
	}
}

// TestPullSecretRunsNothing: a helper that a pull secret names would run in the
// controller, as the controller.
func TestPullSecretRunsNothing(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	script := "#!/bin/sh\necho ran >>" + ran + "\necho '{\"Username\":\"u\",\"Secret\":\"p\"}'\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-evil"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	config := []byte(`{"credsStore":"evil","credHelpers":{"r.example.com":"evil"},"auths":{"r.example.com":{}}}`)
	find, err := DockerConfigCredentials(config)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := find(t.Context(), "r.example.com"); err != nil || c != (Credential{}) {
		t.Error(c, err)
	}
	if _, err := os.Stat(ran); !errors.Is(err, os.ErrNotExist) {
		t.Error("the helper of a pull secret was run")
	}
	// The same document as a person's configuration runs it.
	t.Setenv("DOCKER_CONFIG", dir)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	if find, err = DockerCredentials(); err != nil {
		t.Fatal(err)
	}
	if c, err := find(t.Context(), "r.example.com"); err != nil || c.Password != "p" {
		t.Error(c, err)
	}
}

// TestDockerHubHasOneName: docker login writes an address that is nobody's host.
func TestDockerHubHasOneName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	config := []byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}`)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	person, err := DockerCredentials()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := DockerConfigCredentials(config)
	if err != nil {
		t.Fatal(err)
	}
	address, err := ParseImage("nginx")
	if err != nil {
		t.Fatal(err)
	}
	asked := NewRegistry(Options{}).url(address.Repository, "tags").Host
	for name, find := range map[string]Credentials{"person": person, "cluster": cluster} {
		if c, err := find(t.Context(), asked); err != nil || c.Password != "p" {
			t.Errorf("%s: %s: %v %v", name, asked, c, err)
		}
	}
}

// TestOneHostHasOneCredential: which of several entries counts is no matter of chance.
func TestOneHostHasOneCredential(t *testing.T) {
	config := []byte(`{"auths":{"r.example.com/b":{"username":"b"},"r.example.com/a":{"username":"a"},"r.example.com":{"username":"all"},"https://p.example.com/v1/":{"username":"all"},"p.example.com/a":{"username":"a"},"q.example.com/b":{"username":"b"},"q.example.com/a":{"username":"a"}}}`)
	for range 20 {
		find, err := DockerConfigCredentials(config)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]string{"r.example.com": "all", "p.example.com": "all", "q.example.com": "a"} {
			if c, err := find(t.Context(), host); err != nil || c.Username != want {
				t.Fatal(host, c, err)
			}
		}
	}
}

// TestErrorsHideSignedAddresses: a registry redirects to storage, with an address
// that is a key to it.
func TestErrorsHideSignedAddresses(t *testing.T) {
	repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			w.Header().Set("Location", request.URL.Path+"x?_state=hunter2")
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if request.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.Redirect(w, request, "http://127.0.0.1:1/bucket/blob?X-Amz-Signature=hunter2", http.StatusTemporaryRedirect)
	}))
	r := NewRegistry(Options{PlainHTTP: true, Patience: -1})
	ref := repository.At(digest.FromString("x"))
	_, manifest := r.Manifest(t.Context(), ref)
	_, blob := r.In(repository).blob(t.Context(), describe("x", []byte("x")))
	_, put := r.PutBlob(t.Context(), repository, Blob{"x", []byte("x")})
	for name, err := range map[string]error{"manifest": manifest, "blob": blob, "put": put} {
		if !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1/bucket") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
