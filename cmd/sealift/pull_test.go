package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sealift.dev/artifact"
)

func TestPauseAfter(t *testing.T) {
	o := pullOptions{interval: 30 * time.Second}
	for told, want := range map[string]time.Duration{"": 30 * time.Second, "1": 30 * time.Second, "600": 10 * time.Minute, "31536000": time.Hour} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", told)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		defer server.Close()
		registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true, Patience: -1})
		_, err := registry.Resolve(t.Context(), artifact.Repository{Host: strings.TrimPrefix(server.URL, "http://"), Path: "shop"}, "main")
		if got := o.pauseAfter(err); got < want || got > want+want/10 {
			t.Errorf("after %q: %s", told, got)
		}
	}
}
