package httpx

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestSameOrganisation(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"registry-1.docker.io", "auth.docker.io", true},
		{"registry.gitlab.com", "gitlab.com", true},
		{"ghcr.io", "GHCR.io", true},
		{"a.github.io", "b.github.io", false},
		{"a.co.uk", "b.co.uk", false},
		{"r.example.com", "example.com.evil.org", false},
		{"registry.ns.svc.cluster.local", "auth.ns.svc.cluster.local", false},
		{"10.0.0.1", "10.0.0.2", false},
		{"localhost", "localhost", true},
		{"localhost", "x.localhost", false},
	} {
		if sameOrganisation(c.a, c.b) != c.want {
			t.Error(c.a, c.b)
		}
	}
}

func TestRedirects(t *testing.T) {
	request := func(s string) *http.Request {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{URL: u}
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"https://r.example.com", "https://cdn.example.org", true},
		{"https://r.example.com", "http://r.example.com", false},
		{"http://r.example.com", "http://cdn.example.org", true},
		{"https://r.example.com", "file:///etc/passwd", false},
		{"https://r.example.com", "https://169.254.169.254", false},
		{"https://r.example.com", "https://[::ffff:169.254.169.254]", false},
	} {
		if err := CheckRedirect(request(c.to), []*http.Request{request(c.from)}); (err == nil) != c.want {
			t.Error(c.from, c.to, err)
		}
	}
	if err := dialCheck(false)("tcp", "169.254.169.254:80", nil); err == nil {
		t.Error("the metadata service may be dialled")
	}
	if err := dialCheck(false)("tcp", "127.0.0.1:80", nil); err != nil {
		t.Error(err)
	}
}

// TestRedirectedChallenge: credentials are for the host that was asked first, so
// the one it redirects to cannot name itself the token server.
func TestRedirectedChallenge(t *testing.T) {
	var realm string
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Www-Authenticate", `Bearer realm="`+realm+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer second.Close()
	elsewhere := strings.Replace(second.URL, "127.0.0.1", "localhost", 1)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	client := &http.Client{Transport: &Guard{Base: NewTransport(), Pace: DefaultPace()}}
	realm = first.URL
	response, err := client.Get(first.URL)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("the benign twin: %v", err)
	}
	_ = response.Body.Close()
	realm = elsewhere
	if _, err := client.Get(first.URL); !errors.Is(err, ErrTokenServer) {
		t.Errorf("got %v", err)
	}
}
