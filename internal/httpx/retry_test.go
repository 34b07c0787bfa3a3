package httpx

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// flaky answers the first requests with fail, the others with 200.
func flaky(t *testing.T, failures int32, fail http.HandlerFunc) (address string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) <= failures {
			fail(w, r)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func busy(status int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}
}

// reset hangs up instead of answering.
func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

func TestRetry(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		fail               http.HandlerFunc
		failures           int32
		patience           time.Duration
		asked              int32
		status             int // 0: an error
	}{
		"reads are asked again":            {"GET", "/v2/a/manifests/x", "", busy(429, "1"), 1, time.Minute, 2, 200},
		"so are HEADs":                     {"HEAD", "/v2/a/manifests/x", "", busy(503, ""), 1, time.Minute, 2, 200},
		"hanging up is no answer":          {"GET", "/v2/a/blobs/x", "", reset, 1, time.Minute, 2, 200},
		"an upload":                        {"PUT", "/v2/a/blobs/uploads/1", "hello", reset, 1, time.Minute, 2, 200},
		"an upload with its digest":        {"PUT", "/_state?digest=sha256:a", "hello", busy(503, ""), 1, time.Minute, 2, 200},
		"a manifest by digest":             {"PUT", "/v2/a/manifests/sha256:a", "hello", busy(503, ""), 1, time.Minute, 2, 200},
		"a tag may have moved on":          {"PUT", "/v2/a/manifests/main", "hello", busy(503, ""), 1, time.Minute, 1, 503},
		"of a repository of that name":     {"PUT", "/v2/blobs/uploads/manifests/main", "hello", busy(503, ""), 1, time.Minute, 1, 503},
		"a tag that was hung up on":        {"PUT", "/v2/a/manifests/main", "hello", reset, 1, time.Minute, 1, 0},
		"deletes":                          {"DELETE", "/v2/a/manifests/sha256:a", "", busy(503, ""), 1, time.Minute, 1, 503},
		"four times at most":               {"GET", "/", "", busy(503, ""), 9, time.Minute, 4, 503},
		"an error of its own":              {"GET", "/", "", busy(500, ""), 1, time.Minute, 1, 500},
		"refused":                          {"GET", "/", "", busy(403, ""), 1, time.Minute, 1, 403},
		"longer than anybody is patient":   {"GET", "/", "", busy(429, "3600"), 1, time.Minute, 1, 429},
		"no patience":                      {"GET", "/", "", busy(429, ""), 1, 0, 1, 429},
		"nonsense counts as not said":      {"GET", "/", "", busy(429, "-7 \x80"), 1, time.Minute, 2, 200},
		"a date in the past is not waited": {"GET", "/", "", busy(503, "Wed, 21 Oct 2015 07:28:00 GMT"), 1, time.Minute, 2, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, asked := flaky(t, c.failures, c.fail)
			request, err := http.NewRequestWithContext(t.Context(), c.method, address+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := (&Retry{Base: NewTransport(), Patience: c.patience}).RoundTrip(request)
			status := 0
			if err == nil {
				status = response.StatusCode
				data, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if status == 200 && c.method == "PUT" && string(data) != c.body {
					t.Errorf("the second request carried %q", data)
				}
			}
			if status != c.status || asked.Load() != c.asked {
				t.Errorf("status %d after %d requests (%v)", status, asked.Load(), err)
			}
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	address, asked := flaky(t, 9, busy(429, "20"))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Retry{Base: NewTransport(), Patience: time.Hour}).RoundTrip(request); err == nil || asked.Load() != 1 {
		t.Error(err, asked.Load())
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	response, err := (&Retry{Base: NewTransport(), Patience: time.Hour}).RoundTrip(request.Clone(ctx))
	if err != nil || response.StatusCode != 429 || asked.Load() != 2 {
		t.Fatal("what does not fit into the deadline was waited for:", err, asked.Load())
	}
	_ = response.Body.Close()
}
