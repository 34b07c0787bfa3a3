package test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sealift.dev/test/stage"
)

// value reads the value of a config map of the test's namespace.
func (w *world) value(name string) string {
	w.t.Helper()
	return w.kubectl("get", "configmap", name, "-n", w.name, "-o", "jsonpath={.data.value}")
}

// healed changes a value by hand and waits until it is put back.
func (w *world) healed(name, want string) {
	w.t.Helper()
	w.kubectl("patch", "configmap", name, "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	w.until("the value healed", func() bool { return w.value(name) == want })
}

// TestRegistryDown: a registry that does not answer changes nothing in the
// cluster, and stops no drift correction.
func TestRegistryDown(t *testing.T) {
	w := onSync(t)
	var down atomic.Bool
	registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				http.Error(rw, "down", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	must(t, err)
	t.Cleanup(func() { registry.Close() })
	w.registry = registry
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	down.Store(true)
	w.refused("RegistryUnavailable")
	w.healed("a", "1")
	down.Store(false)
	w.delivered(first)
}

// TestPullSecret: a registry that wants a password gets it from a Secret.
func TestPullSecret(t *testing.T) {
	w := onSync(t)
	registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true, User: "ci", Password: "secret"})
	must(t, err)
	t.Cleanup(func() { registry.Close() })
	w.registry = registry
	config := func(password string) string {
		auth := base64.StdEncoding.EncodeToString([]byte("ci:" + password))
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, registry.Host, auth)
	}
	w.dockerConfig(config("secret"))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.refused("RegistryUnauthorized")
	with := strings.Replace(w.source("tag: main", ""), "insecure: true", "insecure: true, secretRef: {name: pull}", 1)
	w.deliver(with)
	w.refused("PullSecretNotFound")
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: pull, namespace: %s}\ntype: kubernetes.io/dockerconfigjson\nstringData:\n  .dockerconfigjson: '%s'\n"
	w.apply(fmt.Sprintf(secret, w.name, config("wrong")))
	message := w.refused("RegistryUnauthorized")
	if strings.Contains(message, "wrong") {
		t.Errorf("the password is told: %s", message)
	}
	w.apply(fmt.Sprintf(secret, w.name, config("secret")))
	w.delivered(first)
	w.kubectl("delete", "secret", "pull", "-n", w.name)
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=now")
	w.healed("a", "1")
	running, err := synced()
	must(t, err)
	for _, password := range []string{"wrong", "secret"} {
		if told := base64.StdEncoding.EncodeToString([]byte("ci:" + password)); strings.Contains(running.output(), told) {
			t.Errorf("the log tells what the registry is told: %s", told)
		}
	}
}

// TestInvalidPolicyStopsOnlyItsOwn: a policy for another namespace that cannot be
// used concerns nobody else.
func TestInvalidPolicyStopsOnlyItsOwn(t *testing.T) {
	w := onSync(t)
	policy := "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %s}\nspec:\n  match: {namespaces: [%s]}\n  authorities: [{name: x, key: {data: garbage}}]\n"
	t.Cleanup(func() { w.cluster.Kubectl(t.Context(), "delete", "trustpolicy", w.name) })
	w.apply(fmt.Sprintf(policy, w.name, "elsewhere"))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.apply(fmt.Sprintf(policy, w.name, w.name))
	if message := w.refused("InvalidTrustPolicy"); !strings.Contains(message, w.name) {
		t.Errorf("the message does not name the policy: %s", message)
	}
	w.kubectl("delete", "trustpolicy", w.name)
	w.delivered(first)
}

// TestAuditPolicyTells: a policy in Audit mode lets pass, and says what it would
// have refused.
func TestAuditPolicyTells(t *testing.T) {
	w := onSync(t)
	key := strings.ReplaceAll(strings.TrimSpace(w.stranger.PublicPEM), "\n", "\n          ")
	t.Cleanup(func() { w.cluster.Kubectl(t.Context(), "delete", "trustpolicy", w.name) })
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %[1]s}\nspec:\n  mode: Audit\n  match: {namespaces: [%[1]s]}\n  authorities:\n    - name: later\n      key:\n        data: |\n          %[2]s\n", w.name, key))
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	if _, _, message := w.status().ready(); !strings.Contains(message, "TrustPolicy "+w.name) || !strings.Contains(message, "Audit") {
		t.Errorf("nothing tells of the policy: %s", message)
	}
}
