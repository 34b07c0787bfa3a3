package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/test/stage"
)

// outages are what happens to the control plane while a release is on its way.
func outages() map[string]func(t *testing.T, c *stage.ControlPlane) {
	stop := func(part string, pause time.Duration) func(*testing.T, *stage.ControlPlane) {
		return func(t *testing.T, c *stage.ControlPlane) {
			must(t, c.StopPart(part))
			time.Sleep(pause)
			must(t, c.StartPart(t.Context(), part))
		}
	}
	return map[string]func(*testing.T, *stage.ControlPlane){
		"the API server restarts": stop(stage.APIServer, 0),
		"etcd stops for 30 s":     stop(stage.Etcd, 30*time.Second),
		"etcd freezes for 10 s": func(t *testing.T, c *stage.ControlPlane) {
			must(t, c.PausePart(stage.Etcd))
			time.Sleep(10 * time.Second)
			must(t, c.ResumePart(stage.Etcd))
		},
	}
}

// TestControlPlaneFails takes the API server and etcd away in the middle of an apply: the
// synchronizer neither ends nor spins nor gives the release up, and finishes it afterwards.
func TestControlPlaneFails(t *testing.T) {
	w := onFragile(t)
	w.bystanders()
	w.deliver(w.source("tag: main", ""))
	running := w.runs() // without a lease, which it would lose in half a minute
	w.equals(w.publish(fifty(0)))
	round := 1
	for name, happen := range outages() {
		began := w.began()
		release := w.publish(fifty(round))
		<-began
		lines := strings.Count(running.output(), "\n")
		happen(t, w.cluster)
		if more := strings.Count(running.output(), "\n") - lines; more > 100 {
			t.Errorf("%s: %d lines of log", name, more)
		}
		w.equals(release)
		if q := w.status().Status.Quarantined; q.Digest != "" {
			t.Errorf("%s: %s is quarantined: %s", name, q.Digest, q.Cause)
		}
		round++
	}
	w.idleOutage(t)
}

// idleOutage restarts the API server while nothing is on its way: drift is watched again after.
func (w *world) idleOutage(t *testing.T) {
	must(t, w.cluster.StopPart(stage.APIServer))
	must(t, w.cluster.StartPart(t.Context(), stage.APIServer))
	w.kubectl("delete", "service", "svc-03", "-n", w.name)
	w.until("the drift healed", func() bool { return w.exists("service", "svc-03") })
}

// TestLeaderIsKilled: of two replicas the leader dies in the middle of an apply; the other one
// takes over and finishes, and the dead one's lease is all that it waits for.
func TestLeaderIsKilled(t *testing.T) {
	w := onFragile(t)
	w.bystanders()
	w.deliver(w.source("tag: main", ""))
	leader := w.startKiller(moment{at: "apply-answered", nth: 70}, "--leader-elect") // of the second release
	former := w.leads("")
	other := w.runs("--leader-elect")
	w.equals(w.publish(fifty(0)))
	release := w.publish(fifty(1))
	w.dies(leader)
	if got := w.status().Status.Applied.Digest; got == release.Digest {
		t.Error("the release was delivered before the leader died: the test proves nothing")
	}
	w.leads(former)
	w.equals(release)
	if !strings.Contains(other.output(), "reason=Delivered") {
		t.Error("the other replica delivered nothing")
	}
}

// leads waits until a synchronizer other than former leads, and names it.
func (w *world) leads(former string) (holder string) {
	w.t.Helper()
	w.until("another leader", func() bool {
		holder = w.holder()
		return holder != "" && holder != former
	})
	return holder
}

// TestFewFailSlowNobody: with two workers, five Deliveries of twenty never become healthy; the
// others are delivered all the same.
func TestFewFailSlowNobody(t *testing.T) {
	w := onFragile(t)
	good := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1")})
	bad := w.publish(map[string]string{"deploy/web.yaml": unschedulable("web", 1, "example.com/web:1")})
	w.runs("--workers", "2")
	var all []*world
	for i := range 20 {
		copied := *w
		v := &copied
		v.name, v.shares = fmt.Sprintf("few-%02d", i), w.name
		release := good
		if i%4 == 0 {
			release = bad
		}
		v.point(release, v.name)
		v.apply(admission(v.name))
		v.deliver(v.source("tag: "+v.name, ""))
		all = append(all, v)
	}
	for i, v := range all {
		if i%4 != 0 {
			v.delivered(good)
		}
	}
	for i, v := range all {
		if i%4 == 0 { // and never becomes healthy
			v.until("that it is on its way is told", func() bool {
				status, reason, _ := v.status().ready()
				return status == "Unknown" && reason == "Progressing"
			})
		}
	}
	for _, v := range all {
		v.kubectl("delete", "delivery", v.name, "-n", v.name, "--wait=false")
	}
}
