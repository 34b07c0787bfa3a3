package httpx

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
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

// TestSlowReaders: who copies to a slow place reads slowly, and is not hung up on;
// a registry that sends nothing meanwhile is.
func TestSlowReaders(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 8<<20)) // more than fits into the connection's buffers
		if r.URL.Path == "/stuck" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	pace := Pace{Header: time.Minute, Window: 100 * time.Millisecond, Bytes: 1000}
	client := &http.Client{Transport: &Guard{Base: NewTransport(), Pace: pace}}
	for path, want := range map[string]error{"/": nil, "/stuck": ErrSlow} {
		response, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // several windows
		for err == nil {
			_, err = io.CopyN(io.Discard, response.Body, 512<<10)
		}
		if want == nil && !errors.Is(err, io.EOF) || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
		_ = response.Body.Close()
	}
}
