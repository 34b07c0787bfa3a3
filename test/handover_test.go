package test

import (
	"net/http"
	"strings"
	"testing"
)

// TestLeaderHandsOver: of two replicas the leader is told to end in the middle of an apply. It
// lets the lease go before it ends; the other one, which was ready, finishes the release. When
// that one sees the lease in other hands, it ends, too.
func TestLeaderHandsOver(t *testing.T) {
	w := onFragile(t)
	w.bystanders()
	w.deliver(w.source("tag: main", ""))
	leader := w.startKiller(moment{at: "apply-answered", nth: 70}, "--leader-elect", "--gently") // of the second release
	t.Cleanup(func() { leader.cmd.Process.Kill() })
	serves := func(s *synchronizer) func() bool {
		return func() bool { return strings.Contains(s.output(), "serving deliveries") }
	}
	w.until("a leader that serves", serves(leader))
	former := w.leads("")
	probes := freeAddress(t)
	other := w.runs("--leader-elect", "--probe-address", probes)
	w.until("the other one ready", func() bool { return answers(probes, "/readyz") && answers(probes, "/healthz") })
	w.equals(w.publish(fifty(0)))
	if serves(other)() {
		t.Error("two work at the same time")
	}
	release := w.publish(fifty(1))
	if err := leader.cmd.Wait(); err != nil {
		t.Errorf("the leader ended with %v\n%s", err, leader.output())
	}
	if holder := w.holder(); holder == former {
		t.Errorf("the leader ended and kept the lease\n%s", leader.output())
	}
	if got := w.status().Status.Applied.Digest; got == release.Digest && !serves(other)() {
		t.Error("the release was delivered before the leader ended: the test proves nothing")
	}
	w.leads(former)
	w.equals(release)

	w.kubectl("patch", "lease", "sealift-sync", "-n", "sealift-system", "--type=merge", `--patch={"spec":{"holderIdentity":"somebody"}}`)
	if err := other.cmd.Wait(); exitCode(err) == 0 || !strings.Contains(other.output(), "another replica took the lease: somebody") {
		t.Errorf("a leader without a lease ended with %v\n%s", err, other.output())
	}
	w.kubectl("delete", "lease", "sealift-sync", "-n", "sealift-system")
}

// holder is who leads; empty: nobody.
func (w *world) holder() string {
	w.t.Helper()
	return w.kubectl("get", "lease", "sealift-sync", "-n", "sealift-system", "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}")
}

// answers says that a path is served, and succeeds.
func answers(address, path string) bool {
	response, err := http.Get("http://" + address + path)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
