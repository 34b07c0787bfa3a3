package synchronizer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/artifact"
)

type noMemory struct{}

func (noMemory) State() State                        { return State{} }
func (noMemory) Begin(context.Context, Intent) error { return nil }

// concluded makes passes until one has all answers.
func concluded(t *testing.T, s *Synchronizer, d Delivery) (Outcome, error) {
	t.Helper()
	for {
		out, err := s.Deliver(t.Context(), d, noMemory{})
		if out.Asking == 0 {
			return out, err
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSlowRegistryWaits: a registry that takes its time is asked the less often, whether
// it answers or not, and no pass waits for it.
func TestSlowRegistryWaits(t *testing.T) {
	const delay = 100 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	place := artifact.Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "deploy/shop"}
	d := Delivery{Namespace: "shop", Name: "shop", Interval: time.Millisecond, Source: Source{Repository: place, Tag: "main", Insecure: true}}
	s := New(nil, nil, Options{})
	begun := time.Now()
	if out, err := s.Deliver(t.Context(), d, noMemory{}); err != nil || out.Asking == 0 || time.Since(begun) >= delay {
		t.Errorf("the pass waited for the registry: %v, %+v", err, out)
	}
	if out, err := concluded(t, s, d); err == nil || out.Next < 3*delay {
		t.Errorf("a slow refusal, and the next question in %s: %v", out.Next, err)
	}
}
