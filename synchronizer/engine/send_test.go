package engine

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// TestPatchBoundsRetryAfter asks a server that wants to be left alone: a short
// time is waited, a long one is not.
func TestPatchBoundsRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, after string
		refusals    int
		min, max    time.Duration
		succeeds    bool
	}{
		{"for a second, six times", "1", 6, 6 * time.Second, 15 * time.Second, true},
		{"for an hour", "3600", 1000, 9 * time.Second, 25 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked <= test.refusals {
					w.Header().Set("Retry-After", test.after)
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"one"}}`))
			}))
			defer server.Close()
			e, err := New(&rest.Config{Host: server.URL}, func(Owner) {})
			if err != nil {
				t.Fatal(err)
			}
			client, err := e.writer("someone")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			_, err = patch(t.Context(), client, &Step{
				Ref:      ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "one"},
				resource: resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}},
				body:     []byte("{}"),
			}, false, true)
			if took := time.Since(start); (err == nil) != test.succeeds || took < test.min || took > test.max {
				t.Errorf("after %s and %d tries: %v", took, asked, err)
			}
		})
	}
}
