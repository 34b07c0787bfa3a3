package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// node is what tests look at in `sealift tree -o json`.
type node struct {
	Kind, Name, Status, Message, Drift string
	Others                             []struct{ Manager, Subresource string }
	Annotations                        map[string]string
	Children                           []node
}

// tree reads the Delivery's objects by kind and name.
func (w *world) tree() map[string]node {
	w.t.Helper()
	out, _ := w.console(0, "tree", w.name, "-o", "json")
	var t struct{ Objects []node }
	must(w.t, json.Unmarshal([]byte(out), &t))
	found := map[string]node{}
	for _, n := range t.Objects {
		found[n.Kind+" "+n.Name] = n
	}
	return found
}

// TestTreeAndEvents: healthy, unhealthy and drifted objects with what they made, and
// no object that is not the Delivery's.
func TestTreeAndEvents(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publish(map[string]string{
		"deploy/web.yaml": deployment("web", 1, "example.com/web:1"),
		"deploy/a.yaml":   strings.Replace(configMap("a", "1"), "{name: a}", "{name: a, annotations: {sealift.dev/prune: disabled}}", 1),
	})
	w.deliver(w.source("tag: main", "  drift: Report\n"))
	w.delivered(first)
	out, _ := w.console(0, "tree", w.name)
	w.golden("tree", out)

	copied := w.kubectl("get", "configmap", "a", "-n", w.name, "-o", "yaml")
	w.apply(strings.Replace(copied, "name: a\n", "name: copy\n", 1))
	rows := w.follow("events", w.name, "-n", w.name, "--watch")
	w.kubectl("scale", "deployment", "web", "-n", w.name, "--replicas=2")
	w.until("the drift in the tree", func() bool {
		return strings.Contains(w.tree()["Deployment web"].Drift, ".spec.replicas by kubectl (scale)")
	})
	rows.until("Scaled up replica set")
	nodes := w.tree()
	if _, found := nodes["ConfigMap copy"]; found || len(nodes) != 2 {
		t.Errorf("the tree holds %v", nodes)
	}
	if a := nodes["ConfigMap a"]; a.Status != "Current" || a.Annotations["sealift.dev/prune"] != "disabled" {
		t.Errorf("a is %+v", a)
	}
	w.until("two Pods below the ReplicaSet", func() bool {
		sets := w.tree()["Deployment web"].Children
		return len(sets) == 1 && len(sets[0].Children) == 2 && sets[0].Children[1].Status == "Current"
	})
	if out, _ = w.console(0, "tree", w.name); !strings.Contains(out, "drifted, changed: .spec.replicas by kubectl (scale)") {
		t.Errorf("the drift is not shown:\n%s", out)
	}

	w.until("the reason Drifted", func() bool {
		_, reason, _ := w.status().ready()
		return reason == "Drifted" // once what was scaled is there
	})
	pod := w.tree()["Deployment web"].Children[0].Children[0].Name
	out, _ = w.console(0, "trace", "pod/"+pod)
	w.golden("trace", out)
	w.console(0, "trace", "cm/a")
	if _, problem := w.console(1, "trace", "configmap/copy"); !strings.Contains(problem, "did not apply it") {
		t.Errorf("the copy comes from %q", problem)
	}

	w.console(0, "suspend", w.name)
	w.refused("Suspended")
	w.kubectl("patch", "deployment", "web", "-n", w.name, "--type=merge", `--patch={"spec":{"template":{"spec":{"nodeSelector":{"nowhere":"true"}}}}}`)
	w.until("an unhealthy Deployment in the tree", func() bool {
		web := w.tree()["Deployment web"]
		return web.Status == "InProgress" && web.Message != "" && len(web.Children) == 2
	})
	w.journal()
}

// journal checks that each kind of object is there, and strangers' are not.
func (w *world) journal() {
	w.t.Helper()
	w.kubectl("create", "deployment", "stranger", "-n", w.name, "--image=example.com/x", "--replicas=1")
	w.until("the stranger's Event", func() bool {
		return strings.Contains(w.kubectl("get", "events", "-n", w.name), "deployment/stranger")
	})
	out, _ := w.console(0, "events", w.name, "-o", "json")
	var found []struct{ Kind, Name, Reason, Type string }
	must(w.t, json.Unmarshal([]byte(out), &found))
	seen := map[string]bool{}
	for _, e := range found {
		seen[e.Kind] = true
		if strings.HasPrefix(e.Name, "stranger") {
			w.t.Errorf("%+v is of a stranger's object", e)
		}
	}
	for _, kind := range []string{"Delivery", "Deployment", "ReplicaSet", "Pod"} {
		if !seen[kind] {
			w.t.Errorf("there is no Event of a %s: %s", kind, out)
		}
	}
	if out, _ = w.console(0, "events", "--types", "Warning", "-o", "json"); strings.Contains(out, `"Normal"`) || !strings.Contains(out, `"Warning"`) {
		w.t.Errorf("--types Warning prints %s", out)
	}
	_, problem, err := w.sealift("events", w.name, "-A")
	if exitCode(err) != 2 {
		w.t.Errorf("a name with -A: %v: %s", err, problem)
	}
}

// TestConfirm: exactly the list that was seen is confirmed.
func TestConfirm(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	files, emptied := map[string]string{}, map[string]string{}
	for i := range 12 {
		name := fmt.Sprintf("m%02d", i)
		files["deploy/"+name+".yaml"] = configMap(name, "1")
		if i > 0 {
			emptied["deploy/"+name+".yaml"] = ""
		}
	}
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(files))
	if _, problem := w.console(1, "confirm", w.name, "--yes"); !strings.Contains(problem, "awaits no such confirmation") {
		t.Errorf("nothing to confirm says %q", problem)
	}
	w.publish(emptied)
	w.refused("AwaitingConfirmation")
	_, problem := w.console(2, "confirm", w.name) // nobody is there to be asked
	w.golden("confirm", problem)
	var awaited struct {
		Digest string
		Total  int
	}
	out, _ := w.console(0, "confirm", w.name, "-o", "json")
	must(t, json.Unmarshal([]byte(out), &awaited))
	if awaited.Total != 11 {
		t.Errorf("-o json prints %s", out)
	}
	w.console(1, "confirm", w.name, "--digest", "another")
	if !w.exists("configmap", "m11") {
		t.Fatal("it was deleted without a confirmation")
	}
	w.console(0, "confirm", w.name, "--digest", awaited.Digest)
	w.until("the confirmed list deleted", func() bool { return !w.exists("configmap", "m11") && w.exists("configmap", "m00") })
}

// TestRollbackCommand: back to a release of the history, and forth again.
func TestRollbackCommand(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")}, "--version", "1.0.0")
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	if _, problem := w.console(1, "rollback", w.name); !strings.Contains(problem, "not found in its history") {
		t.Errorf("without a history it says %q", problem)
	}
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}, "--version", "1.1.0")
	w.delivered(second)
	w.history(second, first)
	out, _ := w.console(0, "rollback", w.name, "--list", "-o", "json")
	var past []struct {
		Digest, Version string
		Applied         bool
	}
	must(t, json.Unmarshal([]byte(out), &past))
	if len(past) != 2 || !past[0].Applied || past[1].Digest != first.Digest {
		t.Fatalf("the history is %s", out)
	}
	_, problem := w.console(0, "rollback", w.name, "--wait")
	if w.value("a") != "1" || strings.Contains(problem, "warning") {
		t.Errorf("rolled back: a is %s: %s", w.value("a"), problem)
	}
	w.console(0, "rollback", w.name, "--to", second.Digest[7:19], "--wait")
	w.console(0, "rollback", w.name, "--to", "1.0.0", "--wait")
	w.console(1, "rollback", w.name, "--to", "9.9.9")
	w.console(0, "rollback", w.name, "--undo", "--wait")
	w.delivered(second)
	if got := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.spec.source.tag} {.spec.source.digest} {.metadata.annotations}"); !strings.HasPrefix(got, "main  ") || strings.Contains(got, "unpinned") {
		t.Errorf("after the undo the source is %q", got)
	}
	w.console(1, "rollback", w.name, "--undo")

	// Somebody else applies the Delivery, too.
	whole := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.spec}")
	manifest := fmt.Sprintf(`{"apiVersion":"sealift.dev/v1alpha1","kind":"Delivery","metadata":{"name":%[1]q,"namespace":%[1]q},"spec":%[2]s}`, w.name, whole)
	_, err := w.cluster.KubectlInput(t.Context(), manifest, "apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", "-")
	must(t, err)
	if _, problem = w.console(0, "rollback", w.name); !strings.Contains(problem, "warning: kustomize-controller also sets its source") {
		t.Errorf("another manager is not warned of: %s", problem)
	}
}

// history waits until the status holds these releases, the newest first.
func (w *world) history(want ...published) {
	w.t.Helper()
	var digests []string
	for _, p := range want {
		digests = append(digests, p.Digest)
	}
	w.until("the history", func() bool {
		return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.history[*].digest}") == strings.Join(digests, " ")
	})
}
