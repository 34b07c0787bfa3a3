package test

import (
	"strings"
	"testing"
)

// TestFirstDelivery types docs/first-delivery.md from its second block to its end.
func TestFirstDelivery(t *testing.T) {
	w := ownStage(t)
	script := "set -em\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + strings.Join(w.blocks("first-delivery.md")[1:], "")
	out := w.terminal([]string{"REGISTRY=" + w.registry.Host, "GIT=" + w.gitURL,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com"}, "bash", "-c", script)
	for _, want := range []string{"Delivered", "ConfigMap greeting", "version 0.0.2, signed by shop: 1 object is ready", `delivery.sealift.dev "shop" deleted`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
