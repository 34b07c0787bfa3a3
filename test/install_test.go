package test

import (
	"strings"
	"testing"
)

// TestInstall: all components install, again and again, and their pods pass the
// admission of a namespace that enforces the restricted Pod Security Standard.
func TestInstall(t *testing.T) {
	w := onSync(t)
	args := []string{"install", "--image", "example.com/sealift:1", "--components", "crds,rbac,sync,automate,webhook", "--namespace", "sealift-install", "--repo", "https://git.example.com/deploy.git", "--automate-arg=--interval=5m"}
	if _, problem, err := w.sealift(args...); err == nil || !strings.Contains(problem, "an installation in the namespace sealift-system") {
		t.Fatalf("a second installation: %v: %s", err, problem)
	}
	w.kubectl("delete", "clusterrolebinding", "sealift-sync")
	defer func() {
		w.kubectl("delete", "clusterrolebinding", "sealift-sync")
		if _, problem, err := w.sealift("install", "--components", "rbac"); err != nil {
			t.Errorf("%v: %s", err, problem)
		}
	}()
	for range 2 {
		if _, problem, err := w.sealift(args...); err != nil {
			t.Fatalf("%v: %s", err, problem)
		}
	}
	if got := w.kubectl("get", "namespace", "sealift-install", "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`); got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	for _, name := range []string{"sealift-sync", "sealift-automate"} {
		w.kubectl("rollout", "status", "deployment", name, "-n", "sealift-install", "--timeout=90s")
		if got := w.kubectl("get", "deployment", name, "-n", "sealift-install", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); got != "example.com/sealift:1" {
			t.Errorf("%s runs %s", name, got)
		}
	}

	if got := w.kubectl("get", "deployment", "sealift-automate", "-n", "sealift-install", "-o", "jsonpath={.spec.template.spec.containers[0].args}"); !strings.Contains(got, `"--repo=https://git.example.com/deploy.git","--webhook-address=:9292","--webhook-secret-file=/etc/sealift/automate/webhook-secret","--interval=5m"`) {
		t.Errorf("the automator's arguments are %s", got)
	}

	exported, problem, err := w.sealift(append(args, "--export")...)
	if err != nil {
		t.Fatalf("%v: %s", err, problem)
	}
	if out, err := w.cluster.KubectlInput(t.Context(), exported, "apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-"); err != nil {
		t.Errorf("kubectl refuses what is exported: %v: %s", err, out)
	}
}

// TestDefinitionsRefuse: what can be refused at admission is, in words that say
// what is wanted.
func TestDefinitionsRefuse(t *testing.T) {
	w := onSync(t)
	good := "apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: x, namespace: " + w.name + "}\nspec:\n  source: {url: 'oci://example.com/shop', tag: main}\n"
	for _, tt := range []struct{ name, from, to, says string }{
		{"as it is", "", "", ""},
		{"no choice", ", tag: main", "", "exactly one of tag, semver and digest"},
		{"two choices", "tag: main", "tag: main, semver: '*'", "exactly one of tag, semver and digest"},
		{"no scheme", "oci://", "https://", "spec.source.url"},
		{"credentials", "oci://", "oci://user:password@", "spec.source.url"},
		{"a way out", "spec:", "spec:\n  environment: a/../../b", "without '..'"},
		{"a busy loop", "spec:", "spec:\n  interval: 1ms", "between 1s and 24h"},
		{"not a duration", "spec:", "spec:\n  interval: soon", "spec.interval"},
		{"an unknown mode", "spec:", "spec:\n  drift: Maybe", "spec.drift"},
	} {
		out, err := w.cluster.KubectlInput(t.Context(), strings.Replace(good, tt.from, tt.to, 1), "apply", "--dry-run=server", "-f", "-")
		if refused := err != nil; refused != (tt.says != "") {
			t.Errorf("%s: %v %s", tt.name, err, out)
		} else if refused && !strings.Contains(err.Error()+out, tt.says) {
			t.Errorf("%s: the refusal does not say %q: %v %s", tt.name, tt.says, err, out)
		}
	}
}
