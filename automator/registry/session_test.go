package registry_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/automator/registry"
	"sealift.dev/internal/cloud"
	"sealift.dev/internal/httpx"
	"sealift.dev/test/stage"
)

func TestDockerConfiguration(t *testing.T) {
	server, err := stage.NewRegistry(stage.RegistryOptions{User: "ann", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	repo := server.Host + "/apps/shop"
	_, err = anonymous(t, registry.Options{}).Tags(t.Context(), repo, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || !strings.Contains(err.Error(), "hint: docker login") {
		t.Errorf("without a password: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	config := fmt.Sprintf(`{"auths": {%q: {"username": "ann", "password": "secret"}}}`, server.Host)
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, repo+":1.0.0", func(ref name.Reference) error {
		return remote.Write(ref, empty.Image, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	})
	if tags, _ := list(t, anonymous(t, registry.Options{Keychain: authn.DefaultKeychain}), repo); len(tags) != 1 {
		t.Errorf("%q", tags)
	}
}

// stuck is a helper that hangs.
type stuck chan struct{}

func (s stuck) Resolve(authn.Resource) (authn.Authenticator, error) {
	<-s
	return authn.Anonymous, nil
}

func TestHelperThatHangs(t *testing.T) {
	server, err := stage.NewRegistry(stage.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	helper := make(stuck)
	defer close(helper)
	client := anonymous(t, registry.Options{Keychain: helper})
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		ended := make(chan error, 1)
		go func() {
			_, err := client.Tags(ctx, server.Host+"/apps/shop", nil, func(string) {})
			ended <- err
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the list outlives its context")
		}
		cancel()
	}
}

// tokens is a registry that wants a token, and its token server.
type tokens struct {
	*desk
	pings, given atomic.Int32
	valid        atomic.Value // string; the token that is good now
	lasts        int
}

func newTokens(t *testing.T, realm string) *tokens {
	s := &tokens{desk: &desk{t: t}, lasts: 300}
	s.valid.Store("")
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if agent := r.Header.Get("User-Agent"); agent != "sealift" {
			t.Errorf("%s is asked by %q", r.URL.Path, agent)
		}
		switch {
		case r.URL.Path == "/token":
			s.give(w, r)
			return
		case r.URL.Path == "/v2/":
			s.pings.Add(1)
		}
		at := realm
		if at == "" {
			at = "http://" + r.Host + "/token"
		}
		if r.Header.Get("Authorization") != "Bearer "+s.valid.Load().(string) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="shop",scope="repository:%s:pull"`, at, r.URL.Path[len("/v2/"):max(len("/v2/"), len(r.URL.Path)-len("/tags/list"))]))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page(w, "", "1.0.0")
	}))
	t.Cleanup(s.server.Close)
	s.repo = strings.TrimPrefix(s.server.URL, "http://") + "/apps/shop"
	return s
}

func (s *tokens) give(w http.ResponseWriter, r *http.Request) {
	if scope := r.URL.Query().Get("scope"); scope != "repository:apps/shop:pull" && scope != "repository:apps/other:pull" {
		s.t.Errorf("the scope is %q", scope)
	}
	s.valid.Store(fmt.Sprint("token-", s.given.Add(1)))
	_ = json.NewEncoder(w).Encode(map[string]any{"token": s.valid.Load(), "expires_in": s.lasts})
}

func TestTokens(t *testing.T) {
	s := newTokens(t, "")
	now := time.Now()
	c := anonymous(t, registry.Options{Now: func() time.Time { return now }})
	for range 3 {
		list(t, c, s.repo)
	}
	if s.given.Load() != 1 {
		t.Errorf("%d tokens for three lists", s.given.Load())
	}
	now = now.Add(295 * time.Second) // a new one before the server refuses the old one
	list(t, c, s.repo)
	if s.given.Load() != 2 {
		t.Errorf("%d tokens after five minutes", s.given.Load())
	}
	s.valid.Store("taken back")
	list(t, c, s.repo)
	list(t, c, strings.Replace(s.repo, "/shop", "/other", 1))
	if s.given.Load() != 4 || s.pings.Load() > 2 {
		t.Errorf("%d tokens, %d questions how to authenticate", s.given.Load(), s.pings.Load())
	}
}

func TestTokenServerOfAnotherHost(t *testing.T) {
	var leaked atomic.Int32
	canary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { leaked.Add(1) }))
	defer canary.Close()
	realm := strings.Replace(canary.URL, "127.0.0.1", "localhost", 1) + "/token"
	s := newTokens(t, realm)
	_, err := anonymous(t, registry.Options{}).Tags(t.Context(), s.repo, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "hint: if that host is yours, allow it with --token-server HOST") || leaked.Load() != 0 {
		t.Errorf("%v, the canary was asked %d times", err, leaked.Load())
	}
	listed := newTokens(t, "")
	front := newTokens(t, strings.Replace(listed.server.URL, "127.0.0.1", "localhost", 1)+"/token")
	front.valid = atomic.Value{}
	front.valid.Store("token-1")
	at := strings.TrimPrefix(strings.Replace(listed.server.URL, "127.0.0.1", "localhost", 1), "http://")
	list(t, anonymous(t, registry.Options{TokenServers: []string{at}}), front.repo)
	if listed.given.Load() != 1 {
		t.Errorf("the listed token server gave %d tokens", listed.given.Load())
	}
}

// TestNewPassword: credentials are looked up again, so that those of a cloud may expire.
func TestNewPassword(t *testing.T) {
	password := "first"
	d := newDesk(t, nil)
	d.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, got, _ := r.BasicAuth(); got != password || got == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page(w, "", "1.0.0")
	})
	c := anonymous(t, registry.Options{Keychain: keychain(func() string { return password })})
	list(t, c, d.repo)
	password = "second"
	list(t, c, d.repo)
	password = ""
	_, err := c.Tags(t.Context(), d.repo, nil, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("no password: %v", err)
	}
}

type keychain func() string

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "ann", Password: k()}, nil
}

// TestCloud: a cloud's own registry is asked with the password that the cloud gives.
func TestCloud(t *testing.T) {
	ecr := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		token := base64.StdEncoding.EncodeToString([]byte("AWS:given"))
		fmt.Fprintf(w, `{"authorizationData": [{"authorizationToken": %q}]}`, token)
	}))
	defer ecr.Close()
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL_ECR": ecr.URL, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(key, value)
	}
	d := newDesk(t, nil)
	d.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "AWS" || password != "given" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		page(w, "", "1.0.0")
	})
	toDesk := roundTripper(func(r *http.Request) (*http.Response, error) {
		there := r.Clone(r.Context())
		there.URL.Scheme, there.URL.Host = "http", strings.TrimPrefix(d.server.URL, "http://")
		response, err := http.DefaultTransport.RoundTrip(there)
		if err == nil {
			response.Request = r
		}
		return response, err
	})
	clouds, err := cloud.New(toDesk, cloud.AWS)
	if err != nil {
		t.Fatal(err)
	}
	const repo = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/apps/shop"
	list(t, anonymous(t, registry.Options{Transport: toDesk, Clouds: clouds}), repo)
	own := registry.Options{Transport: toDesk, Clouds: clouds, Keychain: keychain(func() string { return "of a person" })}
	if _, err := anonymous(t, own).Tags(t.Context(), repo, nil, func(string) {}); err == nil {
		t.Error("a cloud's password goes before a configured one")
	}
}

func TestPrivateAuthority(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			page(w, "", "1.0.0")
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	repo := strings.TrimPrefix(server.URL, "https://") + "/apps/shop"
	if _, err := anonymous(t, registry.Options{}).Tags(t.Context(), repo, nil, func(string) {}); err == nil {
		t.Error("an unknown authority is trusted")
	}
	network := httpx.Network{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	transport, err := network.Transport()
	if err != nil {
		t.Fatal(err)
	}
	list(t, anonymous(t, registry.Options{Transport: transport}), repo)
}

func TestBadTokens(t *testing.T) {
	for name, answer := range map[string]string{
		"no token":     `{"evil": "\u001b[31m` + "\x1b[31m\n" + strings.Repeat("x", 10_000) + `"}`,
		"not JSON":     "\x1b[31m",
		"a line break": `{"token": "a\nb: c"}`,
		"large":        `{"token": "` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, nil)
			d.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					fmt.Fprint(w, answer)
					return
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="shop"`, r.Host))
				w.WriteHeader(http.StatusUnauthorized)
			})
			_, err := anonymous(t, registry.Options{}).Tags(t.Context(), d.repo, nil, func(string) {})
			if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 2000 {
				t.Errorf("%q", err)
			}
		})
	}
}
