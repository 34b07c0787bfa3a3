package stage_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"sealift.dev/test/stage"
)

func TestScriptedSaysWhatItIsTold(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		s, err := stage.NewScripted(stage.ScriptedOptions{TLSDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		client := trusting(t, s.CA)
		blob := s.Blob("shop", []byte("hello"))
		s.On("", "/odd", stage.Answer{Status: 418, Header: http.Header{"X-Odd": {"yes"}}, Stream: func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "in chunks")
			return err
		}})
		s.On(http.MethodHead, "/odd", stage.Answer{Status: 500})
		for _, c := range []struct {
			method, path, body string
			status             int
		}{
			{"GET", "/v2/shop/blobs/" + blob.String(), "hello", 200}, {"GET", "/odd", "in chunks", 418}, {"HEAD", "/odd", "", 500}, {"GET", "/other", "", 404},
		} {
			request, err := http.NewRequest(c.method, s.URL()+c.path, strings.NewReader("sent"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if response.StatusCode != c.status || string(body) != c.body {
				t.Errorf("%s %s: %s %q", c.method, c.path, response.Status, body)
			}
		}
		if asked := s.Asked(); len(asked) != 4 || asked[1].Path != "/odd" || asked[1].Body != "sent" {
			t.Errorf("asked %+v", asked)
		}
	}
}

func TestScriptedHearsSecrets(t *testing.T) {
	for place, ask := range map[string]func(*http.Request){
		"":              func(*http.Request) {},
		"authorization": func(r *http.Request) { r.SetBasicAuth("ada", "hunter2") },
		"query":         func(r *http.Request) { r.URL.RawQuery = "password=hunter2" },
		"body":          func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("password=hunter2")) },
	} {
		s, err := stage.NewScripted(stage.ScriptedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		request, err := http.NewRequest(http.MethodPost, s.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ask(request)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		heard := s.Told("hunter2") || s.Told("")
		if want := place != ""; heard != want {
			t.Errorf("a secret in %q is heard: %v", place, heard)
		}
	}
}

// trusting is a client that trusts the authority in a file.
func trusting(t *testing.T, ca string) *http.Client {
	t.Helper()
	if ca == "" {
		return http.DefaultClient
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}
