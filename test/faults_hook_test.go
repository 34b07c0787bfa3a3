package test

import (
	"fmt"
	"os"
	"testing"
)

const migration = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {argocd.argoproj.io/hook: PreSync}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "example.com/migrate:1"}]
`

// TestHookRunsOnceThoughKilled kills the synchronizer after it created a hook's Job, when the
// Job is done, and before it prunes: the next process does not run the hook again.
func TestHookRunsOnceThoughKilled(t *testing.T) {
	w := onFragile(t)
	w.deliver(w.source("tag: main", ""))
	for i, m := range []moment{{at: "apply-answered", nth: 1}, {at: "apply-answered", nth: 2}, {at: "wait", nth: 1}, {at: "prune", nth: 1}} {
		release := w.publish(map[string]string{"deploy/migrate.yaml": migration, "deploy/a.yaml": configMap("a", fmt.Sprint(i)),
			"deploy/web.yaml": deployment("web", 1, fmt.Sprintf("example.com/web:%d", i))})
		before := w.created("/jobs/migrate")
		w.dies(w.startKiller(m))
		running, err := startSync(w.cluster)
		must(t, err)
		w.equals(release)
		running.end(os.Interrupt)
		if runs := w.created("/jobs/migrate") - before; runs != 1 {
			t.Errorf("killed at %v: the hook ran %d times\n%s", m, runs, running.output())
		}
	}
}

// created counts how often the synchronizer created an object of the test's namespace.
func (w *world) created(path string) int {
	w.t.Helper()
	requests, err := w.cluster.Requests()
	must(w.t, err)
	return creations(requests, w.name, path)
}

// TestHookRunsOnceForEachTailoring: what runs is delivered again when its variables
// change, and its hooks run once for that.
func TestHookRunsOnceForEachTailoring(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", "  substitute: {value: one}\n"))
	w.delivered(w.publish(map[string]string{"deploy/migrate.yaml": migration, "deploy/a.yaml": configMap("a", "${value}")}))
	job := func() string {
		return w.kubectl("get", "job", "migrate", "-n", w.name, "-o", "jsonpath={.metadata.uid}")
	}
	former := job()
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"substitute":{"value":"two"}}}`)
	w.until("the new value", func() bool {
		status, _, _ := w.status().ready()
		return status == "True" && w.value("a") == "two"
	})
	second := job()
	if second == former {
		t.Error("the hook did not run for what changed")
	}
	w.kubectl("delete", "configmap", "a", "-n", w.name)
	w.healed("a", "two")
	if third := job(); third != second {
		t.Error("the hook ran once more")
	}
}

// TestAskedHookRunsOnceThoughKilled: a release that is held is asked for again, and the
// synchronizer is killed after it created its hook's Job: the next process does not run the
// hook once more for that request.
func TestAskedHookRunsOnceThoughKilled(t *testing.T) {
	w := onFragile(t)
	w.deliver(w.source("tag: main", "  onFailure: Hold\n"))
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/migrate.yaml": noted(doomedJob("migrate"), preSync)})
	running, err := startSync(w.cluster)
	must(t, err)
	w.refused("HookFailed")
	running.end(os.Interrupt)
	before := w.created("/jobs/migrate")
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=again")
	w.dies(w.startKiller(moment{at: "apply-answered", nth: 1}))
	w.until("the Job's end", func() bool {
		return w.kubectl("get", "job", "migrate", "-n", w.name, "-o", `jsonpath={.status.conditions[?(@.type=="Failed")].status}`) == "True"
	})
	w.runs()
	w.until("the answer", func() bool { return w.handled() == "again" })
	w.refused("HookFailed")
	if runs := w.created("/jobs/migrate") - before; runs != 1 {
		t.Errorf("asked once, the hook ran %d times", runs)
	}
}
