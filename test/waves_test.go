package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// noted is a manifest with annotations of the form "key: value".
func noted(manifest string, annotations ...string) string {
	return strings.Replace(manifest, "metadata: {", fmt.Sprintf("metadata: {annotations: {%s}, ", strings.Join(annotations, ", ")), 1)
}

// job runs once; with nowhere to run, it never ends by itself.
func job(name, more string) string {
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: %s}
spec:
%s  template:
    spec:
      restartPolicy: Never
      containers: [{name: it, image: "registry.example.com/it:1"}]
`, name, more)
}

func endless(name string) string {
	return strings.Replace(job(name, ""), "containers:", "nodeSelector: {nowhere: \"true\"}\n      containers:", 1)
}

// doomedJob is a Job that its controller gives up after a second.
func doomedJob(name string) string {
	return strings.Replace(endless(name), "spec:\n", "spec:\n  activeDeadlineSeconds: 1\n", 1)
}

// finish plays the kubelet for a Job's pod that no node would run.
func (w *world) finish(name string) {
	w.t.Helper()
	w.until("a pod of "+name, func() bool {
		return w.kubectl("get", "pods", "-n", w.name, "-l", "job-name="+name, "-o", "name") != ""
	})
	pod := strings.TrimSpace(w.kubectl("get", "pods", "-n", w.name, "-l", "job-name="+name, "-o", "name"))
	w.kubectl("patch", pod, "-n", w.name, "--subresource=status", "--type=merge", `--patch={"status":{"phase":"Succeeded"}}`)
}

// pass asks for a pass, and waits until it was made.
func (w *world) pass(token string) {
	w.t.Helper()
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/requestedAt="+token)
	w.until("a pass for "+token, func() bool {
		return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.lastHandledReconcileAt}") == token
	})
}

// identity is the UID of an object; empty where there is none.
func (w *world) identity(kind, name string) string {
	w.t.Helper()
	return w.kubectl("get", kind, name, "-n", w.name, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
}

const (
	wave1    = `argocd.argoproj.io/sync-wave: "1"`
	wave2    = `sealift.dev/wave: "2"`
	preSync  = "argocd.argoproj.io/hook: PreSync"
	postSync = "sealift.dev/hook: PostSync"
	syncFail = "argocd.argoproj.io/hook: SyncFail"
	forgive  = "  irreversible: Rollback\n"
)

// TestWavesWaitForHealth: what is not healthy in one wave holds the next one back, and
// so does what an object depends on; the rest is written.
func TestWavesWaitForHealth(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	after := fmt.Sprintf("config.kubernetes.io/depends-on: apps/namespaces/%s/Deployment/db", w.name)
	w.apply(strings.Replace(configMap("theirs", "1"), "metadata: {", "metadata: {namespace: "+w.name+", ", 1))
	theirs := fmt.Sprintf("config.kubernetes.io/depends-on: /namespaces/%s/ConfigMap/theirs", w.name)
	files := map[string]string{
		"deploy/first.yaml":  noted(configMap("first", "1"), theirs),
		"deploy/db.yaml":     noted(unschedulable("db", 1, "nginx:1"), wave1),
		"deploy/needs.yaml":  noted(configMap("needs", "1"), wave1, after),
		"deploy/free.yaml":   noted(configMap("free", "1"), wave1),
		"deploy/second.yaml": noted(configMap("second", "1"), wave2),
	}
	w.publish(files)
	w.deliver(w.source("tag: main", ""))
	w.until("the first wave", func() bool { return w.exists("deployment", "db") && w.exists("configmap", "free") })
	w.pass("one")
	if !w.exists("configmap", "first") || w.exists("configmap", "needs") || w.exists("configmap", "second") {
		t.Error("what waits was written, or what does not was not")
	}
	if status, _, _ := w.status().ready(); status != "Unknown" {
		t.Errorf("Ready is %s while a wave waits", status)
	}
	w.until("what is awaited", func() bool {
		_, _, message := w.status().ready()
		return strings.Contains(message, "Deployment.apps "+w.name+"/db")
	})
	files["deploy/db.yaml"] = noted(deployment("db", 1, "nginx:1"), wave1)
	w.delivered(w.publish(files))
	if !w.exists("configmap", "needs") || !w.exists("configmap", "second") {
		t.Error("what waited was not written")
	}
	back := fmt.Sprintf("config.kubernetes.io/depends-on: /namespaces/%s/ConfigMap/bad", w.name)
	for _, bad := range []struct{ why, first, second string }{
		{"circle: ConfigMap " + w.name + "/bad, Deployment.apps " + w.name + "/db, ConfigMap", wave1 + ", " + after, back},
		{"neither in the release nor", theirs + "-not", "a: b"},
		{`sealift.dev/wave: "often" is no`, "sealift.dev/wave: often", "a: b"},
		{"later wave", after, "a: b"},
		{`"Sometimes" is none of PreSync`, "sealift.dev/hook: Sometimes", "a: b"},
		{"is neither GROUP/namespaces/NAMESPACE", "config.kubernetes.io/depends-on: db", "a: b"},
	} {
		w.publish(map[string]string{
			"deploy/bad.yaml": noted(configMap("bad", "1"), bad.first),
			"deploy/db.yaml":  noted(deployment("db", 1, "nginx:1"), wave1, bad.second),
		})
		w.until("the refusal: "+bad.why, func() bool {
			_, reason, message := w.status().ready()
			return reason == "InvalidRelease" && strings.Contains(message, bad.why)
		})
	}
}

// TestHooksRunOnce: before, after, once for each release, and never for drift; what
// left the release is pruned after the last hook only.
func TestHooksRunOnce(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", ""))
	first := w.publish(map[string]string{
		"deploy/a.yaml":       configMap("a", "1"),
		"deploy/old.yaml":     configMap("old", "1"),
		"deploy/script.yaml":  noted(configMap("script", "1"), preSync, `argocd.argoproj.io/sync-wave: "-1"`),
		"deploy/migrate.yaml": noted(endless("migrate"), preSync),
		"deploy/smoke.yaml":   noted(job("smoke", "  ttlSecondsAfterFinished: 0\n"), postSync, "sealift.dev/hook-delete: HookSucceeded"),
		"deploy/never.yaml":   noted(job("never", ""), "argocd.argoproj.io/hook: Skip"),
		"deploy/cry.yaml":     noted(job("cry", ""), syncFail),
	})
	w.until("the first hook", func() bool { return w.exists("job", "migrate") })
	w.pass("one")
	if !w.exists("configmap", "script") || w.exists("configmap", "a") {
		t.Error("the release did not wait for its PreSync hook")
	}
	w.finish("migrate")
	w.delivered(first)
	w.until("the PostSync hook deleted", func() bool { return !w.exists("job", "smoke") })
	if w.exists("job", "never") || w.exists("job", "cry") {
		t.Error("a hook ran that was not to")
	}
	migrate := w.identity("job", "migrate")
	w.kubectl("patch", "configmap", "script", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	w.healed("a", "1")
	w.pass("two")
	if w.identity("job", "migrate") != migrate || w.exists("job", "smoke") || w.value("script") != "by hand" {
		t.Error("drift was taken for a reason to run hooks, or a hook's object for drift")
	}

	second := w.publish(map[string]string{
		"deploy/a.yaml": configMap("a", "2"), "deploy/old.yaml": "", "deploy/script.yaml": "",
		"deploy/migrate.yaml": noted(job("migrate", ""), preSync),
		"deploy/smoke.yaml":   noted(endless("smoke"), postSync),
	})
	w.until("the last hook", func() bool { return w.exists("job", "smoke") })
	w.pass("three")
	if w.value("a") != "2" || !w.exists("configmap", "old") {
		t.Error("the last hook ran too early, or something was pruned before its end")
	}
	w.finish("smoke")
	w.delivered(second)
	if w.exists("configmap", "old") || w.exists("configmap", "script") {
		t.Error("what left the release is still there")
	}
	if w.identity("job", "migrate") == migrate {
		t.Error("the hook did not run again for another release")
	}
}

// TestFailedHook: a PreSync hook that fails changes nothing else; the release goes
// back after its SyncFail hook, and runs all of its hooks again when asked to.
func TestFailedHook(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", forgive))
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")}))
	w.publish(map[string]string{
		"deploy/a.yaml":       configMap("a", "2"),
		"deploy/migrate.yaml": noted(doomedJob("migrate"), preSync),
		"deploy/cry.yaml":     noted(endless("cry"), syncFail),
	})
	w.until("the SyncFail hook", func() bool { return w.exists("job", "cry") })
	w.pass("one")
	if w.status().Status.Quarantined.Digest != "" || w.value("a") != "1" {
		t.Error("the release went back before its SyncFail hook ended, or something of it was written")
	}
	first, cry := w.identity("job", "migrate"), w.identity("job", "cry")
	w.finish("cry")
	message := w.refused("RolledBack")
	if !strings.Contains(message, "migrate") || !strings.Contains(message, "hook failed") {
		t.Errorf("the message does not name the hook: %s", message)
	}
	if w.identity("job", "migrate") != first {
		t.Error("the failed hook is not there to be looked at")
	}
	w.pass("two")
	w.until("the hooks run again", func() bool {
		again := w.identity("job", "cry")
		return w.identity("job", "migrate") != first && again != "" && again != cry
	})
	w.finish("cry")
	w.refused("RolledBack")
	w.delivered(w.publish(map[string]string{"deploy/migrate.yaml": "", "deploy/cry.yaml": ""}))
	if w.exists("job", "migrate") || w.exists("job", "cry") {
		t.Error("hooks that left the release are still there")
	}

	w.deliver(w.source("tag: main", "  onFailure: Hold\n"))
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/migrate.yaml": noted(doomedJob("migrate"), preSync)})
	if message := w.refused("HookFailed"); !strings.Contains(message, "DeadlineExceeded") {
		t.Errorf("the message does not say why: %s", message)
	}
	if w.value("a") != "2" {
		t.Error("Hold applied a release whose PreSync hook failed")
	}
	first = w.identity("job", "migrate")
	w.pass("three")
	w.until("the hook run again", func() bool { return w.identity("job", "migrate") != first })
}

// TestWaitingHoldsNoWorker: with two workers, four Deliveries that wait for a wave, a
// hook, a dependency and health do not delay a fifth.
// A killed process goes on where it was, and runs no hook twice.
func TestWaitingHoldsNoWorker(t *testing.T) {
	w := ownStage(t)
	running, err := startSync(w.cluster, "--workers", "2")
	must(t, err)
	defer func() { running.end(os.Kill) }()
	after := fmt.Sprintf("config.kubernetes.io/depends-on: apps/namespaces/%s/Deployment/stuck-2", w.name)
	names := []string{"wave", "hook", "after", "health", "last"}
	documents := map[string]string{
		"wave":   noted(unschedulable("stuck-1", 1, "nginx:1"), wave1) + "---\n" + noted(configMap("later", "1"), wave2),
		"hook":   noted(endless("stuck-hook"), preSync) + "---\n" + configMap("hooked", "1") + "---\n" + noted(endless("stuck-last"), postSync),
		"after":  unschedulable("stuck-2", 1, "nginx:1") + "---\n" + noted(configMap("needs", "1"), after),
		"health": unschedulable("stuck-3", 1, "nginx:1"),
		"last":   configMap("last", "1"),
	}
	files, more := map[string]string{"deploy/none.yaml": configMap("none", "1")}, []string{}
	for _, name := range names {
		files[name+"/all.yaml"] = documents[name]
		more = append(more, "--environment", name+"="+name)
	}
	w.publish(files, more...)
	deliver := func(name string) {
		w.deliverAs(name, strings.Replace(w.source("tag: main", ""), "  source:", "  environment: "+name+"\n  source:", 1))
	}
	for _, name := range names[:4] {
		deliver(name)
	}
	w.until("all that may be written", func() bool {
		return w.exists("deployment", "stuck-1") && w.exists("job", "stuck-hook") && w.exists("deployment", "stuck-2") && w.exists("deployment", "stuck-3")
	})
	deliver("last")
	w.untilNamed("last", "True", "Delivered")

	hook := w.identity("job", "stuck-hook")
	restart := func() {
		running.end(os.Kill)
		running, err = startSync(w.cluster, "--workers", "2")
		must(t, err)
	}
	restart()
	w.finish("stuck-hook")
	w.until("the release after its hook", func() bool { return w.exists("configmap", "hooked") })
	w.until("the last hook", func() bool { return w.exists("job", "stuck-last") })
	last := w.identity("job", "stuck-last")
	restart()
	w.finish("stuck-last")
	w.untilNamed("hook", "True", "Delivered")
	restart()
	w.kubectl("delete", "configmap", "hooked", "-n", w.name)
	w.until("drift healed", func() bool { return w.exists("configmap", "hooked") })
	if w.identity("job", "stuck-hook") != hook || w.identity("job", "stuck-last") != last {
		t.Error("a hook ran twice")
	}
	for name, untouched := range map[string]string{"wave": "later", "after": "needs"} {
		if w.exists("configmap", untouched) {
			t.Errorf("%s did not wait", name)
		}
	}
}

// TestEngineAwaitsQuietly: while a wave waits, its dry run is not repeated.
func TestEngineAwaitsQuietly(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-awaits")
	r.want(noted(unschedulable("stuck", 1, "nginx:1"), wave1), noted(configMap("later", "1"), wave2))
	first := r.plan()
	must(t, r.engine.Preflight(r.ctx, first))
	report, err := r.engine.Apply(r.ctx, first)
	must(t, err)
	if len(report.Created) != 1 || !strings.Contains(report.Awaits, "wave 1: Deployment.apps engine-awaits/stuck is InProgress") {
		t.Errorf("created %v and awaits %q", report.Created, report.Awaits)
	}
	r.requests.take()
	for range 3 {
		next := r.plan()
		next.Resume(first)
		must(t, r.engine.Preflight(r.ctx, next))
		report, err := r.engine.Apply(r.ctx, next)
		must(t, err)
		if report.Awaits == "" {
			t.Error("the second wave came too early")
		}
		first = next
	}
	for _, sent := range r.requests.take() {
		if !strings.HasPrefix(sent, "GET ") {
			t.Errorf("a waiting pass sent %s", sent)
		}
	}
}
