package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStoppedLeaderWritesNothing: a leader stands still in the middle of an apply for longer than
// its lease, as on a machine that is suspended, and another one delivers the release. When the
// first goes on, it writes nothing more, and ends.
func TestStoppedLeaderWritesNothing(t *testing.T) {
	w := onFragile(t)
	w.bystanders()
	w.deliver(w.source("tag: main", ""))
	leader := w.startKiller(moment{at: "apply-answered", nth: 70}, "--leader-elect", "--pauses") // of the second release
	t.Cleanup(func() { leader.cmd.Process.Kill() })
	w.until("a leader that serves", func() bool { return strings.Contains(leader.output(), "serving deliveries") })
	former := w.leads("")
	w.equals(w.publish(fifty(0)))
	other := w.runs("--leader-elect")
	release := w.publish(fifty(1))
	w.until("the leader stopped", func() bool { return stopped(t, leader.cmd.Process.Pid) })
	if got := w.status().Status.Applied.Digest; got == release.Digest {
		t.Fatal("the release was delivered before the leader stopped: the test proves nothing")
	}
	w.leads(former)
	w.equals(release)
	if !strings.Contains(other.output(), "reason=Delivered") {
		t.Error("the other replica delivered nothing")
	}

	before := w.writesOf("killer")
	if before == 0 {
		t.Fatal("the audit log does not tell the two apart")
	}
	must(t, leader.cmd.Process.Signal(syscall.SIGCONT))
	if err := leader.cmd.Wait(); exitCode(err) == 0 {
		t.Errorf("a leader without a lease ended with %v\n%s", err, leader.output())
	}
	if n := w.writesOf("killer") - before; n != 0 {
		t.Errorf("who led before wrote %d times after another one did\n%s", n, leader.output())
	}
	w.equals(release)
}

// stopped says that a process was stopped by a signal.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, state, _ := strings.Cut(string(data), ") ")
	return strings.HasPrefix(state, "T")
}

// writesOf counts what a program wrote, whatever came of it; leases are no writes of that kind.
func (w *world) writesOf(program string) (n int) {
	w.t.Helper()
	time.Sleep(time.Second) // the audit log may be behind
	requests, err := w.cluster.Requests()
	must(w.t, err)
	for _, r := range requests {
		if r.Stage == "ResponseComplete" && strings.HasPrefix(r.UserAgent, program) && r.Object.Resource != "leases" &&
			slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb) {
			n++
		}
	}
	return n
}
