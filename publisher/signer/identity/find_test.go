package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// jwt is a token with claims, and a signature that nobody may see.
func jwt(claims map[string]any) string {
	if claims["iss"] == nil {
		claims["iss"] = "https://issuer.example.com"
	}
	body, _ := json.Marshal(claims)
	return "e30." + base64.RawURLEncoding.EncodeToString(body) + ".c2VjcmV0LXNpZ25hdHVyZQ"
}

func TestSubjects(t *testing.T) {
	for name, test := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"GitHub": {map[string]any{"sub": "repo:acme/deploy:ref:refs/heads/main", "job_workflow_ref": "acme/ci/.github/workflows/publish.yml@refs/heads/main"},
			"https://github.com/acme/ci/.github/workflows/publish.yml@refs/heads/main"},
		"GitLab": {map[string]any{"sub": "project_path:acme/deploy", "ci_config_ref_uri": "gitlab.com/acme/deploy//.gitlab-ci.yml@refs/heads/main"},
			"https://gitlab.com/acme/deploy//.gitlab-ci.yml@refs/heads/main"},
		"Kubernetes": {map[string]any{"sub": "system:serviceaccount:ci:publisher",
			"kubernetes.io": map[string]any{"namespace": "ci", "serviceaccount": map[string]any{"name": "publisher"}}},
			"https://kubernetes.io/namespaces/ci/serviceaccounts/publisher"},
		"e-mail": {map[string]any{"sub": "1", "email": "ann@example.com"}, "ann@example.com"},
		"SPIFFE": {map[string]any{"sub": "spiffe://example.com/ci"}, "spiffe://example.com/ci"},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := parse(jwt(test.claims), "a test")
			if err != nil || token.Subject != test.want || token.Issuer != "https://issuer.example.com" {
				t.Errorf("%s, %v", token, err)
			}
			for _, printed := range []string{token.String(), fmt.Sprintf("%v %+v %#v", token, token, token), fmt.Sprintf("%v %+v %#v", &token, struct{ t Token }{token}, struct{ t *Token }{&token})} {
				if strings.Contains(printed, "c2VjcmV0") {
					t.Errorf("the secret is printed: %s", printed)
				}
			}
		})
	}
}

func TestNoTokens(t *testing.T) {
	for name, test := range map[string]struct{ token, want string }{
		"empty":       {" \n", "empty"},
		"two parts":   {"e30.e30", "three parts"},
		"no base64":   {"e30.%%%.e30", "base64"},
		"no JSON":     {"e30." + base64.RawURLEncoding.EncodeToString([]byte("secret")) + ".e30", "JSON"},
		"no subject":  {jwt(map[string]any{}), "no subject"},
		"huge":        {strings.Repeat("a", 1<<20), "limit of 32768"},
		"expired":     {jwt(map[string]any{"sub": "a", "exp": 1}), "expired at 1970-01-01T00:00:01Z; hint"},
		"nearly over": {jwt(map[string]any{"sub": "a", "exp": time.Now().Unix() + 1}), "expired at"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte(test.token), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Source{File: path}.Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "e30") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// runner answers as that of GitHub Actions does.
func runner(t *testing.T, answer http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL + "/token?api-version=2.0"
}

func TestOrder(t *testing.T) {
	folder := t.TempDir()
	file, projected := filepath.Join(folder, "file"), filepath.Join(folder, "projected")
	for path, subject := range map[string]string{file: "file", projected: "projected"} {
		if err := os.WriteFile(path, []byte(jwt(map[string]any{"sub": subject})+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	github := runner(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer hush" || r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("api-version") != "2.0" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"value": jwt(map[string]any{"sub": "github"})})
	})
	actions := []string{EnvRequestURL, github, EnvRequestToken, "hush"}
	for _, test := range []struct {
		source       Source
		want, origin string
	}{
		{Source{File: file, Env: env(EnvToken, jwt(map[string]any{"sub": "env"})), DefaultFile: projected}, "file", file},
		{Source{Env: env(append(actions, EnvToken, jwt(map[string]any{"sub": "env"}))...), DefaultFile: projected}, "env", EnvToken},
		{Source{Env: env(actions...), DefaultFile: projected}, "github", "GitHub Actions"},
		{Source{Env: env(EnvRequestURL, github), DefaultFile: projected}, "projected", projected},
	} {
		token, err := test.source.Token(t.Context())
		if err != nil || token.Subject != test.want || token.Origin != test.origin {
			t.Errorf("%s, %v; want %s", token, err, test.want)
		}
	}
	_, err := Source{Env: env(), DefaultFile: filepath.Join(folder, "none")}.Token(t.Context())
	if !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	for _, tried := range []string{EnvToken, EnvRequestURL, "id-token: write", filepath.Join(folder, "none")} {
		if !strings.Contains(err.Error(), tried) {
			t.Errorf("%q is not named by %v", tried, err)
		}
	}
}

func TestHostileRunner(t *testing.T) {
	const bearer = "hush-hush-hush"
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refuses":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, bearer, http.StatusForbidden) }, "status 403; hint"},
		"endless":   {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "no token"},
		"nothing":   {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) }, "no token"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "not followed"},
		"echoes the secret": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://%zz"+bearer)
			w.WriteHeader(http.StatusFound)
		}, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Source{Env: env(EnvRequestURL, runner(t, test.answer), EnvRequestToken, bearer)}.Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), bearer) || asked {
				t.Errorf("error %v, want one with %q; another host was asked: %v", err, test.want, asked)
			}
		})
	}
	for _, address := range []string{"http://192.0.2.1/", "file:///etc/passwd", "%zz"} {
		if _, err := (Source{Env: env(EnvRequestURL, address, EnvRequestToken, bearer)}).Token(t.Context()); err == nil || !strings.Contains(err.Error(), "no https URL") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func endless(w http.ResponseWriter) {
	for chunk := make([]byte, 64<<10); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// TestBusyRunner: a runner that is busy is asked again, and a context ends that.
func TestBusyRunner(t *testing.T) {
	calls := 0
	address := runner(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"value": jwt(map[string]any{"sub": "a"})})
	})
	source := Source{Env: env(EnvRequestURL, address, EnvRequestToken, "hush")}
	if token, err := source.Token(t.Context()); err != nil || token.Subject != "a" || calls != 2 {
		t.Errorf("%s after %d calls: %v", token, calls, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Token(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
