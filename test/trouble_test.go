package test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealift.dev/test/stage"
)

// counted moves the world to a registry that counts its requests.
func (w *world) counted() *atomic.Int64 {
	w.t.Helper()
	var requests atomic.Int64
	registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			next.ServeHTTP(rw, r)
		})
	}})
	must(w.t, err)
	w.t.Cleanup(func() { registry.Close() })
	w.registry = registry
	return &requests
}

// trust creates a TrustPolicy for the test's namespace; the test's end removes it.
func (w *world) trust(name, pem string) {
	w.t.Helper()
	key := strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n          ")
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %s}\nspec:\n  match: {namespaces: [%s]}\n  authorities:\n    - name: x\n      key:\n        data: |\n          %s\n", name, w.name, key))
	w.t.Cleanup(func() { w.cluster.Kubectl(w.t.Context(), "delete", "trustpolicy", name) })
}

// TestIdleRegistry: what is verified is not verified again, however many policies
// there are, and one question an interval is all that the registry hears.
func TestIdleRegistry(t *testing.T) {
	w := onSync(t)
	requests := w.counted()
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	for i := range 5 {
		w.trust(fmt.Sprintf("%s-%d", w.name, i), w.ci.PublicPEM)
	}
	time.Sleep(3 * time.Second) // the new policies are applied
	before := requests.Load()
	time.Sleep(5 * time.Second)
	if n := requests.Load() - before; n < 1 || n > 8 {
		t.Errorf("%d requests in five seconds, at an interval of one", n)
	}
}

// TestRevokedTrustIsQuiet: while what runs is no longer trusted, changes of its
// objects bring no questions to the registry.
func TestRevokedTrustIsQuiet(t *testing.T) {
	w := onSync(t)
	requests := w.counted()
	first := w.publish(map[string]string{"deploy/svc.yaml": service("c")})
	w.deliver(w.source("tag: main", ""))
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"interval":"1h"}}`)
	w.delivered(first)
	w.trust(w.name, w.stranger.PublicPEM)
	w.refused("TrustRevoked")
	time.Sleep(time.Second)
	before := requests.Load()
	for i := range 20 {
		w.kubectl("annotate", "service", "c", "-n", w.name, "--overwrite", fmt.Sprintf("x=%d", i))
	}
	if n := requests.Load() - before; n > 40 { // a question for each change would be 80; the backoff tries a few times
		t.Errorf("%d requests for twenty changes", n)
	}
}

// TestRollbackFromAnotherRepository: the last good release is fetched from where it
// came from, also when the source names another repository by now.
func TestRollbackFromAnotherRepository(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.deliver(w.source("tag: main", "  timeout: 2s\n"))
	w.delivered(first)
	_, err := stage.Commit(w.work, "broken", map[string]string{"deploy/web.yaml": unschedulable("web", 1, "example.com/web:2")})
	must(t, err)
	namespace := w.name
	w.name += "-two"
	w.publishHead(w.ci)
	source := w.source("tag: main", "  timeout: 2s\n")
	w.name = namespace
	w.deliver(source)
	w.refused("RolledBack")
	if got := w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.template.spec.containers[0].image}"); got != "example.com/web:1" {
		t.Errorf("it is called rolled back, and runs %s", got)
	}
}

// TestDeletionThatHangsSaysWhy: a Delivery whose account lost its rights cannot
// prune, says so, and goes when it is suspended.
func TestDeletionThatHangsSaysWhy(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.kubectl("delete", "clusterrolebinding", w.name)
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--wait=false")
	if message := w.refused("PruneFailed"); !strings.Contains(message, "ConfigMap "+w.name+"/a") || !strings.Contains(message, "hint:") {
		t.Errorf("the message does not help: %s", message)
	}
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"suspend":true}}`)
	w.kubectl("wait", "--for=delete", "delivery/"+w.name, "-n", w.name, "--timeout=90s")
	if !w.exists("configmap", "a") {
		t.Error("the object went")
	}
}

// TestBrokenAcceptanceRecord: what cannot be read is not taken for empty, or an
// older release would be accepted.
func TestBrokenAcceptanceRecord(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	entry, record := w.name+"."+w.name, ""
	for line := range strings.Lines(w.kubectl("get", "configmaps", "-n", "sealift-system", "-o", `jsonpath={range .items[*]}{.metadata.name} {.data}{"\n"}{end}`)) {
		if name, data, _ := strings.Cut(line, " "); strings.Contains(data, `"`+entry+`"`) {
			record = name
		}
	}
	w.kubectl("patch", "configmap", record, "-n", "sealift-system", "--type=merge", `--patch={"data":{"`+entry+`":"nonsense"}}`)
	w.deliver(w.source("tag: main", ""))
	if message := w.refused("Failed"); !strings.Contains(message, record) {
		t.Errorf("the message does not name the record: %s", message)
	}
	if w.exists("configmap", "a") {
		t.Error("something was written")
	}
}

// TestPassingTroubleIsNoFailure: an admission webhook that is down for a while, for
// real writes only, delays a release and does not give it up.
func TestPassingTroubleIsNoFailure(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.apply(fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
  - name: down.example.com
    admissionReviewVersions: [v1]
    sideEffects: NoneOnDryRun
    failurePolicy: Fail
    timeoutSeconds: 1
    clientConfig: {url: "https://127.0.0.1:1/"}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    matchConditions: [{name: real, expression: "!request.dryRun"}]
    rules: [{apiGroups: [""], apiVersions: ["v1"], resources: [configmaps], operations: [UPDATE]}]
`, w.name))
	t.Cleanup(func() { w.cluster.Kubectl(t.Context(), "delete", "validatingwebhookconfiguration", w.name) })
	w.until("the webhook in force", func() bool {
		_, err := w.cluster.Kubectl(t.Context(), "annotate", "configmap", "a", "-n", w.name, "--overwrite", "x=y")
		return err != nil
	})
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	if message := w.refused("ApplyFailed"); !strings.Contains(message, "down.example.com") {
		t.Errorf("the message does not name the webhook: %s", message)
	}
	w.kubectl("delete", "validatingwebhookconfiguration", w.name)
	w.delivered(second)
}
