package test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/test/stage"
)

// course is a release with a hook before, two waves, an object that is created again with
// each release, and hooks after it: a last one, and one for a failure.
func course(n int, last string) map[string]string {
	image := func(name string) string { return fmt.Sprintf("example.com/%s:%d", name, n) }
	sealed := strings.Replace(configMap("sealed", fmt.Sprint(n)), "metadata: {", `metadata: {annotations: {sealift.dev/recreate: enabled}, `, 1)
	return map[string]string{
		"deploy/migrate.yaml": noted(strings.Replace(job("migrate", ""), "registry.example.com/it:1", image("migrate"), 1), preSync),
		"deploy/a.yaml":       configMap("a", fmt.Sprint(n)),
		"deploy/sealed.yaml":  sealed + "immutable: true\n",
		"deploy/web.yaml":     noted(deployment("web", 1, image("web")), wave1),
		"deploy/b.yaml":       noted(configMap("b", fmt.Sprint(n)), wave2),
		"deploy/last.yaml":    noted(last, postSync, "sealift.dev/hook-delete: HookSucceeded"),
		"deploy/cry.yaml":     noted(job("cry", ""), syncFail),
	}
}

// leftBehind are the objects that such a release leaves behind: b may be anything, and of
// hooks the names only.
func leftBehind(n int, hooks ...string) []*unstructured.Unstructured {
	object := func(apiVersion, kind, name string, more map[string]any) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}}
		for key, value := range more {
			o.Object[key] = value
		}
		return o
	}
	value := map[string]any{"data": map[string]any{"value": fmt.Sprint(n)}}
	container := []any{map[string]any{"image": fmt.Sprintf("example.com/web:%d", n)}}
	web := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": container}}}}
	want := []*unstructured.Unstructured{
		object("v1", "ConfigMap", "a", value), object("v1", "ConfigMap", "sealed", value), object("v1", "ConfigMap", "b", value), object("apps/v1", "Deployment", "web", web),
	}
	for _, name := range hooks {
		want = append(want, object("batch/v1", "Job", name, nil))
	}
	return want
}

// onCourse are the moments in an upgrade and on the way back from one.
func onCourse(publisher *world) []*victim {
	const back = `"quarantined":{`
	moments := map[work][]moment{
		upgrade: {
			{at: "delete-answered"},                                        // the hook's former run went, and the new one is not there
			{at: "apply-answered"},                                         // the hook runs
			{at: "delete-answered", nth: 2},                                // what is created again went
			{at: "apply-answered", nth: 2},                                 // between two objects of a wave
			{at: "apply-answered", nth: 3},                                 // between two waves
			{at: "apply-answered", nth: 5}, {at: "apply-answered", nth: 6}, // before and after the last hook
			{at: "delete-answered", nth: 3}, {at: "prune"}, {at: "prune", nth: 2}, // the last hook goes
		},
		rollback: {
			{at: "apply-answered", nth: 6}, {at: "apply-answered", nth: 7}, // before and after the hook for a failure
			{at: "status-answered", after: back}, {at: "delete-answered", after: back}, {at: "apply-answered", after: back},
			{at: "apply-answered", nth: 3, after: back}, {at: "prune", after: back},
		},
	}
	var all []*victim
	for _, work := range []work{upgrade, rollback} {
		for i, m := range moments[work] {
			m.nth = max(m.nth, 1)
			w := *publisher
			w.name, w.shares = fmt.Sprintf("course-%s-%d", work, i), publisher.name
			all = append(all, &victim{&w, work, m})
		}
	}
	return all
}

// TestKilledOnCourse kills the synchronizer between hooks, waves, and the deletion and creation
// of what is created again: in an upgrade, and on the way back from one of which a hook fails.
// Every hook runs once, and all else is as released.
func TestKilledOnCourse(t *testing.T) {
	w := onFragile(t)
	good := w.publish(course(1, job("last", "")))
	next := w.publish(course(2, job("last", "")))
	bad := w.publish(course(3, doomedJob("last")))
	all := onCourse(w)
	for _, v := range all {
		v.apply(admission(v.name))
		v.bystanders()
		v.point(good, v.name)
		v.deliver(v.source("tag: "+v.name, forgive))
	}
	running := w.runs()
	for _, v := range all {
		v.delivered(good)
		v.until("the last hook deleted", func() bool { return !v.exists("job", "last") })
	}
	running.end(os.Interrupt)
	for _, v := range all {
		v.act(next, bad)
		v.dies(v.startKiller(v.moment))
	}
	w.runs()
	for _, v := range all {
		if v.work == rollback {
			v.refused("RolledBack")
			v.same(good, leftBehind(1, "migrate", "cry", "last"))
		} else {
			v.delivered(next)
			v.same(next, leftBehind(2, "migrate"))
		}
	}
	requests, err := w.cluster.Requests()
	must(t, err)
	for _, v := range all {
		ran := map[string]int{"migrate": 2, "last": 2, "cry": 0}
		if v.work == rollback {
			ran["cry"] = 1
		}
		for hook, want := range ran {
			if got := creations(requests, v.name, "/jobs/"+hook); got != want {
				t.Errorf("%s, killed at %v: the hook %s ran %d times, want %d", v.name, v.moment, hook, got, want)
			}
		}
	}
}

// creations counts how often an object of a namespace was created.
func creations(requests []stage.Request, namespace, path string) int {
	count := 0
	for _, r := range requests {
		if strings.Contains(r.URI, "/namespaces/"+namespace+path+"?") && !strings.Contains(r.URI, "dryRun") && r.ResponseStatus.Code == 201 {
			count++
		}
	}
	return count
}
