package synchronizer

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// TestTraceTellsSteps: who measures a pass hears of its steps, of what the registry
// answered, and of the verdict.
func TestTraceTellsSteps(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Docker-Content-Digest", godigest.FromString("one").String())
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	var mu sync.Mutex
	var steps []Step
	var verdicts []string
	answers := map[int]int{}
	trace := Trace{
		Step:    func(_ string, s Step) { mu.Lock(); defer mu.Unlock(); steps = append(steps, s) },
		Verdict: func(reason string) { mu.Lock(); defer mu.Unlock(); verdicts = append(verdicts, reason) },
		Answer: func(at string, status int) {
			mu.Lock()
			defer mu.Unlock()
			if at == host {
				answers[status]++
			}
		},
	}
	verifier, err := verify.New(verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := Delivery{Namespace: "shop", Name: "shop", Interval: time.Minute, Environment: ".",
		Source: Source{Repository: artifact.Repository{Host: host, Path: "deploy/shop"}, Tag: "main", Insecure: true}}
	if _, err := concluded(t, New(nil, verifier, Options{Trace: trace}), d); err == nil {
		t.Fatal("something was delivered")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(steps, []Step{Resolve, Verify}) || !slices.Equal(verdicts, []string{string(verify.NoPolicy)}) || answers[http.StatusOK] != 1 {
		t.Errorf("steps %v, verdicts %v, answers %v", steps, verdicts, answers)
	}
}
