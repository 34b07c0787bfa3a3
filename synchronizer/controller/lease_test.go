package controller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestFence: without a lease that was renewed lately, by both clocks, what is read is let
// through, and nothing that is written.
func TestFence(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(server.Close)
	now := time.Now()
	at := func(age time.Duration) *time.Time {
		sent := now.Add(-age)
		return &sent
	}
	byClock := now.Round(0).Add(-leaseRenewal) // as after a sleep that the other clock did not count
	for name, tt := range map[string]struct {
		renewed *time.Time
		writes  bool
	}{
		"renewed":                {at(leaseRenewal / 2), true},
		"never had":              {nil, false},
		"not renewed for long":   {at(leaseRenewal), false},
		"a machine that slept":   {&byClock, false},
		"a clock that went back": {at(-time.Hour), true},
	} {
		lock := &tenure{}
		lock.renewed.Store(tt.renewed)
		client := http.Client{Transport: fence{next: http.DefaultTransport, tenure: lock}}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete} {
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			before := asked
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			if want := tt.writes || method == http.MethodGet; (err == nil) != want || (asked > before) != want || err != nil && !errors.Is(err, errLeaseOld) {
				t.Errorf("%s: %s: %v", name, method, err)
			}
		}
	}
}
