package signer

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
)

// service answers as each of Sigstore's may, and counts how often it is asked.
func service(t *testing.T, answer http.HandlerFunc) (client *http.Client, url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	carrier := newCourier(t.Context(), "the service")
	carrier.pause = time.Millisecond
	return &http.Client{Transport: carrier}, server.URL, asked
}

func post(client *http.Client, url string) (string, error) {
	request, err := http.NewRequest(http.MethodPost, url+"/api", strings.NewReader("question"))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer hush-hush")
	response, err := client.Do(request)
	if err != nil {
		return "", plain(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestCourierAsksBusyServicesAgain(t *testing.T) {
	n := 0
	client, url, asked := service(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n++; n < 3 {
			http.Error(w, "busy", []int{0, 503, 429}[n])
			return
		}
		w.Write(append([]byte("answer to "), body...))
	})
	if got, err := post(client, url); err != nil || got != "answer to question" || asked.Load() != 3 {
		t.Errorf("%q after %d attempts: %v", got, asked.Load(), err)
	}
}

func TestCourierRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
		asked  int64
	}{
		"always busy": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, `(4 attempts): status 500 Internal Server Error: "no\n"`, 4},
		"hangs up":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "(4 attempts): EOF", 4},
		"refuses":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 403) }, ": status 403 Forbidden", 1},
		"wants a long wait": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			http.Error(w, "later", 503)
		}, ": status 503", 1},
		"redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://127.0.0.1:1/", 307) }, "status 307", 1},
		"tells the token": {func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "bad token "+r.Header.Get("Authorization"), 400)
		}, "bad token Bearer …", 1},
		"speaks to the terminal": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "\x1b[2J"+strings.Repeat("a", 100<<10), 400)
		}, `"\x1b[2Jaaa`, 1},
		"never ends": {func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, "more than the limit of 1048576 bytes", 1},
	} {
		t.Run(name, func(t *testing.T) {
			client, url, asked := service(t, test.answer)
			_, err := post(client, url)
			if err == nil || !strings.Contains(err.Error(), "asking the service at "+url+"/api") || !strings.Contains(err.Error(), test.want) || asked.Load() != test.asked {
				t.Errorf("asked %d times: %v", asked.Load(), err)
			}
			if err != nil && (strings.Contains(err.Error(), "hush") || len(err.Error()) > 1000) {
				t.Errorf("too much is told: %v", err)
			}
		})
	}
}

// TestCourierEndsWithItsContext: Sigstore's clients send requests without any context.
func TestCourierEndsWithItsContext(t *testing.T) {
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	t.Cleanup(func() { close(silent); server.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := post(&http.Client{Transport: newCourier(ctx, "the service")}, server.URL)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the service") {
		t.Error(err)
	}
}

func TestParseInstance(t *testing.T) {
	const head = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"`
	for name, test := range map[string]struct{ data, want string }{
		"empty config":    {head + `}`, ""},
		"on this machine": {head + `,"caUrls":[{"url":"http://127.0.0.1:1","majorApiVersion":1}]}`, ""},
		"private":         {head + `,"caUrls":[{"url":"https://fulcio.example.com"}],"tsaUrls":[{"url":"https://tsa.example.com/api"}],"tsaConfig":{"selector":"ANY"}}`, ""},
		"plain HTTP":      {head + `,"caUrls":[{"url":"http://fulcio.example.com"}]}`, "caUrls: \"http://fulcio.example.com\": https is wanted"},
		"a file":          {head + `,"tsaUrls":[{"url":"file:///etc/passwd"}]}`, "tsaUrls"},
		"a password":      {head + `,"rekorTlogUrls":[{"url":"https://a:b@example.com"}]}`, "rekorTlogUrls"},
		"old":             {`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}`, "v0.1+json\", not"},
		"twice":           {head + `,"caUrls":[],"caUrls":[]}`, "caUrls"},
		"not JSON":        {`caUrls: []`, "reading the signing config"},
		"many":            {head + `,"caUrls":[` + strings.Repeat(`{"url":"https://a.example.com"},`, 40) + `{"url":"https://a.example.com"}]}`, "41 entries"},
		"huge":            {strings.Repeat(" ", 1<<20), "limit of 262144"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseInstance([]byte(test.data))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestChoosingServices: what cannot make a keyless signature says so before a token leaves.
func TestChoosingServices(t *testing.T) {
	const ca, log1, log2, stamps = `"caUrls":[{"url":"https://ca.example.com","majorApiVersion":1}]`,
		`"rekorTlogUrls":[{"url":"https://log.example.com","majorApiVersion":1}],"rekorTlogConfig":{"selector":"ANY"}`,
		`"rekorTlogUrls":[{"url":"https://log.example.com","majorApiVersion":2}],"rekorTlogConfig":{"selector":"ANY"}`,
		`"tsaUrls":[{"url":"https://tsa.example.com","majorApiVersion":1}],"tsaConfig":{"selector":"ANY"}`
	for name, test := range map[string]struct{ config, problem string }{
		"Rekor v1":              {ca + "," + log1, ""},
		"Rekor v2 and a TSA":    {ca + "," + log2 + "," + stamps, ""},
		"Rekor v2 alone":        {ca + "," + log2, "no timestamp authority"},
		"no log":                {ca + "," + stamps, "no transparency log"},
		"no authority":          {log1, "no certificate authority"},
		"a selector is missing": {ca + `,"rekorTlogUrls":[{"url":"https://log.example.com","majorApiVersion":1}]`, "selector"},
		"over":                  {ca + "," + log1 + `,"tsaUrls":[{"url":"https://tsa.example.com","majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z","end":"2021-01-01T00:00:00Z"}}],"tsaConfig":{"selector":"ANY"}`, "timestamp authority from the signing config: no matching"},
		"from the future":       {ca + `,"rekorTlogUrls":[{"url":"https://log.example.com","majorApiVersion":9}],"rekorTlogConfig":{"selector":"ANY"}`, "transparency log from the signing config: no matching"},
	} {
		t.Run(name, func(t *testing.T) {
			instance, err := ParseInstance([]byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",` + test.config + `}`))
			if err != nil {
				t.Fatal(err)
			}
			s, err := instance.choose(t.Context(), time.Now())
			if err == nil {
				err = s.keylessProblem()
			}
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("error %v, want one with %q", err, test.problem)
			}
		})
	}
}
