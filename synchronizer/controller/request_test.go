package controller

import (
	"strings"
	"testing"

	"sealift.dev/api/v1alpha1"
)

// TestRequestedIsBounded: a tenant's annotation of any length takes little room where
// Deliveries share it, and a change of it is a request all the same.
func TestRequestedIsBounded(t *testing.T) {
	ask := func(value string) string {
		d := &v1alpha1.Delivery{}
		d.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: value}
		return requested(d)
	}
	if short := strings.Repeat("x", maxRequest); ask(short) != short {
		t.Errorf("%d bytes were answered with %q", len(short), ask(short))
	}
	one, other := ask(strings.Repeat("x", 200_000)), ask(strings.Repeat("x", 200_001))
	if len(one) > maxRequest || !strings.HasPrefix(one, "sha256:") || one == other {
		t.Errorf("long values were answered with %q and %q", one, other)
	}
}
