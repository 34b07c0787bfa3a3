package test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The synchronizer's requests are told apart by two flow schemas, so that the API
// server counts them: its leases, and all the rest. Watches are counted when they
// are opened.
const flowSchemas = `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: sealift-leases}
spec:
  matchingPrecedence: 100
  priorityLevelConfiguration: {name: workload-high}
  distinguisherMethod: {type: ByUser}
  rules:
    - subjects: [{kind: User, user: {name: sealift}}]
      resourceRules: [{apiGroups: [coordination.k8s.io], resources: [leases], namespaces: ["*"], verbs: ["*"]}]
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: sealift-rest}
spec:
  matchingPrecedence: 200
  priorityLevelConfiguration: {name: workload-high}
  distinguisherMethod: {type: ByUser}
  rules:
    - subjects: [{kind: User, user: {name: sealift}}]
      resourceRules: [{apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true, verbs: ["*"]}]
      nonResourceRules: [{nonResourceURLs: ["*"], verbs: ["*"]}]
`

// TestIdleMinute lets a healthy Delivery of twenty objects rest for a minute: the
// API server's counters show no request of the synchronizer but its leases. Drift
// after that minute is healed all the same, so it was watched.
func TestIdleMinute(t *testing.T) {
	w := ownStage(t)
	w.apply(flowSchemas)
	running, err := startSync(w.cluster, "--leader-elect")
	must(t, err)
	defer func() { running.end(os.Interrupt) }()
	files := map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/svc.yaml": service("web")}
	for i := range 18 {
		files["deploy/"+strconv.Itoa(i)+".yaml"] = configMap("c-"+strconv.Itoa(i), "1")
	}
	release := w.publish(files)
	w.apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: ci, namespace: sealift-system}\nstringData: {cosign.pub: %q}\n", w.ci.PublicPEM))
	w.trustPolicy("authorities: [{name: ci, key: {secretRef: {name: ci}}}]") // a Secret that is watched
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	if w.dispatched("sealift-rest") == 0 {
		t.Fatal("the API server counted no request of a delivery: the flow schemas do not tell the synchronizer apart")
	}
	time.Sleep(5 * time.Second) // events of the delivery itself die down

	before, leases := w.dispatched("sealift-rest"), w.dispatched("sealift-leases")
	time.Sleep(time.Minute)
	after := w.dispatched("sealift-rest")
	t.Logf("requests in an idle minute: %d, and %d for the lease", after-before, w.dispatched("sealift-leases")-leases)
	if after != before {
		t.Errorf("the synchronizer sent %d requests in an idle minute, want none\n%s", after-before, w.lastRequests())
	}
	w.kubectl("scale", "deployment", "web", "-n", w.name, "--replicas=5")
	w.until("the drift healed", func() bool {
		return w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.replicas}") == "2"
	})
}

// dispatched reads one of the API server's counters.
func (w *world) dispatched(schema string) int {
	w.t.Helper()
	metrics := w.kubectl("get", "--raw", "/metrics")
	lines := regexp.MustCompile(`(?m)^apiserver_flowcontrol_dispatched_requests_total\{flow_schema="`+schema+`"[^}]*\} (\S+)$`).FindAllStringSubmatch(metrics, -1)
	total := 0
	for _, line := range lines {
		n, err := strconv.ParseFloat(line[1], 64)
		must(w.t, err)
		total += int(n)
	}
	return total
}

// lastRequests lists what the API server's audit log says of the last minute.
func (w *world) lastRequests() string {
	requests, err := w.cluster.Requests()
	must(w.t, err)
	var listed string
	for _, r := range requests {
		if time.Since(r.Received) < 70*time.Second {
			listed += r.Received.Format("05.000 ") + r.Verb + " " + r.URI + "\n"
		}
	}
	return listed
}
