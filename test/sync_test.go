package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/test/stage"
)

func TestDeliverPruneAndForget(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1"), "deploy/c.yaml": service("c")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)

	second := w.publish(map[string]string{"deploy/b.yaml": "", "deploy/c.yaml": "", "deploy/d.yaml": configMap("d", "1")})
	w.delivered(second)
	if w.exists("configmap", "b") || w.exists("service", "c") || !w.exists("configmap", "a") || !w.exists("configmap", "d") {
		t.Error("the cluster does not hold what the release holds")
	}
	w.until("the inventory without Service", func() bool { return fmt.Sprint(w.status().Status.Kinds) == "[{ ConfigMap}]" })

	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	if w.exists("configmap", "a") || w.exists("configmap", "d") {
		t.Error("objects of a deleted Delivery are still there")
	}
}

func TestPruneOffKeepsObjects(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
	w.deliver(w.source("tag: main", "  prune: false\n"))
	w.delivered(first)
	w.delivered(w.publish(map[string]string{"deploy/b.yaml": ""}))
	if !w.exists("configmap", "b") {
		t.Error("b was pruned")
	}
	w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
	if !w.exists("configmap", "a") {
		t.Error("a was pruned with its Delivery")
	}
}

// TestInvalidObjectChangesNothing: one object that the API server refuses means
// that no object of the release is written.
func TestInvalidObjectChangesNothing(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "1"),
		"deploy/svc.yaml": strings.Replace(service("bad"), "port: 80", "port: 99999999", 1)})
	message := w.refused("PreflightFailed")
	if !strings.Contains(message, "Service "+w.name+"/bad") {
		t.Errorf("the message does not name the object: %s", message)
	}
	if w.exists("configmap", "b") || w.value("a") != "1" {
		t.Error("something was written")
	}
	w.delivered(w.publish(map[string]string{"deploy/svc.yaml": service("bad"), "deploy/b.yaml": ""}))
}

func TestUnknownKind(t *testing.T) {
	w := onSync(t)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/x.yaml": "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: x}\n"})
	w.deliver(w.source("tag: main", ""))
	if message := w.refused("UnknownKind"); !strings.Contains(message, "Gadget") {
		t.Errorf("the message does not name the kind: %s", message)
	}
	w.publish(map[string]string{"deploy/x.yaml": "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nmetadata: {name: x}\nspec: {token: t}\n"})
	if message := w.refused("UnsupportedKind"); !strings.Contains(message, "tokenreviews.authentication.k8s.io") {
		t.Errorf("the message does not name the kind: %s", message)
	}
	if w.exists("configmap", "a") {
		t.Error("something was written")
	}
}

func TestServiceAccountWithoutRights(t *testing.T) {
	w := onSync(t)
	w.kubectl("delete", "clusterrolebinding", w.name)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	message := w.refused("Forbidden")
	for _, want := range []string{"ConfigMap " + w.name + "/a", "system:serviceaccount:" + w.name + ":deployer", "hint:"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not name %q: %s", want, message)
		}
	}
	if w.exists("configmap", "a") {
		t.Error("something was written")
	}
	w.admit()
	w.delivered(first)
}

func TestTwoDeliveriesOneObject(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.apply(strings.Replace(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "yaml", "--show-managed-fields=false"), "\n  name: "+w.name, "\n  name: second", 1))
	w.until("the second Delivery refused", func() bool {
		return strings.Contains(w.kubectl("get", "delivery", "second", "-n", w.name, "-o", "jsonpath={.status.conditions}"), `"OwnedByAnother"`)
	})
	w.kubectl("delete", "delivery", "second", "-n", w.name, "--timeout=90s")
	if !w.exists("configmap", "a") {
		t.Error("deleting the second Delivery deleted an object of the first")
	}
}

func TestSemverAndDigestSources(t *testing.T) {
	w := onSync(t)
	one := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")}, "--version", "1.2.0")
	w.deliver(w.source("semver: '^1.2'", ""))
	w.delivered(one)
	two := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}, "--version", "1.10.0")
	w.delivered(two)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "3")}, "--version", "2.0.0")
	w.deliver(w.source("digest: "+one.Digest, "")) // a person pins an older one
	w.delivered(one)
	w.deliver(w.source("semver: '^1.2'", ""))
	w.delivered(two)
}

func TestRefusals(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	tag, err := name.ParseReference(w.registry.Host+"/deploy/"+w.name+":main", name.Insecure)
	must(t, err)
	good, err := remote.Image(tag)
	must(t, err)

	t.Run("unsigned", func(t *testing.T) {
		must(t, remote.Write(tag, mutate.Annotations(good, map[string]string{"x": "y"}).(v1.Image)))
		w.refused("NotSigned")
	})
	t.Run("signed by a stranger", func(t *testing.T) {
		_, err := stage.Git(w.work, "checkout", "--quiet", "-b", "stranger")
		must(t, err)
		_, err = stage.Commit(w.work, "stranger", map[string]string{"deploy/a.yaml": configMap("a", "stranger")})
		must(t, err)
		w.publishHead(w.stranger, "--version", "6.6.6", "--channel", "main")
		_, err = stage.Git(w.work, "checkout", "--quiet", "main")
		must(t, err)
		w.refused("Untrusted")
	})
	t.Run("drift is healed meanwhile", func(t *testing.T) {
		w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
		w.until("the value healed", func() bool {
			return w.value("a") == "1"
		})
	})
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.delivered(second)

	t.Run("a replayed release", func(t *testing.T) {
		must(t, remote.Write(tag, good))
		if message := w.refused("Downgrade"); !strings.Contains(message, first.Digest) {
			t.Errorf("the message does not name the release: %s", message)
		}
	})
	t.Run("a replayed release after the Delivery was made again", func(t *testing.T) {
		w.kubectl("delete", "delivery", w.name, "-n", w.name, "--timeout=90s")
		w.deliver(w.source("tag: main", ""))
		w.refused("Downgrade")
		if w.exists("configmap", "a") {
			t.Error("something was written")
		}
	})
}

func TestTrustPolicies(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.trust(w.name, w.stranger.PublicPEM)
	if message := w.refused("TrustRevoked"); !strings.Contains(message, w.name) {
		t.Errorf("the message does not name the policy: %s", message)
	}
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	if !w.exists("configmap", "a") {
		t.Error("what runs was deleted")
	}
	w.kubectl("delete", "trustpolicy", w.name)
	w.delivered(first)
	w.until("the value healed", func() bool {
		return w.value("a") == "1"
	})
}

func TestNoTrustNoDelivery(t *testing.T) {
	w := onSync(t)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: %[1]s, namespace: %[1]s}\nspec:\n  environment: prod\n  serviceAccountName: deployer\n%[2]s", w.name, w.source("tag: main", "")))
	w.refused("NoPolicy")
	if w.exists("configmap", "a") {
		t.Error("something was written")
	}
}

func TestRollback(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1")})
	w.deliver(w.source("tag: main", "  timeout: 3s\n"))
	w.delivered(first)
	second := w.publish(map[string]string{"deploy/web.yaml": unschedulable("web", 2, "example.com/web:2"), "deploy/new.yaml": configMap("new", "1")})
	message := w.refused("RolledBack")
	w.until("the old image", func() bool {
		return w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.template.spec.containers[0].image} {.status.availableReplicas}") == "example.com/web:1 2"
	})
	w.until("the failed release's objects gone", func() bool { return !w.exists("configmap", "new") })
	if !strings.Contains(message, second.Digest) || w.status().Status.Quarantined.Digest != second.Digest {
		t.Errorf("the failed release is not named: %s", message)
	}
	if out := w.kubectl("get", "events", "-n", w.name, "-o", "jsonpath={.items[*].reason}"); strings.Contains(out, "RollbackFailed") {
		t.Errorf("a way back that went well is told as failed: %s", out)
	}
	w.delivered(w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:3"), "deploy/new.yaml": ""}))
}

func TestDriftReport(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1")})
	w.deliver(w.source("tag: main", "  drift: Report\n"))
	w.delivered(first)
	w.kubectl("scale", "deployment", "web", "-n", w.name, "--replicas=3")
	w.until("the drift reported", func() bool {
		return strings.Contains(strings.Join(w.status().Status.Drifted, " "), ".spec.replicas by kubectl (scale)")
	})
	if got := w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.replicas}"); got != "3" {
		t.Errorf("replicas are %s: the drift was corrected", got)
	}
}

func TestSuspend(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.deliver(w.source("tag: main", "  suspend: true\n"))
	w.refused("Suspended")
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=now")
	if got := w.value("a"); got != "1" {
		t.Errorf("a suspended Delivery delivered %q", got)
	}
	w.deliver(w.source("tag: main", "  suspend: false\n"))
	w.delivered(second)
}

// TestNamespacesAndDefinitionsFirst: a release may bring a namespace, a
// definition, and objects that need them.
func TestNamespacesAndDefinitionsFirst(t *testing.T) {
	w := onSync(t)
	group := w.group()
	release := w.publish(map[string]string{
		"deploy/1-object.yaml": gadget(group, "g", "1"),
		"deploy/2-inner.yaml":  fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inner, namespace: %s-inner}\n", w.name),
		"deploy/3-ns.yaml":     fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s-inner}\n", w.name),
		"deploy/4-crd.yaml":    gadgets(group),
	})
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	if !w.exists("gadgets."+group, "g") {
		t.Error("the custom resource is missing")
	}
}

// TestHalfAppliedReleaseIsRolledBack: an object in a namespace that comes with it
// cannot be tried before, and fails when most is written.
func TestHalfAppliedReleaseIsRolledBack(t *testing.T) {
	w := onSync(t)
	in := func(namespace, port string) map[string]string {
		return map[string]string{
			"deploy/a.yaml": configMap("a", "2"), "deploy/b.yaml": configMap("b", "1"),
			"deploy/ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + "}\n",
			"deploy/s.yaml":  strings.NewReplacer("{name: s}", "{name: s, namespace: "+namespace+"}", "port: 80", "port: "+port).Replace(service("s")),
		}
	}
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.publish(in(w.name+"-x", "99999999"))
	if message := w.refused("RolledBack"); !strings.Contains(message, "Service "+w.name+"-x/s") {
		t.Errorf("the message does not name the object: %s", message)
	}
	w.until("the cluster as before", func() bool {
		return !w.exists("configmap", "b") && w.value("a") == "1"
	})

	w.deliver(w.source("tag: main", "  onFailure: Hold\n"))
	w.publish(in(w.name+"-y", "99999999")) // another namespace: that one is there by now
	w.refused("PreflightFailed")           // of the second try, which knows the namespace
	if !w.exists("configmap", "b") {
		t.Error("Hold went back")
	}
	w.delivered(w.publish(in(w.name+"-y", "80")))
}

// group is an API group of the test's own.
func (w *world) group() string { return strings.ReplaceAll(w.name, "-", "") + ".example.com" }

func gadget(group, name, size string) string {
	return fmt.Sprintf("apiVersion: %s/v1\nkind: Gadget\nmetadata: {name: %s}\nspec: {size: %s}\n", group, name, size)
}

func gadgets(group string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`, group)
}

func service(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %[1]s}\nspec:\n  selector: {app: %[1]s}\n  ports: [{name: http, port: 80}]\n", name)
}

func deployment(name string, replicas int, image string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
        - name: web
          image: %[3]s
`, name, replicas, image)
}

// unschedulable is a deployment of which no pod ever runs.
func unschedulable(name string, replicas int, image string) string {
	return strings.Replace(deployment(name, replicas, image), "containers:", "nodeSelector: {nowhere: \"true\"}\n      containers:", 1)
}
