package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sealift.dev/automator/registry"
)

func TestBusyHostIsLeftAlone(t *testing.T) {
	busy := true
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) {
		if busy {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		page(w, "", "1.0.0")
	})
	other := newDesk(t, func(w http.ResponseWriter, _ *http.Request) { page(w, "", "1.0.0") })
	now := time.Now()
	c := anonymous(t, registry.Options{Now: func() time.Time { return now }})
	host := strings.TrimSuffix(d.repo, "/apps/shop")
	for i, repo := range []string{d.repo, host + "/apps/other", d.repo} {
		_, err := c.Tags(t.Context(), repo, nil, func(string) {})
		var rest *registry.RestError
		if !errors.As(err, &rest) || rest.Host != host || rest.Until.Before(now.Add(time.Hour)) ||
			!strings.Contains(err.Error(), "left alone until "+rest.Until.UTC().Format(time.RFC3339)) {
			t.Errorf("list %d: %v", i, err)
		}
	}
	if _, err := c.Digest(t.Context(), d.repo, "1.0.0"); err == nil {
		t.Error("a resting host was asked for a digest")
	}
	if asked := d.requests(); len(asked) != 1 {
		t.Errorf("a resting host was asked: %q", asked)
	}
	if hosts := c.Hosts(); len(hosts) != 1 || hosts[0].Name != host || hosts[0].Rest.IsZero() {
		t.Errorf("%+v", hosts)
	}
	list(t, c, other.repo) // goes on
	busy, now = false, now.Add(2*time.Hour)
	list(t, c, d.repo)
	if hosts := c.Hosts(); len(hosts) != 2 || !hosts[0].Rest.IsZero() {
		t.Errorf("%+v", hosts)
	}
}

// TestRestWithoutATime grows with every answer, and ends with a good one.
func TestRestWithoutATime(t *testing.T) {
	status := http.StatusTooManyRequests
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, `{"tags": []}`) })
	now := time.Now()
	c := anonymous(t, registry.Options{Now: func() time.Time { return now }})
	rests := func() time.Duration {
		_, err := c.Tags(t.Context(), d.repo, nil, func(string) {})
		var rest *registry.RestError
		if !errors.As(err, &rest) {
			t.Fatalf("no rest: %v", err)
		}
		lasts := rest.Until.Sub(now)
		now = rest.Until.Add(time.Second)
		return lasts
	}
	first, second := rests(), rests()
	for range 20 {
		rests()
	}
	if second != 2*first || rests() != 15*time.Minute {
		t.Errorf("%s, %s, then %s", first, second, rests())
	}
	status = http.StatusOK
	list(t, c, d.repo)
	status = http.StatusTooManyRequests
	if again := rests(); again != first {
		t.Errorf("%s after a good answer", again)
	}
}

func TestWhatHostsSay(t *testing.T) {
	header := http.Header{}
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) {
		for key := range header {
			w.Header().Set(key, header.Get(key))
		}
		w.WriteHeader(http.StatusTooManyRequests)
	})
	now := time.Unix(1_800_000_000, 0)
	for _, test := range []struct {
		key, value string
		want       time.Duration
	}{
		{"Retry-After", "90", 90 * time.Second},
		{"Retry-After", "99999999999", 24 * time.Hour},
		{"Retry-After", "99999999999999999999", 30 * time.Second}, // no number that fits: as if nothing was said
		{"Retry-After", "9999999", 24 * time.Hour},
		{"Retry-After", "-5", 30 * time.Second},
		{"Retry-After", "soon", 30 * time.Second},
		{"X-Retry-After", "1800000100", 100 * time.Second},
		{"X-Retry-After", "1", 30 * time.Second},
		{"X-Retry-After", "9223372036854775807", 30 * time.Second},
	} {
		header = http.Header{test.key: {test.value}}
		c := anonymous(t, registry.Options{Now: func() time.Time { return now }})
		_, _ = c.Tags(t.Context(), d.repo, nil, func(string) {})
		if hosts := c.Hosts(); len(hosts) != 1 || hosts[0].Rest.Sub(now) != test.want {
			t.Errorf("%s: %s: %+v, want %s", test.key, test.value, hosts, test.want)
		}
	}
	for value, want := range map[string]registry.Host{
		"100;w=21600": {Limit: 100, Window: 6 * time.Hour}, "7": {Limit: 7}, "x;w=1": {}, "-1;w=1": {}, "5;w=x": {Limit: 5},
	} {
		header = http.Header{"Ratelimit-Limit": {value}, "Ratelimit-Remaining": {"3;w=21600"}}
		c := anonymous(t, registry.Options{})
		_, _ = c.Tags(t.Context(), d.repo, nil, func(string) {})
		if hosts := c.Hosts(); hosts[0].Limit != want.Limit || hosts[0].Window != want.Window || hosts[0].Remaining != 3 {
			t.Errorf("%q: %+v", value, hosts)
		}
	}
}

// TestShortTroubleIsWaitedOut: one 503, one hang-up, one short Retry-After.
func TestShortTroubleIsWaitedOut(t *testing.T) {
	for name, trouble := range map[string]http.HandlerFunc{
		"unavailable": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"hang-up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"too many": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1) == 1 {
					trouble(w, r)
					return
				}
				page(w, "", "1.0.0")
			})
			list(t, anonymous(t, registry.Options{}), d.repo)
		})
	}
}

func TestFewRequestsAtATime(t *testing.T) {
	const atOnce, repositories = 2, 12
	var mu sync.Mutex
	var now, most int
	full := make(chan struct{})
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		now++
		if most = max(most, now); most == atOnce && now == atOnce {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // until there are as many as there may be
		mu.Lock()
		now--
		mu.Unlock()
		page(w, "", "1.0.0")
	})
	c := anonymous(t, registry.Options{AtOnce: atOnce})
	var group sync.WaitGroup
	for i := range repositories {
		group.Go(func() {
			if _, err := c.Tags(t.Context(), fmt.Sprint(d.repo, i), nil, func(string) {}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most != atOnce {
		t.Errorf("%d requests at a time, want %d", most, atOnce)
	}
}

// TestOneListAtATime: two lists of one repository are made one after another.
func TestOneListAtATime(t *testing.T) {
	var now, most atomic.Int32
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		page(w, "", "1.0.0")
		now.Add(-1)
	})
	c := anonymous(t, registry.Options{})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { _, _ = c.Tags(t.Context(), d.repo, nil, func(string) {}) })
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d lists at a time", most.Load())
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	release, begun := make(chan struct{}), make(chan struct{}, 1)
	d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-release
		page(w, "", "1.0.0")
	})
	c := anonymous(t, registry.Options{AtOnce: 1})
	done := make(chan error, 1)
	go func() {
		_, err := c.Tags(context.Background(), d.repo, nil, func(string) {})
		done <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, repo := range []string{d.repo, d.repo + "2"} { // waits for its turn, and for the host
		if _, err := c.Tags(ctx, repo, nil, func(string) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", repo, err)
		}
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() { <-begun }()
	list(t, c, d.repo)
}
