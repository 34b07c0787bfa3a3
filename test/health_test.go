package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// statusGadgets is a definition whose objects say in words how they are.
func statusGadgets(group string) string {
	return strings.Replace(gadgets(group), "properties: {spec:", "properties: {status: {type: object, x-kubernetes-preserve-unknown-fields: true}, spec:", 1)
}

// phase sets what a gadget says of itself, as its controller would.
func (w *world) phase(name, phase string) {
	w.t.Helper()
	w.kubectl("patch", "gadgets."+w.group(), name, "-n", w.name, "--type=merge", `--patch={"status":{"phase":"`+phase+`"}}`)
}

func (w *world) gadgetHealth() string {
	return fmt.Sprintf("  health: [{group: %s, kind: Gadget, current: 'self.status.phase == \"Ready\"', failed: 'self.status.phase == \"Broken\"'}]\n", w.group())
}

// TestDegradedAfterTheRollout: what becomes unhealthy long after it was delivered
// turns the Delivery not Ready, and back when it recovers; nothing is rolled back.
func TestDegradedAfterTheRollout(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.apply(statusGadgets(w.group()))
	release := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/g.yaml": gadget(w.group(), "g", "1")})
	w.deliver(w.source("tag: main", w.gadgetHealth()))
	w.until("the gadget written", func() bool { return w.exists("gadgets."+w.group(), "g") })
	if status, reason, _ := w.status().ready(); status == "True" {
		t.Errorf("Ready is True with the reason %s before the gadget says anything", reason)
	}
	w.phase("g", "Ready")
	w.delivered(release)

	began := time.Now()
	w.phase("g", "Broken")
	message := w.refused("Degraded")
	t.Logf("told after %s", time.Since(began).Round(time.Millisecond))
	if !strings.Contains(message, "Gadget."+w.group()+" "+w.name+"/g is Failed") {
		t.Errorf("the message does not name the object: %s", message)
	}
	if listed := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.unhealthy[*].name} {.status.unhealthy[*].status} {.status.objects.ready} {.status.objects.total}"); listed != "g Failed 1 2" {
		t.Errorf("the status lists %s", listed)
	}
	w.once("Degraded", "Gadget")
	w.phase("g", "Ready")
	w.delivered(release)

	// Nothing more can run in this namespace, and what runs goes away.
	w.kubectl("create", "quota", "none", "-n", w.name, "--hard=pods=0")
	w.kubectl("delete", "pods", "--all", "-n", w.name, "--wait=false")
	if message := w.refused("Degraded"); !strings.Contains(message, "Deployment.apps "+w.name+"/web is InProgress") {
		t.Errorf("the message does not name the object: %s", message)
	}
	w.kubectl("delete", "quota", "none", "-n", w.name)
	w.kubectl("annotate", "replicasets", "--all", "-n", w.name, "look=again") // its controller backs off
	w.delivered(release)
	if d := w.status(); d.Status.Quarantined.Digest != "" {
		t.Errorf("the release was quarantined: %s", d.Status.Quarantined.Cause)
	}
	if left := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.unhealthy}"); left != "" {
		t.Errorf("the status still lists %s", left)
	}
}

// TestFlappingIsCoalesced: an object that is well and unwell many times a second
// costs about one status write a second, and its last state is not lost.
func TestFlappingIsCoalesced(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.apply(statusGadgets(w.group()))
	release := w.publish(map[string]string{"deploy/g.yaml": gadget(w.group(), "g", "1")})
	w.deliver(w.source("tag: main", w.gadgetHealth()))
	w.until("the gadget written", func() bool { return w.exists("gadgets."+w.group(), "g") })
	w.phase("g", "Ready")
	w.delivered(release)

	cluster, err := dynamic.NewForConfig(onStage(t).AdminConfig())
	must(t, err)
	resource := cluster.Resource(schema.GroupVersionResource{Group: w.group(), Version: "v1", Resource: "gadgets"}).Namespace(w.name)
	before, reads := w.sent("update", "/deliveries/"+w.name+"/status"), w.sent("get", "/gadgets/g")
	const flips = 150
	began := time.Now()
	for i := range flips {
		patch := fmt.Sprintf(`{"status":{"phase":%q}}`, []string{"Broken", "Ready"}[i%2])
		_, err := resource.Patch(t.Context(), "g", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		must(t, err)
		time.Sleep(20 * time.Millisecond)
	}
	w.phase("g", "Broken")
	w.refused("Degraded")
	w.phase("g", "Ready")
	w.delivered(release)
	seconds := int(time.Since(began)/time.Second) + 1
	writes, got := w.sent("update", "/deliveries/"+w.name+"/status")-before, w.sent("get", "/gadgets/g")-reads
	t.Logf("%d flips in %d s: %d status writes, %d readings", flips, seconds, writes, got)
	if writes > 2*seconds+6 || writes == 0 {
		t.Errorf("%d status writes in %d s", writes, seconds)
	}
	if got > seconds+6 || got == 0 {
		t.Errorf("%d readings in %d s", got, seconds)
	}
}

// sent counts requests of the synchronizer about the test's namespace.
func (w *world) sent(verb, suffix string) int {
	w.t.Helper()
	requests, err := w.cluster.Requests()
	must(w.t, err)
	count := 0
	for _, r := range requests {
		path, _, _ := strings.Cut(r.URI, "?")
		if r.Verb == verb && strings.Contains(path, "/namespaces/"+w.name+"/") && strings.HasSuffix(path, suffix) {
			count++
		}
	}
	return count
}

// TestPausedAndSuspended: what waits for nothing but a person is healthy.
func TestPausedAndSuspended(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: held}\nspec:\n  suspend: true\n  template: {spec: {restartPolicy: Never, containers: [{name: j, image: example.com/j:1}]}}\n"
	cron := "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: held}\nspec:\n  suspend: true\n  schedule: '* * * * *'\n  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: j, image: example.com/j:1}]}}}}\n"
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/job.yaml": job, "deploy/cron.yaml": cron})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	paused := strings.Replace(deployment("web", 2, "example.com/web:2"), "spec:\n", "spec:\n  paused: true\n", 1)
	w.delivered(w.publish(map[string]string{"deploy/web.yaml": paused}))
	if got := w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.status.availableReplicas} {.status.updatedReplicas}"); got != "2 " {
		t.Errorf("a paused Deployment has available and updated replicas %q", got)
	}
}

// TestHealthRuleThatIsWrong: nothing is written under a rule that cannot be used.
func TestHealthRuleThatIsWrong(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", "  health: [{kind: ConfigMap, current: 'self.data.value ='}]\n"))
	if message := w.refused("InvalidSpec"); !strings.Contains(message, "health[0] for ConfigMap: current") {
		t.Errorf("the message does not name the rule: %s", message)
	}
	if w.exists("configmap", "a") {
		t.Error("something was written")
	}
	w.deliver(w.source("tag: main", "  health: [{kind: ConfigMap, current: 'self.data.value == \"1\"'}]\n"))
	w.delivered(release)
}
