package synchronizer

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	godigest "github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
)

type noMemory struct{}

func (noMemory) State() State                        { return State{} }
func (noMemory) Begin(context.Context, Intent) error { return nil }

// TestSlowRegistryWaits: a registry that takes its time is asked the less often, whether
// it answers or not, so that its Delivery cannot have a worker for itself.
func TestSlowRegistryWaits(t *testing.T) {
	const delay = 100 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		if strings.HasSuffix(r.URL.Path, "/manifests/main") {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", godigest.FromString("one").String())
			w.Header().Set("Content-Length", "3")
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	place := artifact.Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "deploy/shop"}
	d := Delivery{Namespace: "shop", Name: "shop", Interval: time.Millisecond, Source: Source{Repository: place, Tag: "main", Insecure: true}}
	s := New(nil, nil, Options{})
	memo := s.memo(d)
	if _, err := s.resolve(t.Context(), d, memo); err != nil {
		t.Fatal(err)
	}
	if wait := time.Until(memo.resolved.next); wait < 3*delay {
		t.Errorf("a slow answer, and the next question in %s", wait)
	}
	d.Source.Tag = "other"
	if out, err := s.Deliver(t.Context(), d, noMemory{}); err == nil || out.Next < 3*delay {
		t.Errorf("a slow refusal, and the next question in %s: %v", out.Next, err)
	}
}
