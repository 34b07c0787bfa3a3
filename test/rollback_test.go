package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestWayBackRecreates: a failed release that created an object again is taken back although
// the last good one does not allow that by itself.
func TestWayBackRecreates(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	sealed := configMap("sealed", "1") + "immutable: true\n"
	w.deliver(w.source("tag: main", "  timeout: 3s\n"+forgive))
	first := w.publish(map[string]string{"deploy/sealed.yaml": sealed, "deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.equals(first)
	want := w.wanted()
	w.publish(map[string]string{
		"deploy/sealed.yaml": noted(strings.Replace(sealed, `"1"`, `"2"`, 1), "sealift.dev/recreate: enabled"),
		"deploy/web.yaml":    unschedulable("web", 1, "example.com/web:2"),
	})
	w.refused("RolledBack")
	w.same(first, want)
}

// TestNewerWhileOnTheWayBack: a release that comes while the last good one is on its way back,
// and does not get healthy, is delivered.
func TestNewerWhileOnTheWayBack(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	recreating := func(document string) string {
		return strings.Replace(document, "spec:\n", "spec:\n  strategy: {type: Recreate}\n", 1)
	}
	w.deliver(w.source("tag: main", "  timeout: 3s\n"))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/web.yaml": recreating(deployment("web", 1, "example.com/web:1"))})
	w.equals(first)
	bad := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/bad.yaml": configMap("bad", "1"), "deploy/web.yaml": recreating(unschedulable("web", 1, "example.com/web:2"))})
	w.until("a pod of the new release", func() bool {
		return strings.Contains(w.kubectl("get", "pods", "-n", w.name, "-o", "jsonpath={.items[*].spec.containers[*].image}"), "web:2")
	})
	w.kubectl("create", "quota", "none", "-n", w.name, "--hard=pods=0")
	if message := w.refused("RollingBack"); !strings.Contains(message, bad.Digest) {
		t.Errorf("the message does not name what failed: %s", message)
	}
	if d := w.status(); d.Status.Applied.Digest != first.Digest || d.Status.Quarantined.Digest != bad.Digest || w.value("a") != "1" {
		t.Errorf("on the way back, applied is %s, quarantined %s, a %s", d.Status.Applied.Digest, d.Status.Quarantined.Digest, w.value("a"))
	}
	next := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/bad.yaml": "", "deploy/come.yaml": configMap("come", "1"), "deploy/web.yaml": ""})
	w.equals(next)
	if q := w.status().Status.Quarantined; q.Digest != "" {
		t.Errorf("%s is quarantined still", q.Digest)
	}
}

// TestWayBackIsBlocked: what the API server does not let back is told, and tried again until
// it may.
func TestWayBackIsBlocked(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	lift := w.denies("!(request.operation == 'UPDATE' && oldObject.data.value == '2' && object.data.value == '1')", "nothing goes back here")
	w.kubectl("create", "configmap", "probe", "-n", w.name, "--from-literal=value=2")
	w.until("the policy in force", func() bool {
		_, err := w.cluster.Kubectl(t.Context(), "patch", "configmap", "probe", "-n", w.name, "--dry-run=server", "--type=merge", `--patch={"data":{"value":"1"}}`)
		return err != nil
	})
	w.deliver(w.source("tag: main", "  timeout: 3s\n"))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.equals(first)
	want := w.wanted()
	bad := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/web.yaml": unschedulable("web", 1, "example.com/web:2")})
	message := w.refused("RollbackFailed")
	for _, said := range []string{bad.Digest, "nothing goes back here"} {
		if !strings.Contains(message, said) {
			t.Errorf("the message does not say %q: %s", said, message)
		}
	}
	lift()
	w.refused("RolledBack")
	w.same(first, want)
}

// denies has the API server refuse what is not as the expression says of ConfigMaps of the test's
// namespace; what it returns ends that.
func (w *world) denies(expression, message string) (lift func()) {
	w.t.Helper()
	w.apply(fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]}
  validations: [{expression: %[2]q, message: %[3]q}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec:
  policyName: %[1]s
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}}
`, w.name, expression, message))
	lift = func() {
		w.cluster.Kubectl(context.Background(), "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", w.name, "--ignore-not-found")
	}
	w.t.Cleanup(lift)
	return lift
}

// TestHalfAppliedIsNotForgotten: what a release wrote before the API server refused the rest of
// it goes when the next release drops it, though nothing went back in between; its kinds as well.
func TestHalfAppliedIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	w.denies("request.dryRun == true || object.metadata.name != 'refused'", "not this one")
	w.until("the policy in force", func() bool {
		_, err := w.cluster.Kubectl(t.Context(), "create", "configmap", "refused", "-n", w.name)
		if err == nil {
			w.kubectl("delete", "configmap", "refused", "-n", w.name)
		}
		return err != nil
	})
	w.deliver(w.source("tag: main", "  onFailure: Hold\n"))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")}))
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "1"), "deploy/refused.yaml": configMap("refused", "1"),
		"deploy/role.yaml": rbac + "kind: Role\nmetadata: {name: half}\nrules: []\n"})
	if message := w.refused("ApplyFailed"); !strings.Contains(message, "not this one") {
		t.Errorf("the message does not say why: %s", message)
	}
	if !w.exists("configmap", "b") || !w.exists("role", "half") {
		t.Error("nothing was written: the test proves nothing")
	}
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/b.yaml": "", "deploy/refused.yaml": "", "deploy/role.yaml": ""}))
}

// TestWayBackIsNotTrusted: where the last good release was revoked meanwhile, nothing goes
// back to it; another release that is trusted takes the place of both.
func TestWayBackIsNotTrusted(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.bystanders()
	w.trustPolicy("authorities: [CI]")
	w.deliverBare(w.source("tag: main", "  timeout: 3s\n"))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/old.yaml": configMap("old", "1")})
	w.equals(first)
	w.trustPolicy("authorities: [CI]", "revoked: {digests: ['"+first.Digest+"']}")
	w.refused("TrustRevoked")
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/old.yaml": "", "deploy/web.yaml": unschedulable("web", 1, "example.com/web:2")})
	w.until("the release given up", func() bool { return w.status().Status.Quarantined.Digest != "" })
	message := w.refused("TrustRevoked")
	if !strings.Contains(message, first.Digest) || w.value("a") != "2" || !w.exists("configmap", "old") {
		t.Errorf("a is %s after: %s", w.value("a"), message)
	}
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/web.yaml": ""}))
}
