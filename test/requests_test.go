package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/test/stage"
)

// spent counts requests of the synchronizer that concern one namespace.
type spent struct {
	dryRuns, applies, statuses, events int
	own                                int // other writes to the Delivery
	rest                               []string
}

func (s *spent) count(r stage.Request) {
	switch path, _, _ := strings.Cut(r.URI, "?"); {
	case r.Verb == "watch" || r.Stage != "ResponseComplete":
	case r.Verb == "list" && !strings.Contains(r.URI, "watch="): // begins a watch
	case strings.Contains(path, "/deliveries/") && strings.HasSuffix(path, "/status"):
		s.statuses++
	case strings.Contains(path, "/deliveries/") && r.Verb != "get":
		s.own++
	case strings.Contains(path, "/events"):
		s.events++
	case r.Verb == "patch" && strings.Contains(r.URI, "dryRun=All"):
		s.dryRuns++
	case r.Verb == "patch":
		s.applies++
	default:
		s.rest = append(s.rest, r.Verb+" "+r.URI)
	}
}

// within fails where s is more than its budget.
func (s spent) within(t *testing.T, what string, budget spent) {
	t.Helper()
	t.Logf("%s: %+v", what, s)
	if s.dryRuns > budget.dryRuns || s.applies > budget.applies || s.statuses > budget.statuses ||
		s.events > budget.events || s.own > budget.own || len(s.rest) > len(budget.rest) {
		t.Errorf("%s costs %+v, more than %+v", what, s, budget)
	}
}

// spends is what the synchronizer asked of the API server for the test's namespace while
// act ran, and two seconds after: a write too many would come late.
func (w *world) spends(act func()) spent {
	w.t.Helper()
	before := len(w.requests())
	act()
	time.Sleep(2 * time.Second)
	var s spent
	for _, r := range w.requests()[before:] {
		s.count(r)
	}
	return s
}

// requests are those of the synchronizer for the test's namespace since it began.
func (w *world) requests() []stage.Request {
	w.t.Helper()
	all, err := w.cluster.Requests()
	must(w.t, err)
	var own []stage.Request
	for _, r := range all {
		if strings.Contains(r.URI, "/namespaces/"+w.name+"/") {
			own = append(own, r)
		}
	}
	return own
}

// asks requests a pass, and waits until that is answered and release runs.
func (w *world) asks(release published, value string) {
	w.t.Helper()
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/requestedAt="+value)
	w.until("the request "+value+" answered", func() bool { return w.handled() == value })
	w.delivered(release)
}

// handled is the request that was answered last.
func (w *world) handled() string {
	w.t.Helper()
	var d struct {
		Status struct{ LastHandledReconcileAt string }
	}
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json")), &d))
	return cmp.Or(d.Status.LastHandledReconcileAt, "none")
}

// TestRequestsOfAPass holds the synchronizer to what it may ask of the API server: one
// dry run and one apply of what changes, two status writes for a release and one for a
// heal, and nothing for news that there are none.
func TestRequestsOfAPass(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	registry := w.faultyRegistry(false)
	files := map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/svc.yaml": service("web"),
		"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")}
	release := w.publish(files)
	first := w.spends(func() {
		w.deliver(w.source("tag: main", ""))
		w.delivered(release)
	})
	first.within(t, "a first delivery of four objects", spent{dryRuns: 4, applies: 4, statuses: 1, own: 1, events: 1})
	if first.dryRuns != 4 || first.applies != 4 || first.statuses == 0 {
		t.Fatalf("%+v: the audit log does not tell what a delivery costs", first)
	}

	heads := registry.heads.Load()
	w.spends(func() {
		w.until("the registry asked again", func() bool { return registry.heads.Load() > heads+1 })
	}).within(t, "a question without news", spent{})

	upgrade := func(image string, act func(published)) spent {
		files["deploy/web.yaml"] = deployment("web", 2, image)
		return w.spends(func() { act(w.publish(files)) })
	}
	budget := spent{dryRuns: 1, applies: 1, statuses: 1, events: 1}
	upgrade("example.com/web:2", w.delivered).within(t, "an upgrade of one object", budget)

	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", "-p", `{"spec":{"interval":"1h"}}`)
	w.until("the spec observed", func() bool { d := w.status(); return d.Status.ObservedGeneration == d.Metadata.Generation })
	for i := range 3 {
		upgrade(fmt.Sprintf("example.com/web:1.%d", i), func(p published) { w.asks(p, fmt.Sprint(i)) }).
			within(t, "an upgrade that is asked for", budget)
	}

	w.spends(func() {
		w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"drifted"}}`)
		w.until("the drift healed", func() bool { return w.value("a") == "1" })
	}).within(t, "a heal", spent{applies: 1, statuses: 1, events: 1})
}
