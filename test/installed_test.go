package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"sealift.dev/test/stage"
)

// asInstalled runs what a pod of the installed Deployment would run: its arguments, as its service
// account. Its ports are others, which probes and metrics name.
func (w *world) asInstalled() (s *synchronizer, probes, metrics string) {
	w.t.Helper()
	var args []string
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "deployment", "sealift-sync", "-n", "sealift-system", "-o", "jsonpath={.spec.template.spec.containers[0].args}")), &args))
	probes, metrics = freeAddress(w.t), freeAddress(w.t)
	for i, arg := range args {
		arg = strings.ReplaceAll(arg, "$(NAMESPACE)", "sealift-system")
		arg = strings.Replace(arg, "--probe-address=:8081", "--probe-address="+probes, 1)
		arg = strings.Replace(arg, "--metrics-address=:8080", "--metrics-address="+metrics, 1)
		args[i] = strings.Replace(arg, "/var/cache/sealift", w.t.TempDir(), 1)
	}
	s = &synchronizer{cmd: exec.Command(w.sealiftIn, append(args, "--kubeconfig", w.accountKubeconfig())...), log: &bytes.Buffer{}}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = s, s, &syscall.SysProcAttr{Setpgid: true}
	must(w.t, s.cmd.Start())
	w.t.Cleanup(func() {
		s.end(os.Interrupt)
		if w.t.Failed() {
			w.t.Logf("the synchronizer's log:\n%s", s.output())
		}
	})
	return s, probes, metrics
}

// accountKubeconfig authenticates as the service account of the installed synchronizer.
func (w *world) accountKubeconfig() string {
	w.t.Helper()
	content, err := os.ReadFile(w.cluster.Kubeconfig)
	must(w.t, err)
	var config map[string]any
	must(w.t, json.Unmarshal(content, &config))
	token := strings.TrimSpace(w.kubectl("create", "token", "sealift-sync", "-n", "sealift-system"))
	config["users"] = []any{map[string]any{"name": "admin", "user": map[string]any{"token": token}}}
	content, err = json.Marshal(config)
	must(w.t, err)
	return w.file("account.kubeconfig", string(content))
}

// TestInstalledDeploymentDelivers: what install brings is enough to deliver, heal, hand over and
// tell of it, and no right of the synchronizer's roles is without use.
func TestInstalledDeploymentDelivers(t *testing.T) {
	w := ownStage(t)
	image := "registry.example.com/sealift@sha256:" + strings.Repeat("0f", 32)
	if _, problem, err := w.sealift("install", "--image", image); err != nil {
		t.Fatalf("%v: %s", err, problem)
	}
	w.kubectl("rollout", "status", "deployment", "sealift-sync", "-n", "sealift-system", "--timeout=60s")
	if got := w.kubectl("get", "pods", "-n", "sealift-system", "-o", "jsonpath={range .items[*]}{.spec.containers[0].image} {.spec.priorityClassName}{'\\n'}{end}"); got != strings.Repeat(image+" system-cluster-critical\n", 2) {
		t.Errorf("the pods are %q", got)
	}
	if got := w.kubectl("get", "poddisruptionbudget", "sealift-sync", "-n", "sealift-system", "-o", "jsonpath={.status.expectedPods} {.status.disruptionsAllowed}"); got != "2 1" {
		t.Errorf("of the expected pods this many may be disrupted: %s", got)
	}
	w.outdatedRecord()
	w.flowSchemas()
	running, probes, metrics := w.asInstalled()
	w.until("readiness", func() bool { return answers(probes, "/readyz") && answers(probes, "/healthz") })
	w.deliver(w.source("tag: main", ""))
	w.equals(w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1")}))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}))
	for _, value := range []string{"by hand", "again"} {
		w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"`+value+`"}}`)
		w.until("the drift healed", func() bool {
			return w.kubectl("get", "configmap", "a", "-n", w.name, "-o", "jsonpath={.data.value}") == "2"
		})
	}
	if scrape(t, metrics)[`leader_election_master_status{name="sealift-sync"}`] != 1 {
		t.Error("the metrics do not say that it leads")
	}
	for _, suspend := range []string{"true", "false", "true", "false"} { // the same Event twice
		w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"suspend":`+suspend+`}}`)
		w.until("suspend is "+suspend, func() bool {
			_, reason, _ := w.status().ready()
			return (reason == "Suspended") == (suspend == "true")
		})
	}
	for _, schema := range []string{"sealift-lease", "sealift"} {
		if w.dispatched(schema) == 0 {
			t.Errorf("no request belongs to the flow schema %s", schema)
		}
	}
	w.types(w.commands("kubectl set resources"))
	w.kubectl("rollout", "status", "deployment", "sealift-sync", "-n", "sealift-system", "--timeout=60s")
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=60s")
	for _, r := range w.asAccount() {
		if r.ResponseStatus.Code == 403 {
			t.Errorf("the account may not %s %s", r.Verb, r.URI)
		}
	}
	if unused := w.unused(); len(unused) > 0 {
		t.Errorf("nothing needed the rights: %s", strings.Join(unused, ", "))
	}
	if strings.Contains(running.output(), "level=ERROR") {
		t.Error("there are errors in the log")
	}
}

// outdatedRecord is one of an earlier version, which made a ConfigMap for each Delivery.
func (w *world) outdatedRecord() {
	w.t.Helper()
	w.apply(`
apiVersion: v1
kind: ConfigMap
metadata:
  name: accepted-0123456789abcdef0123
  namespace: sealift-system
  labels: {app.kubernetes.io/managed-by: sealift}
  annotations: {sealift.dev/accepted-by: other/other}
`)
}

// flowSchemas applies those of docs/operations.md.
func (w *world) flowSchemas() {
	w.t.Helper()
	for _, e := range examples(w.t, "operations.md") {
		if e.object["kind"] == "FlowSchema" {
			text, err := json.Marshal(e.object)
			must(w.t, err)
			w.apply(string(text))
		}
	}
}

// asAccount are the requests that the installed synchronizer made as itself.
func (w *world) asAccount() []stage.Request {
	w.t.Helper()
	all, err := w.cluster.Requests()
	must(w.t, err)
	return slices.DeleteFunc(all, func(r stage.Request) bool {
		return r.User.Username != "system:serviceaccount:sealift-system:sealift-sync"
	})
}

// unused lists rights of the synchronizer's roles that no request needed.
func (w *world) unused() []string {
	w.t.Helper()
	var cluster rbacv1.ClusterRole
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "clusterrole", "sealift-sync", "-o", "json")), &cluster))
	var own rbacv1.Role
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "role", "sealift-sync", "-n", "sealift-system", "-o", "json")), &own))
	made := w.asAccount()
	var unused []string
	for _, rule := range append(cluster.Rules, own.Rules...) {
		for _, verb := range rule.Verbs {
			for _, resource := range rule.Resources {
				if verb == "patch" && resource == "events" {
					continue // for an Event that is repeated within minutes, which may happen or not
				}
				if !slices.ContainsFunc(made, func(r stage.Request) bool { return needs(r, rule.APIGroups, resource, verb) }) {
					unused = append(unused, verb+" "+resource)
				}
			}
		}
	}
	return unused
}

// needs says that a request needed a right, and got it.
func needs(r stage.Request, groups []string, resource, verb string) bool {
	if verb == "impersonate" {
		return r.ImpersonatedUser.Username != ""
	}
	asked := r.Object.Resource
	if r.Object.Subresource != "" {
		asked += "/" + r.Object.Subresource
	}
	return r.ImpersonatedUser.Username == "" && r.ResponseStatus.Code < 300 && r.Verb == verb &&
		(resource == "*" || resource == asked) && (slices.Contains(groups, "*") || slices.Contains(groups, r.Object.Group))
}
