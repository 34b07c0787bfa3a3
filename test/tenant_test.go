package test

import (
	"fmt"
	"strings"
	"testing"
)

// deliverBy creates or changes the Delivery, whose objects account writes; empty: the
// spec names none. Spec lines are indented by two blanks.
func (w *world) deliverBy(account, spec string) {
	w.t.Helper()
	if account != "" {
		spec = "  serviceAccountName: " + account + "\n" + spec
	}
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: %[1]s, namespace: %[1]s}\nspec:\n  environment: prod\n  interval: 1s\n  trust: {authorities: [{name: ci, key: {data: %[2]q}}]}\n%[3]s",
		w.name, w.ci.PublicPEM, spec))
}

// says waits for Ready=False with a reason and each of words in the message.
func (w *world) says(reason string, words ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s that names %q", reason, words), func() bool {
		status, got, message := w.status().ready()
		for _, word := range words {
			if !strings.Contains(message, word) {
				return false
			}
		}
		return status == "False" && got == reason
	})
}

// tenants makes a reader and a tenant of the test's namespace, and another namespace
// with a Secret "theirs", which it names.
func (w *world) tenants() (other string) {
	w.t.Helper()
	other = w.name + "-other"
	w.kubectl("create", "namespace", other)
	w.kubectl("create", "secret", "generic", "theirs", "-n", other, "--from-literal=token=t0ken")
	for account, role := range map[string]string{"reader": "view", "tenant": "admin"} {
		w.kubectl("create", "serviceaccount", account, "-n", w.name)
		w.kubectl("create", "rolebinding", account, "-n", w.name, "--clusterrole="+role, "--serviceaccount="+w.name+":"+account)
	}
	return other
}

// TestTenantsStayInside: a release gets what its Delivery's account may write, and
// nothing of it where one object is beyond that. The status says who may not do what.
func TestTenantsStayInside(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	other := w.tenants()
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	for _, account := range []string{"reader", "nobody", ""} {
		w.deliverBy(account, w.source("tag: main", ""))
		name := account
		if name == "" {
			name = "default"
		}
		w.says("Forbidden", "ConfigMap "+w.name+"/a", "system:serviceaccount:"+w.name+":"+name+"\"", "hint:")
		if _, _, message := w.status().ready(); strings.Contains(message, "the service account nobody does not exist") != (account == "nobody") {
			t.Errorf("of %q it is said: %s", account, message)
		}
		if w.exists("configmap", "a") {
			t.Fatalf("%q wrote an object", account)
		}
		w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	}
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.delivered(first)

	tenant := "system:serviceaccount:" + w.name + ":tenant"
	binding := fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: %[1]s-up}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\nsubjects: [{kind: ServiceAccount, name: tenant, namespace: %[1]s}]\n", w.name)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/up.yaml": binding})
	w.says("Forbidden", "ClusterRoleBinding.rbac.authorization.k8s.io "+w.name+"-up", tenant)
	foreign := strings.Replace(configMap("x", "1"), "{name: x}", "{name: x, namespace: "+other+"}", 1)
	w.publish(map[string]string{"deploy/up.yaml": "", "deploy/x.yaml": foreign})
	w.says("Forbidden", "ConfigMap "+other+"/x", tenant)
	if got := w.value("a"); got != "1" {
		t.Errorf("a is %s: a part of a refused release was written", got)
	}
	for _, object := range [][]string{{"clusterrolebinding", w.name + "-up"}, {"configmap", "x", "-n", other}} {
		if out := w.kubectl(append([]string{"get", "--ignore-not-found", "-o", "name"}, object...)...); strings.TrimSpace(out) != "" {
			t.Errorf("%s was written", out)
		}
	}
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3"), "deploy/x.yaml": ""}))
}

// TestSecretsOfOtherTenants: there is no field to name another namespace with, and a name
// alone is looked for in the Delivery's own.
func TestSecretsOfOtherTenants(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.tenants()
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.delivered(first)
	pull := strings.Replace(w.source("tag: main", ""), "insecure: true", "insecure: true, secretRef: {name: theirs}", 1)
	for _, test := range []struct{ reason, spec string }{
		{"PullSecretNotFound", pull},
		{"DecryptionKeyNotFound", w.source("tag: main", "  decryption: {secretRef: {name: theirs}}\n")},
		{"SubstituteSourceNotFound", w.source("tag: main", "  substituteFrom: [{kind: Secret, name: theirs}]\n")},
	} {
		w.deliverBy("tenant", test.spec)
		w.says(test.reason, "theirs")
		if _, _, message := w.status().ready(); strings.Contains(message, "t0ken") {
			t.Errorf("the Secret is told: %s", message)
		}
		bad := strings.ReplaceAll(test.spec, "name: theirs", "name: theirs, namespace: "+w.name+"-other")
		manifest := fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: reach, namespace: %s}\nspec:\n%s", w.name, bad)
		if _, err := w.cluster.KubectlInput(t.Context(), manifest, "create", "--dry-run=server", "--validate=strict", "-f", "-"); err == nil || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%s: a Secret of another namespace may be named: %v", test.reason, err)
		}
	}
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.delivered(first)
}
