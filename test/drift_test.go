package test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"sealift.dev/synchronizer/engine"
)

func (w *world) replicas(name string) string {
	w.t.Helper()
	return w.kubectl("get", "deployment", name, "-n", w.name, "-o", "jsonpath={.spec.replicas}")
}

// TestIgnoredFieldsAreGivenUp: a field that somebody else sets is theirs, whatever
// later releases say; what nobody else sets is the release's.
func TestIgnoredFieldsAreGivenUp(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	two := strings.Replace(deployment("web", 2, "example.com/web:1"), "        - name: web", "        - {name: side, image: 'example.com/side:1'}\n        - name: web", 1)
	files := map[string]string{"deploy/web.yaml": two, "deploy/other.yaml": deployment("other", 1, "example.com/o:1")}
	w.deliver(w.source("tag: main", "  ignoreFields:\n    - {group: apps, kind: Deployment, paths: [/spec/replicas]}\n    - {group: apps, kind: Deployment, name: web, paths: [/spec/template/spec/containers/1/image]}\n"))
	w.delivered(w.publish(files))

	// As an autoscaler does it, in the name of its controller.
	client, err := kubernetes.NewForConfig(onStage(t).AdminConfig())
	must(t, err)
	_, err = client.AppsV1().Deployments(w.name).UpdateScale(t.Context(), "web", &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: w.name}, Spec: autoscalingv1.ScaleSpec{Replicas: 5}},
		metav1.UpdateOptions{FieldManager: "kube-controller-manager"})
	must(t, err)
	w.kubectl("scale", "deployment", "other", "-n", w.name, "--replicas=3")
	_, err = client.AppsV1().Deployments(w.name).Patch(t.Context(), "web", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"example.com/web:by-hand"}]}}}}`), metav1.PatchOptions{FieldManager: "updater"})
	must(t, err)
	// Drift of another field is healed, and that heal does not take the rest back.
	w.kubectl("patch", "deployment", "web", "-n", w.name, "--type=json", `--patch=[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/side:by-hand"}]`)
	images := func() string {
		return w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.template.spec.containers[*].image}")
	}
	w.until("the other image healed", func() bool { return images() == "example.com/side:1 example.com/web:by-hand" })
	files["deploy/web.yaml"] = strings.Replace(two, "example.com/side:1", "example.com/side:2", 1)
	files["deploy/other.yaml"] = deployment("other", 2, "example.com/o:2")
	w.delivered(w.publish(files))
	if got := w.replicas("web") + " " + w.replicas("other") + " " + images(); got != "5 3 example.com/side:2 example.com/web:by-hand" {
		t.Errorf("replicas and images are %s", got)
	}
	if notes := w.events("DriftCorrected"); slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "replicas") || strings.Contains(n, `name="web"`) }) {
		t.Errorf("fields that were given up were healed: %q", notes)
	}
	// A rule that goes leaves the field to the release again.
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=json", `--patch=[{"op":"remove","path":"/spec/ignoreFields/1"}]`)
	w.until("the image of the release", func() bool { return images() == "example.com/side:2 example.com/web:1" })
	if got := w.replicas("web") + " " + w.replicas("other"); got != "5 3" {
		t.Errorf("replicas, of which another rule speaks, are %s", got)
	}
	w.kubectl("delete", "deployment", "other", "-n", w.name)
	w.until("the deleted one as the release has it", func() bool {
		return w.exists("deployment", "other") && w.replicas("other") == "2"
	})
}

// TestDriftThatIsIgnored: an object may ask to be changed by releases only.
func TestDriftThatIsIgnored(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	free := func(value string) string {
		return strings.Replace(configMap("free", value), "name: free", "name: free, annotations: {sealift.dev/drift: ignore}", 1)
	}
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(map[string]string{"deploy/free.yaml": free("1"), "deploy/a.yaml": configMap("a", "1")}))
	w.kubectl("patch", "configmap", "free", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	w.healed("a", "1") // which came later
	if got := w.value("free"); got != "by hand" {
		t.Errorf("drift that is to be ignored was healed: %s", got)
	}
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}))
	if got := w.value("free"); got != "by hand" {
		t.Errorf("a release that changes another object changed it to %s", got)
	}
	w.delivered(w.publish(map[string]string{"deploy/free.yaml": free("2")}))
	if got := w.value("free"); got != "2" {
		t.Errorf("a release that changes it leaves it at %s", got)
	}
	w.kubectl("delete", "configmap", "free", "-n", w.name)
	w.until("it is there again", func() bool { return w.exists("configmap", "free") })
}

// TestContestedDrift: who undoes each correction is named, Ready stays True, and it
// ends when they stop.
func TestContestedDrift(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	contested := func() bool {
		status, reason, _ := w.status().ready()
		return status == "True" && reason == "Contested"
	}
	w.until("the fight noticed", func() bool {
		if w.value("a") == "1" {
			w.kubectl("patch", "configmap", "a", "-n", w.name, "--field-manager=rival", "--type=merge", `--patch={"data":{"value":"by hand"}}`)
		}
		return contested()
	})
	if drifted := strings.Join(w.status().Status.Drifted, " "); !strings.Contains(drifted, "ConfigMap "+w.name+"/a: contested, changed: .data.value by rival") {
		t.Errorf("the status says %q", drifted)
	}
	w.until("an Event", func() bool { return len(w.events("Contested")) > 0 })
	// A first pause lasts ten seconds, and one more while nobody does anything.
	w.until("the last correction", func() bool { return w.value("a") == "1" })
	w.until("the fight over", func() bool { return !contested() })
	if status, reason, _ := w.status().ready(); status != "True" || reason != "Delivered" || len(w.status().Status.Drifted) > 0 {
		t.Errorf("after the fight Ready is %s, %s, drifted %q", status, reason, w.status().Status.Drifted)
	}
	if notes := w.events("DriftCorrected"); len(notes) > 12 {
		t.Errorf("%d Events of corrections", len(notes))
	}
}

// TestRestartConfirmsAPart: a change that no process saw has the objects of its part confirmed,
// where there are many, and not all of them.
func TestRestartConfirmsAPart(t *testing.T) {
	t.Parallel()
	r := newRig(t, "restart-part")
	var documents []string
	for i := range 300 {
		documents = append(documents, configMap(fmt.Sprintf("c-%d", i), "1"))
	}
	r.want(documents...)
	r.deliver()
	r.settle()
	r.target.Settled, r.target.Confirmed = true, r.engine.Confirmation(r.plan())
	r.stop()
	r.patch(core("configmaps"), "c-2", types.MergePatchType, `{"data":{"value":"by hand"}}`, "someone")
	r.restart()
	if n := r.plan().Count(engine.Update); n < 1 || n > 150 {
		t.Errorf("%d of 300 objects are confirmed again", n)
	}
	r.deliver()
	r.settle()
	again := r.engine.Confirmation(r.plan())
	if parts, before := strings.Split(again, "."), strings.Split(r.target.Confirmed, "."); len(parts) != 5 || len(before) != 5 || differing(parts, before) > 1 { // none, where all was in one second
		t.Errorf("confirmed is now %s, and was %s", again, r.target.Confirmed)
	}
}

func differing(a, b []string) int {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// TestRestartHasNothingToConfirm: a process that finds all as it was left sends no
// dry run and no apply, and still sees what changed while none ran.
func TestRestartHasNothingToConfirm(t *testing.T) {
	t.Parallel()
	r := newRig(t, "restart-confirmed")
	var documents []string
	for i := range 4 {
		documents = append(documents, configMap(fmt.Sprintf("c-%d", i), "1"))
	}
	r.want(append(documents, deployment("web", 0, "example.com/web:1"))...)
	r.deliver()
	r.settle()
	r.target.Settled, r.target.Confirmed = true, r.engine.Confirmation(r.plan())
	if r.target.Confirmed == "" {
		t.Fatal("what was applied is not confirmed")
	}

	r.restart()
	if p := r.plan(); p.Changed() || p.Count(engine.Unchanged) != 5 {
		t.Errorf("a process that finds all as it was has something to do")
	}
	r.requests.take()
	r.deliver()
	if sent := r.requests.take(); len(sent) > 0 {
		t.Errorf("it sends %v", sent)
	}
	if again := r.engine.Confirmation(r.plan()); again != r.target.Confirmed {
		t.Errorf("the confirmation is %s, and was %s", again, r.target.Confirmed)
	}
	r.patch(core("configmaps"), "c-1", types.MergePatchType, `{"data":{"value":"by hand"}}`, "someone")
	r.eventually(func() bool { return len(r.actions(engine.Heal)) == 1 }) // it is watched as before
	r.deliver()
	r.target.Confirmed = r.engine.Confirmation(r.plan())

	r.stop()
	r.patch(core("configmaps"), "c-2", types.MergePatchType, `{"data":{"value":"by hand"}}`, "someone")
	r.restart()
	if p := r.plan(); p.Count(engine.Update) != 5 {
		t.Errorf("%d objects are confirmed after a change that nobody saw, want all", p.Count(engine.Update))
	}
	r.deliver()
	r.want(append([]string{configMap("c-0", "2")}, append(documents[1:], deployment("web", 0, "example.com/web:1"))...)...)
	r.restart()
	if p := r.plan(); p.Count(engine.Update) != 5 {
		t.Error("another content counts as confirmed")
	}
}
