package metrics

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/automator"
)

func scrape(t *testing.T, m *Metrics, path string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	m.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestObserve(t *testing.T) {
	m := New(2)
	begin := time.Unix(1000, 0)
	refused := []automator.ImageReport{{Holds: []string{"x"}, Refusals: []automator.Refusal{{Gate: "age"}, {Gate: "trust"}, {Gate: "trust"}}}}
	m.Observe("a", "main", automator.Result{Tip: "1", Images: refused}, nil, begin, time.Second)
	if code, body := scrape(t, m, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "1 repositories") {
		t.Errorf("with one of two: %d %s", code, body)
	}
	if _, body := scrape(t, m, "/metrics"); !strings.Contains(body, `sealift_automate_refusals{branch="main",gate="trust",repository="a"} 2`) || !strings.Contains(body, `sealift_automate_holds{branch="main",repository="a"} 1`) {
		t.Errorf("refusals: %s", body)
	}
	m.Observe("a", "main", automator.Result{Tip: "1", Pushed: true, Commits: make([]automator.Commit, 2), Pulls: []automator.PullRequest{{Action: "opened"}, {}}}, nil, begin, 2*time.Second)
	m.Observe("b", "main", automator.Result{}, errors.New("no"), begin, time.Second)
	if code, body := scrape(t, m, "/readyz"); code != http.StatusOK {
		t.Errorf("with both: %d %s", code, body)
	}
	if code, _ := scrape(t, m, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	_, body := scrape(t, m, "/metrics")
	for _, line := range []string{
		`sealift_automate_passes_total{branch="main",outcome="idle",repository="a"} 1`,
		`sealift_automate_passes_total{branch="main",outcome="changed",repository="a"} 1`,
		`sealift_automate_passes_total{branch="main",outcome="failed",repository="b"} 1`,
		`sealift_automate_commits_total{branch="main",repository="a"} 2`,
		`sealift_automate_pull_requests_total{action="opened",branch="main",repository="a"} 1`,
		`sealift_automate_last_success_timestamp_seconds{branch="main",repository="a"} 1002`,
		`sealift_automate_pass_duration_seconds_count{outcome="failed"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("lacks %s:\n%s", line, body)
		}
	}
	if strings.Contains(body, "sealift_automate_refusals{") || strings.Contains(body, `success_timestamp_seconds{branch="main",repository="b"}`) {
		t.Errorf("tells of what is over, or never was:\n%s", body)
	}
}

// TestBranchesAreApart: one repository may be kept on several branches.
func TestBranchesAreApart(t *testing.T) {
	m := New(2)
	held := automator.Result{Tip: "1", Images: []automator.ImageReport{{Holds: []string{"x"}, Refusals: []automator.Refusal{{Gate: "age"}}}}}
	m.Observe("a", "main", held, nil, time.Unix(1, 0), 0)
	m.Observe("a", "next", automator.Result{Tip: "2"}, nil, time.Unix(1, 0), 0)
	m.Observe("a", "main", automator.Result{Tip: "1"}, errors.New("the ledger cannot be read"), time.Unix(2, 0), 0)
	if code, body := scrape(t, m, "/readyz"); code != http.StatusOK {
		t.Errorf("with both branches: %d %s", code, body)
	}
	_, body := scrape(t, m, "/metrics")
	for _, line := range []string{`sealift_automate_holds{branch="main",repository="a"} 1`, `sealift_automate_holds{branch="next",repository="a"} 0`,
		`sealift_automate_refusals{branch="main",gate="age",repository="a"} 1`} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("lacks %s:\n%s", line, body)
		}
	}
}

// TestHostsOfStrangers: a redirect may lead to what is no text.
func TestHostsOfStrangers(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("http://a%ffb/", http.StatusFound))
	defer server.Close()
	m := New(1)
	client := http.Client{Transport: m.Transport("registry", http.DefaultTransport)}
	if _, err := client.Get(server.URL); err == nil {
		t.Error("there is such a host")
	}
	if code, body := scrape(t, m, "/metrics"); code != http.StatusOK || !strings.Contains(body, "host=\"a\uFFFDb\"") {
		t.Errorf("%d %s", code, body)
	}
}

func TestTransportCounts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "12345")
	}))
	m := New(1)
	client := http.Client{Transport: m.Transport("git", http.DefaultTransport)}
	response, err := client.Post(server.URL, "text/plain", strings.NewReader("123"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(response.Body)
	_ = response.Body.Close()
	server.Close()
	if _, err := client.Get(server.URL); err == nil {
		t.Error("a closed server answers")
	}
	_, body := scrape(t, m, "/metrics")
	host := strings.TrimPrefix(server.URL, "http://")
	for _, line := range []string{
		`sealift_automate_requests_total{code="418",host="` + host + `",to="git"} 1`,
		`sealift_automate_requests_total{code="0",host="` + host + `",to="git"} 1`,
		`sealift_automate_bytes_total{direction="received",to="git"} 5`,
		`sealift_automate_bytes_total{direction="sent",to="git"} 3`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	m := New(1)
	for i := range maxNames + 10 {
		m.Observe(fmt.Sprint("r", i), "", automator.Result{}, nil, time.Unix(1, 0), 0)
	}
	_, body := scrape(t, m, "/metrics")
	if n := strings.Count(body, "sealift_automate_passes_total{"); n != maxNames+1 {
		t.Errorf("%d rows, want %d", n, maxNames+1)
	}
}
