package synchronizer

import (
	"errors"
	"testing"
	"time"

	"sealift.dev/artifact"
)

// TestQueueIsNotSlow: who waits behind others for a registry that answers is not told
// that it does not; who waits for a silent one is, and who waits for very long.
func TestQueueIsNotSlow(t *testing.T) {
	s := New(nil, nil, Options{})
	d := Delivery{Namespace: "shop", Name: "shop", Source: Source{Repository: artifact.Repository{Host: "r.example.com", Path: "shop"}}}
	registry, err := s.registry(d.Source)
	if err != nil {
		t.Fatal(err)
	}
	waited := 2 * patience
	registry.heed("r.example.com", errors.New("no answer"))
	registry.heed("other.example.com", nil)
	if got := s.unanswered(d, waited); got != waited {
		t.Errorf("%v for a silent registry, not %v", got, waited)
	}
	registry.heed("r.example.com", nil)
	if got := s.unanswered(d, waited); got <= 0 || got >= waited {
		t.Errorf("%v for a registry that answers others", got)
	}
	if got := s.unanswered(d, queueing); got != queueing {
		t.Errorf("%v after a very long wait", got)
	}
	if got := s.unanswered(d, time.Duration(0)); got != 0 {
		t.Errorf("%v where nothing is waited for", got)
	}
}
