package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	// stuckAfter is when a pass, which takes two minutes at most, will not end any more.
	stuckAfter = 10 * time.Minute
	// lately is how long an answer of the API server stands for the next one.
	lately = 10 * time.Second
	// probeTime is how long a probe waits for one.
	probeTime = 2 * time.Second
)

// pulse is what the probes tell of the process.
type pulse struct {
	answered atomic.Int64 // when the API server answered last, in Unix nanoseconds

	mu    sync.Mutex
	since map[types.NamespacedName]time.Time // passes that are going on
}

// listening is config, whose answers p hears.
func (p *pulse) listening(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return heard{next: next, pulse: p} })
	return config
}

type heard struct {
	next  http.RoundTripper
	pulse *pulse
}

func (h heard) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := h.next.RoundTrip(r)
	if err == nil && response.StatusCode < http.StatusInternalServerError {
		h.pulse.answered.Store(time.Now().UnixNano())
	}
	return response, err
}

// pass says that a pass begins; what it returns, that it is over.
func (p *pulse) pass(name types.NamespacedName) (over func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since == nil {
		p.since = map[types.NamespacedName]time.Time{}
	}
	p.since[name] = time.Now()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.since, name)
	}
}

// alive is an error while a pass does not end: /healthz.
func (p *pulse) alive(*http.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, since := range p.since {
		if took := time.Since(since); took > stuckAfter {
			return fmt.Errorf("the pass of %s has not ended for %s", name, took.Round(time.Second))
		}
	}
	return nil
}

// probe serves /healthz and /readyz. Ready is who has seen all Deliveries and is heard by
// the API server, whether it leads or not.
func (p *pulse) probe(m manager.Manager, config *rest.Config) error {
	asking, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	ready := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		if !m.GetCache().WaitForCacheSync(ctx) {
			return errors.New("not all Deliveries are read yet")
		}
		if time.Since(time.Unix(0, p.answered.Load())) < lately {
			return nil
		}
		if err := asking.RESTClient().Get().AbsPath("/version").MaxRetries(0).Do(ctx).Error(); err != nil {
			return fmt.Errorf("asking the API server: %w", err)
		}
		return nil
	}
	return errors.Join(m.AddHealthzCheck("passes", p.alive), m.AddReadyzCheck("cluster", ready))
}
