package test

import (
	"os"
	"strings"
	"testing"
)

// TestUninstall: what install brought goes, what is delivered stays, and the
// definitions do not go before the last Delivery.
func TestUninstall(t *testing.T) {
	w := ownStage(t)
	sync, err := startSync(w.cluster)
	must(t, err)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	sync.end(os.Interrupt)
	run := func(code int, args ...string) string {
		t.Helper()
		_, problem, err := w.sealift(append([]string{"uninstall"}, args...)...)
		if exitCode(err) != code {
			t.Fatalf("sealift uninstall %s: %v: %s", strings.Join(args, " "), err, problem)
		}
		return problem
	}
	if problem := run(1, "--crds", "--yes"); !strings.Contains(problem, w.name+"/"+w.name) {
		t.Errorf("the refusal does not name the Delivery: %s", problem)
	}
	run(2) // nobody is there to be asked
	has := func(kind, name string) bool {
		return strings.TrimSpace(w.kubectl("get", kind, name, "-n", "sealift-system", "--ignore-not-found", "-o", "name")) != ""
	}
	if !has("clusterrole", "sealift-sync") {
		t.Fatal("something was removed without an answer")
	}
	if problem := run(0, "--yes"); !strings.Contains(problem, "1 Delivery stays") {
		t.Errorf("it does not say what stays: %s", problem)
	}
	if has("clusterrole", "sealift-sync") || has("role", "sealift-sync") || has("serviceaccount", "sealift-sync") {
		t.Error("a right is left")
	}
	if !has("namespace", "sealift-system") || !has("crd", "deliveries.sealift.dev") || !w.exists("configmap", "a") {
		t.Error("it removed more than it says")
	}
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"metadata":{"finalizers":null}}`)
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	run(0, "--crds", "--delete-namespace", "--yes")
	w.untilGone("crd", "deliveries.sealift.dev")
	w.untilGone("namespace", "sealift-system")
	if !w.exists("configmap", "a") {
		t.Error("what was delivered is gone")
	}
	if problem := run(0, "--crds", "--yes"); !strings.Contains(problem, "nothing to remove") {
		t.Errorf("once more it says %q", problem)
	}
}

func (w *world) untilGone(kind, name string) {
	w.t.Helper()
	w.kubectl("wait", "--for=delete", kind+"/"+name, "--timeout=60s")
}
