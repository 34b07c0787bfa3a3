package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFirstDelivery types docs/first-delivery.md from its second block to its end.
func TestFirstDelivery(t *testing.T) {
	w := ownStage(t)
	content, err := os.ReadFile("../docs/first-delivery.md")
	must(t, err)
	var script strings.Builder
	script.WriteString("set -em\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n")
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(content), -1)[1:] {
		script.WriteString(block[1])
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.Dir = w.dir
	path := strings.Join([]string{w.cluster.Bin, filepath.Dir(w.sealiftIn), os.Getenv("PATH")}, ":")
	cmd.Env = append(slices.DeleteFunc(w.environment(), func(s string) bool { return strings.HasPrefix(s, "PATH=") }), "PATH="+path,
		"REGISTRY="+w.registry.Host, "GIT="+w.gitURL,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"Delivered", "ConfigMap greeting", "version 0.0.2, signed by shop: 1 object is ready", `delivery.sealift.dev "shop" deleted`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
