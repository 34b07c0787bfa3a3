package registry

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sealift.dev/internal/httpx"
)

// Bounds of a host's rest: shortest where a host names no time, and longest.
const (
	firstRest = 30 * time.Second
	maxUntold = 15 * time.Minute
	maxRest   = 24 * time.Hour
)

// RestError says that a host is not asked before Until, because it said that it is busy.
type RestError struct {
	Host  string
	Until time.Time
}

func (e *RestError) Error() string {
	return fmt.Sprintf("%s is busy, and is left alone until %s; hint: ask it less often, with a longer interval or a webhook",
		e.Host, e.Until.UTC().Format(time.RFC3339))
}

// Host is what is known about a registry's host.
type Host struct {
	Name      string
	Rest      time.Time     // it is not asked before; zero: it may be
	Limit     int           // pulls that it allows in Window; 0: it has not said
	Remaining int           // of Limit, when it last said
	Window    time.Duration // 0: it has not said
}

// hosts gives every host its budget, and lets busy ones rest. Others go on meanwhile.
type hosts struct {
	base   http.RoundTripper
	rate   float64
	atOnce int
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*host
}

// burst is how many seconds' requests may come at once: a pass over a hundred images is one.
const burst = 5

func newHosts(base http.RoundTripper, perSecond float64, atOnce int, now func() time.Time) *hosts {
	return &hosts{base: base, rate: perSecond, atOnce: atOnce, now: now, known: map[string]*host{}}
}

// host is one host's budget.
type host struct {
	limiter *rate.Limiter
	slots   chan struct{} // one value for each request under way

	mu      sync.Mutex
	said    Host
	strikes int // answers in a row that it is busy, without a time
}

// RoundTrip implements http.RoundTripper.
func (h *hosts) RoundTrip(request *http.Request) (*http.Response, error) {
	at := h.find(request.URL.Host)
	if err := at.wait(request.Context(), h.now); err != nil {
		return nil, err
	}
	response, err := h.base.RoundTrip(request)
	if err != nil {
		<-at.slots
		return nil, err
	}
	if rest := at.note(response, h.now()); rest > 0 {
		// Who repeats requests waits as long, or gives up at once.
		response.Header.Set("Retry-After", strconv.Itoa(int(rest/time.Second)+1))
	}
	response.Body = &slotBody{ReadCloser: response.Body, release: sync.OnceFunc(func() { <-at.slots })}
	return response, nil
}

func (h *hosts) find(name string) *host {
	name = strings.ToLower(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.known[name]
	if at == nil {
		if len(h.known) >= maxRepositories {
			clear(h.known)
		}
		at = &host{
			limiter: rate.NewLimiter(rate.Limit(h.rate), max(1, int(burst*h.rate))),
			slots:   make(chan struct{}, h.atOnce), said: Host{Name: name},
		}
		h.known[name] = at
	}
	return at
}

// all are copies, by name.
func (h *hosts) all() []Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Host
	for _, name := range slices.Sorted(maps.Keys(h.known)) {
		at := h.known[name]
		at.mu.Lock()
		said := at.said
		at.mu.Unlock()
		if !said.Rest.After(h.now()) {
			said.Rest = time.Time{}
		}
		all = append(all, said)
	}
	return all
}

// rest is until when a host is left alone; zero: it may be asked.
func (h *hosts) rest(name string) time.Time {
	at := h.find(name)
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.said.Rest.After(h.now()) {
		return at.said.Rest
	}
	return time.Time{}
}

// wait takes a slot and a token, after a short rest, if there is one. A long one is an error.
func (at *host) wait(ctx context.Context, now func() time.Time) error {
	select {
	case at.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := at.pause(ctx, now)
	if err == nil {
		err = at.limiter.Wait(ctx)
	}
	if err != nil {
		<-at.slots
	}
	return err
}

func (at *host) pause(ctx context.Context, now func() time.Time) error {
	at.mu.Lock()
	name, until := at.said.Name, at.said.Rest
	at.mu.Unlock()
	left := until.Sub(now())
	switch {
	case left <= 0:
		return nil
	case left > patience:
		return &RestError{Host: name, Until: until}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note reads from an answer how busy the host is, and for how long it is left alone now.
func (at *host) note(response *http.Response, now time.Time) time.Duration {
	at.mu.Lock()
	defer at.mu.Unlock()
	if limit, window, ok := quota(response.Header.Get("RateLimit-Limit")); ok {
		at.said.Limit, at.said.Window = limit, window
	}
	if remaining, _, ok := quota(response.Header.Get("RateLimit-Remaining")); ok {
		at.said.Remaining = remaining
	}
	told := toldRest(response, now)
	switch {
	case response.StatusCode == http.StatusServiceUnavailable && told == 0:
		return 0 // asked again soon, by the one who asked
	case response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable:
		at.strikes = 0
		return 0
	case told == 0:
		told = min(firstRest<<min(at.strikes, 10), maxUntold)
		at.strikes++
	}
	if until := now.Add(min(told, maxRest)); until.After(at.said.Rest) {
		at.said.Rest = until
	}
	return at.said.Rest.Sub(now)
}

// toldRest is how long an answer asks to be left alone; zero: it does not say. Docker Hub also
// names a point of time, in seconds since 1970.
func toldRest(response *http.Response, now time.Time) time.Duration {
	if told := httpx.RetryAfter(response); told > 0 {
		return told
	}
	seconds, err := strconv.ParseInt(response.Header.Get("X-Retry-After"), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return 0
	}
	return max(time.Unix(seconds, 0).Sub(now), 0)
}

// quota reads "100;w=21600": so many in so many seconds.
func quota(header string) (count int, window time.Duration, ok bool) {
	number, rest, _ := strings.Cut(header, ";")
	count, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || count < 0 {
		return 0, 0, false
	}
	if text, has := strings.CutPrefix(strings.TrimSpace(rest), "w="); has {
		if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 && seconds <= 1<<30 {
			window = time.Duration(seconds) * time.Second
		}
	}
	return count, window, true
}

// slotBody gives the slot back when the answer is read, or given up.
type slotBody struct {
	io.ReadCloser
	release func()
}

func (b *slotBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

func (b *slotBody) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
