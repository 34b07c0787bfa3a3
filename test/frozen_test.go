package test

import (
	"os"
	"strings"
	"testing"
	"time"
)

// written says which objects Sealift has written, and when.
func (w *world) written() string {
	w.t.Helper()
	return w.kubectl("get", "configmaps,services,deployments", "-n", w.name, "-l", "sealift.dev/delivery", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name}:{.metadata.generation}:{.metadata.managedFields[?(@.manager=="sealift")].time} {end}`)
}

// untouched waits a few intervals, after which every object is as it was written.
func (w *world) untouched(before string) {
	w.t.Helper()
	time.Sleep(4 * time.Second)
	if now := w.written(); now != before {
		w.t.Errorf("a frozen Delivery wrote:\n%s\n%s", before, now)
	}
}

// TestTrustEndsOnTheWay: trust that ends while a release becomes healthy stops the wait,
// the way back and the pruning; when it returns, all of that goes on.
func TestTrustEndsOnTheWay(t *testing.T) {
	w := onSync(t)
	w.trustPolicy("authorities: [CI]")
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
	w.deliverBare(w.source("tag: main", "  timeout: 6s\n"))
	w.delivered(first)
	second := w.publish(map[string]string{"deploy/web.yaml": unschedulable("web", 1, "example.com/web:2"), "deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": ""})
	w.until("the second release on its way", func() bool { return w.value("a") == "2" })
	w.trustPolicy("authorities: [STRANGER]")
	w.refused("TrustRevoked")
	before := w.written()
	time.Sleep(4 * time.Second) // past the time-out
	w.untouched(before)
	w.once("TrustRevoked", "")
	if !w.exists("configmap", "b") {
		t.Error("a frozen Delivery pruned b")
	}

	w.trustPolicy("authorities: [CI]")
	w.refused("RolledBack")
	if w.value("a") != "1" || w.status().Status.Quarantined.Digest != second.Digest {
		t.Errorf("what was on its way is not rolled back: a is %s", w.value("a"))
	}

	w.trustPolicy("authorities: [STRANGER]")
	w.refused("TrustRevoked")
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=1")
	w.untouched(w.written())
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	if w.exists("configmap", "a") || w.exists("deployment", "web") {
		t.Error("deleting a frozen Delivery left its objects")
	}
}

// TestFrozenOverRestart: a process that begins while trust is gone writes nothing and
// tells nothing again, and thaws what another one froze.
func TestFrozenOverRestart(t *testing.T) {
	w := ownStage(t)
	running, err := startSync(w.cluster)
	must(t, err)
	w.trustPolicy("authorities: [CI]")
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(first)
	w.trustPolicy("authorities: [STRANGER]")
	w.refused("TrustRevoked")
	w.once("TrustRevoked", "")
	running.end(os.Interrupt)

	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"drifted"}}`)
	w.kubectl("delete", "configmap", "b", "-n", w.name)
	running, err = startSync(w.cluster)
	must(t, err)
	t.Cleanup(func() { running.end(os.Interrupt) })
	w.until("the second process serves", func() bool { return strings.Contains(running.output(), "serving deliveries") })
	w.frozen("a")
	if w.exists("configmap", "b") {
		t.Error("a frozen Delivery brought b back")
	}
	w.once("TrustRevoked", "")
	w.trustPolicy("authorities: [CI]")
	w.until("all healed", func() bool { return w.value("a") == "1" && w.exists("configmap", "b") })
}
