package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/test/stage"
)

// fragile is a control plane that tests of faults share, one after the other: each starts a
// synchronizer of its own.
var fragile = sync.OnceValues(func() (*stage.ControlPlane, error) {
	dir := filepath.Join(common.stage.Dir, "fragile")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cluster, err := stage.StartControlPlane(context.Background(), common.stage.Bin, dir)
	if err != nil {
		return nil, err
	}
	common.fragile = cluster
	return cluster, installOn(context.Background(), cluster)
})

// onFragile gives a test a world on that control plane; it is not for parallel tests.
func onFragile(t *testing.T) *world {
	t.Helper()
	shared := onStage(t)
	cluster, err := fragile()
	must(t, err)
	w := newWorld(t, cluster, shared.Registry, shared.Git)
	w.admit()
	return w
}

// runs starts a synchronizer for the test; its end ends it.
func (w *world) runs(more ...string) *synchronizer {
	w.t.Helper()
	s, err := startSync(w.cluster, more...)
	must(w.t, err)
	w.t.Cleanup(func() {
		s.end(os.Interrupt)
		if w.t.Failed() {
			w.t.Logf("the synchronizer's log:\n%s", s.output())
		}
	})
	return s
}

// killer builds the program of that name once for all tests.
var killer = sync.OnceValues(func() (string, error) { return build("killer", "./killer") })

// startKiller runs the synchronizer that kills itself when the moment for w comes.
func (w *world) startKiller(m moment, more ...string) *synchronizer {
	w.t.Helper()
	program, err := killer()
	must(w.t, err)
	args := append([]string{"--kubeconfig", w.cluster.SealiftKubeconfig, "--of", w.name, "--at", m.at, "--nth", fmt.Sprint(m.nth), "--after", m.after}, more...)
	if m.at == "verify" || m.at == "pull" || m.at == "decode" { // done once for all who share a release
		args = append(args, "--everybody")
	}
	s := &synchronizer{cmd: exec.Command(program, args...), log: &bytes.Buffer{}}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(w.t, s.cmd.Start())
	return s
}

// dies waits until the synchronizer killed itself.
func (w *world) dies(s *synchronizer) {
	w.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(2 * inTime):
		s.cmd.Process.Kill()
		<-done
		w.t.Fatalf("%s: the moment never came\n%s", w.name, s.output())
	}
	if state := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() || state.Signal() != syscall.SIGKILL {
		w.t.Fatalf("%s: the synchronizer ended otherwise: %v\n%s", w.name, state, s.output())
	}
}

// moment is when a synchronizer dies.
type moment struct {
	at    string
	nth   int
	after string
}

// recordOf is the file by which a cache knows a release of the Delivery.
func (w *world) recordOf(p published) string {
	sum := sha256.Sum256([]byte(w.name + "\x00" + strings.TrimPrefix(w.repository(), "oci://") + "@" + p.Digest))
	return hex.EncodeToString(sum[:])
}

// work is what the synchronizer is killed at.
type work string

const (
	first    work = "first"
	upgrade  work = "upgrade"
	rollback work = "rollback"
	deletion work = "deletion"
	// overtaken is an upgrade after whose death a still newer release comes.
	overtaken work = "overtaken"
)

// victim is a Delivery whose synchronizer is killed at a moment of some work.
type victim struct {
	*world
	work   work
	moment moment
}

// victims are all works, at the beginning of all their steps, and between their writes. What
// comes before the first write is the same in all works, and one stands for it.
func victims(publisher *world) []*victim {
	const back = `"quarantined":{`
	writing := []moment{{at: "accepted-answered"}, {at: "apply"}, {at: "apply-answered"}, {at: "apply-answered", nth: 3}, {at: "wait"}, {at: "prune"}, {at: "status-answered"}}
	moments := map[work][]moment{
		first: append([]moment{{at: "resolve"}, {at: "verify"}, {at: "accept"}, {at: "cached"}, {at: "pull"}, {at: "decode"}, {at: "tailor"}, {at: "plan"}, {at: "preflight"},
			{at: "begin"}, {at: "delivery-answered"}}, writing...),
		upgrade: append([]moment{{at: "begin"}, {at: "delete-answered"}, {at: "delete-answered", nth: 2}}, writing...),
		rollback: {{at: "status-answered", after: back}, {at: "begin", after: back}, {at: "apply-answered", after: back},
			{at: "apply-answered", nth: 2, after: back}, {at: "prune", after: back}, {at: "delete-answered", after: back}, {at: "delete-answered", nth: 2, after: back}},
		deletion:  {{at: "delete-answered"}, {at: "delete-answered", nth: 3}, {at: "delivery-answered"}},
		overtaken: {{at: "accepted-answered"}, {at: "apply-answered"}, {at: "apply-answered", nth: 3}, {at: "apply-answered", nth: 4}, {at: "prune"}, {at: "delete-answered"}},
	}
	var all []*victim
	for _, work := range []work{first, upgrade, rollback, deletion, overtaken} {
		for i, m := range moments[work] {
			m.nth = max(m.nth, 1)
			w := *publisher
			w.name, w.shares = fmt.Sprintf("%s-%d-%s", work, i, m.at), publisher.name
			all = append(all, &victim{&w, work, m})
		}
	}
	return all
}

// TestKilledAtEveryStep kills the synchronizer with SIGKILL when a Delivery begins each of its
// steps, and after writes that the API server has answered: in a first delivery, an upgrade, a
// rollback, a deletion, and an upgrade that a newer release follows before anybody goes on with
// it. The next process, which another Delivery kills, finishes what the former ones left.
func TestKilledAtEveryStep(t *testing.T) {
	w := onFragile(t)
	good := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/gone.yaml": configMap("gone", "1"), "deploy/s.yaml": service("s"),
		"deploy/old.yaml": "apiVersion: v1\nkind: LimitRange\nmetadata: {name: old}\nspec: {limits: []}\n", "deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	objects := map[work][]*unstructured.Unstructured{rollback: w.wanted()}
	next := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/gone.yaml": "", "deploy/old.yaml": "", "deploy/come.yaml": configMap("come", "1"),
		"deploy/role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: new}\n", "deploy/web.yaml": deployment("web", 1, "example.com/web:2")})
	objects[first], objects[upgrade] = w.wanted(), w.wanted()
	bad := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/web.yaml": unschedulable("web", 1, "example.com/web:3"),
		"deploy/bad.yaml": configMap("bad", "1"), "deploy/worse.yaml": configMap("worse", "1")})
	newest := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "4"), "deploy/web.yaml": deployment("web", 1, "example.com/web:4"), "deploy/bad.yaml": "", "deploy/worse.yaml": "",
		"deploy/come.yaml": "", "deploy/role.yaml": "", "deploy/net.yaml": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: newest}\nspec: {podSelector: {}}\n"})
	objects[overtaken] = w.wanted()

	all := victims(w)
	var admissions, deliveries []string
	for _, v := range all {
		admissions = append(admissions, admission(v.name))
		if v.work != first {
			v.point(good, v.name)
			deliveries = append(deliveries, v.delivery())
		}
	}
	w.apply(strings.Join(admissions, "---"))
	for _, v := range all {
		v.bystanders()
	}
	w.apply(strings.Join(deliveries, "\n---"))
	running := w.runs()
	for _, v := range all {
		if v.work != first {
			v.delivered(good)
		}
	}
	running.end(os.Interrupt)
	cache := t.TempDir()
	for _, v := range all {
		v.act(next, bad)
		v.dies(v.startKiller(v.moment, "--cache", cache, "--record", v.recordOf(next)))
		if v.work == overtaken {
			v.point(newest, v.name)
		}
	}
	w.runs("--cache", cache)
	applied := map[work]published{first: next, upgrade: next, rollback: good, overtaken: newest}
	for _, v := range all {
		if v.work == deletion {
			v.leftNothing()
			continue
		}
		if v.work == rollback {
			v.refused("RolledBack")
		} else {
			v.delivered(applied[v.work])
		}
		v.same(applied[v.work], objects[v.work])
	}
}

// act begins the work: next is what comes, or bad.
func (v *victim) act(next, bad published) {
	v.t.Helper()
	switch v.work {
	case first:
		v.point(next, v.name)
		v.apply(v.delivery())
	case upgrade, overtaken:
		v.point(next, v.name)
	case rollback:
		v.point(bad, v.name)
	case deletion:
		v.kubectl("delete", "delivery", v.name, "-n", v.name, "--wait=false")
	}
}

// leftNothing waits until the Delivery is gone, and sees that its objects are, too.
func (v *victim) leftNothing() {
	v.t.Helper()
	v.kubectl("wait", "--for=delete", "delivery/"+v.name, "-n", v.name, "--timeout=90s")
	if left := v.compare(nil); len(left) > 0 || v.strangers() != v.others {
		v.t.Errorf("%s: left are %s, and of others %q, want %q", v.name, left, v.strangers(), v.others)
	}
}

// delivery is the Delivery, which follows a tag of its own name.
func (v *victim) delivery() string {
	v.t.Helper()
	timeout := "5m"
	if v.work == rollback {
		timeout = "2s"
	}
	return v.manifest(v.source("tag: "+strings.ToLower(v.name), "  timeout: "+timeout+"\n"))
}
