package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// awaiting is what the status asks a person to confirm.
type awaiting struct {
	Digest, Reason string
	Total          int
	Objects        []string
}

func (w *world) awaiting() awaiting {
	w.t.Helper()
	var d struct{ Status struct{ Awaiting awaiting } }
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json")), &d))
	return d.Status.Awaiting
}

// awaits waits for a question about so many objects of the release p.
func (w *world) awaits(p published, total int) awaiting {
	w.t.Helper()
	var asked awaiting
	w.until(fmt.Sprintf("a question about %d objects", total), func() bool {
		d := w.status()
		status, reason, _ := d.ready()
		asked = w.awaiting()
		return status == "False" && reason == "AwaitingConfirmation" && d.Status.Applied.Digest == p.Digest && asked.Total == total
	})
	return asked
}

func (w *world) confirm(digest string) {
	w.t.Helper()
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/confirm="+digest)
}

func (w *world) configMaps(prefix string) int {
	w.t.Helper()
	return strings.Count(w.kubectl("get", "configmaps", "-n", w.name, "-o", "name"), "configmap/"+prefix)
}

// named are so many config maps; files of the other prefix are removed.
func named(prefix, other string, n int) map[string]string {
	files := map[string]string{"deploy/stay.yaml": configMap("stay", prefix)}
	for i := range n {
		files[fmt.Sprintf("deploy/%s-%02d.yaml", prefix, i)] = configMap(fmt.Sprintf("%s-%02d", prefix, i), "1")
		if other != "" {
			files[fmt.Sprintf("deploy/%s-%02d.yaml", other, i)] = ""
		}
	}
	return files
}

// TestMassDeletionAwaitsConfirmation: a rename that would delete most objects waits
// for a person, who confirms exactly what was shown.
func TestMassDeletionAwaitsConfirmation(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(named("a", "", 12)))

	// While the new ones are not healthy there are 25 objects: what 12 deletions are
	// held against does not grow with them.
	files := named("b", "a", 12)
	files["deploy/job.yaml"] = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: b}\nspec:\n  template: {spec: {restartPolicy: Never, nodeSelector: {nowhere: \"true\"}, containers: [{name: j, image: example.com/j:1}]}}\n"
	third := w.publish(files)
	w.until("the question asked", func() bool { return w.awaiting().Total == 12 && w.configMaps("b-") == 12 })
	w.kubectl("patch", "job", "b", "-n", w.name, "--type=merge", `--patch={"spec":{"suspend":true}}`)
	asked := w.awaits(third, 12)
	if w.configMaps("a-") != 12 || w.configMaps("b-") != 12 {
		t.Errorf("%d old and %d new objects, want all", w.configMaps("a-"), w.configMaps("b-"))
	}
	if len(asked.Objects) != 12 || !strings.Contains(asked.Reason, "12 of 13") || !strings.Contains(strings.Join(asked.Objects, " "), "ConfigMap "+w.name+"/a-00") {
		t.Errorf("the status asks %+v", asked)
	}
	if stalled := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", `jsonpath={.status.conditions[?(@.type=="Stalled")].status}`); stalled != "True" {
		t.Errorf("Stalled is %q", stalled)
	}
	w.once("AwaitingConfirmation", "12 of 13")

	w.confirm("sha256:" + strings.Repeat("0", 64))
	w.kubectl("delete", "configmap", "a-11", "-n", w.name) // another list wants another word
	again := w.awaits(third, 11)
	if again.Digest == asked.Digest || w.configMaps("a-") != 11 {
		t.Errorf("the list is another, the digest %s and before %s, %d are left", again.Digest, asked.Digest, w.configMaps("a-"))
	}
	w.confirm(asked.Digest)
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/requestedAt=now")
	w.until("the request answered", func() bool {
		return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.lastHandledReconcileAt}") == "now"
	})
	if w.configMaps("a-") != 11 {
		t.Error("the confirmation of another list deleted something")
	}
	w.confirm(again.Digest)
	w.delivered(third)
	if w.configMaps("a-") != 0 || w.awaiting().Digest != "" {
		t.Errorf("%d objects are left, and %s awaited", w.configMaps("a-"), w.awaiting().Digest)
	}
}

// TestDeletionsThatAskForIt: objects may ask for a confirmation, a Delivery may set
// its own budget, a failed release is taken back without one, and what wants a word
// when the Delivery goes stays.
func TestDeletionsThatAskForIt(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	marked := func(name, annotations string) string {
		return strings.Replace(configMap(name, "1"), "name: "+name, "name: "+name+", annotations: {"+annotations+"}", 1)
	}
	w.deliver(w.source("tag: main", "  timeout: 3s\n"))
	w.delivered(w.publish(map[string]string{
		"deploy/ours.yaml": marked("ours", "sealift.dev/prune: confirm"), "deploy/argo.yaml": marked("argo", "argocd.argoproj.io/sync-options: Prune=Confirm"),
		"deploy/plain.yaml": configMap("plain", "1"), "deploy/kept.yaml": marked("kept", "argocd.argoproj.io/sync-options: Delete=confirm"), "deploy/stay.yaml": configMap("stay", "1")}))
	second := w.publish(map[string]string{"deploy/ours.yaml": "", "deploy/argo.yaml": "", "deploy/plain.yaml": ""})
	asked := w.awaits(second, 2)
	w.until("the plain one gone", func() bool { return !w.exists("configmap", "plain") })
	if !w.exists("configmap", "ours") || !w.exists("configmap", "argo") {
		t.Error("what asks for a confirmation was deleted without")
	}
	w.confirm(asked.Digest)
	w.delivered(second)
	if w.exists("configmap", "ours") || w.exists("configmap", "argo") {
		t.Error("what was confirmed was not deleted")
	}

	w.deliver(w.source("tag: main", "  timeout: 3s\n  maxPrune: 0\n"))
	broken := map[string]string{"deploy/web.yaml": unschedulable("web", 1, "example.com/web:1")}
	for i := range 3 {
		broken[fmt.Sprintf("deploy/new-%d.yaml", i)] = configMap(fmt.Sprintf("new-%d", i), "1")
	}
	w.publish(broken)
	w.refused("RolledBack")
	w.until("the failed release's objects gone", func() bool { return w.configMaps("new-") == 0 })

	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	if w.exists("configmap", "stay") || !w.exists("configmap", "kept") {
		t.Error("deleting the Delivery deletes all but what wants a confirmation")
	}
	w.once("Kept", "kept")
}
