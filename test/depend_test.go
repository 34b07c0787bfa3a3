package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// deliverAs creates or changes a Delivery beside the test's own, of the same release;
// spec lines are indented by two blanks. It asks the registry once an hour if spec says
// nothing else.
func (w *world) deliverAs(name, spec string) {
	w.t.Helper()
	if !strings.Contains(spec, "  interval:") {
		spec = "  interval: 1h\n" + spec
	}
	key := strings.ReplaceAll(strings.TrimSpace(w.ci.PublicPEM), "\n", "\n            ")
	w.apply(fmt.Sprintf(`
apiVersion: sealift.dev/v1alpha1
kind: Delivery
metadata: {name: %s, namespace: %s}
spec:
  serviceAccountName: deployer
  trust:
    authorities:
      - name: ci
        key:
          data: |
            %s
%s`, name, w.name, key, spec))
}

// publishEach publishes a release with an environment for each name, which holds a
// ConfigMap of that name.
func (w *world) publishEach(value string, names ...string) published {
	w.t.Helper()
	files := map[string]string{"deploy/all.yaml": configMap("all", value)}
	var environments []string
	for _, name := range names {
		files[name+"/object.yaml"] = configMap(name, value)
		environments = append(environments, "--environment", name+"="+name)
	}
	return w.publish(files, environments...)
}

// named is another Delivery of the test's namespace.
func (w *world) named(name string) delivery {
	w.t.Helper()
	var d delivery
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "delivery", name, "-n", w.name, "-o", "json")), &d))
	return d
}

// untilNamed waits until a Delivery of the test's namespace has that Ready condition;
// it returns the message.
func (w *world) untilNamed(name, status, reason string) string {
	w.t.Helper()
	var message string
	w.until(name+" "+status+" "+reason, func() bool {
		s, r, m := w.named(name).ready()
		message = m
		return s == status && r == reason
	})
	return message
}

// TestChainOfDependencies: five Deliveries that depend on each other become Ready one
// after the other although nothing is asked again for an hour: the edge wakes them.
func TestChainOfDependencies(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.publishEach("1", "a", "b", "c", "d", "e")
	one := func(name, more string) {
		w.deliverAs(name, w.source("tag: main", "  environment: "+name+"\n"+more))
	}
	on := func(name string) string { return "  dependsOn: [{name: " + name + "}]\n" }
	one("e", on("d"))
	one("d", on("c"))
	message := w.untilNamed("e", "False", "DependencyNotReady")
	if !strings.Contains(message, "Delivery d is not ready") {
		t.Errorf("message %q", message)
	}
	if message = w.untilNamed("d", "False", "DependencyNotReady"); !strings.Contains(message, "Delivery c does not exist") {
		t.Errorf("message %q", message)
	}
	if w.exists("configmap", "d") || w.exists("configmap", "e") {
		t.Error("a Delivery was applied before what it depends on")
	}
	one("c", on("b"))
	one("b", on("a"))
	one("a", "")
	w.until("all of the chain ready", func() bool {
		status, _, _ := w.named("e").ready()
		return status == "True"
	})
	order := strings.Fields(w.kubectl("get", "configmaps", "-n", w.name, "-l", "sealift.dev/delivery",
		"--sort-by={.metadata.resourceVersion}", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(order) != 5 {
		t.Errorf("applied: %q", order)
	}
	events := w.kubectl("get", "events", "-n", w.name, "-o", `jsonpath={range .items[*]}{.type} {.reason} {.involvedObject.name}{"\n"}{end}`)
	if strings.Contains(events, "Warning DependencyNotReady") || strings.Count(events, "DependencyNotReady e") > 2 {
		t.Errorf("waiting is told as a failure, or again and again:\n%s", events)
	}
}

// TestDependencyCycle: a cycle over three is named, and ends when it is mended.
func TestDependencyCycle(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.publishEach("1", "a", "b", "c")
	one := func(name, on string) {
		w.deliverAs(name, w.source("tag: main", "  environment: "+name+"\n  dependsOn: ["+on+"]\n"))
	}
	one("a", "{name: b}")
	one("b", "{name: c}")
	one("c", "{name: a}")
	for name, way := range map[string]string{"a": "a → b → c → a", "b": "b → c → a → b", "c": "c → a → b → c"} {
		if message := w.untilNamed(name, "False", "DependencyCycle"); !strings.Contains(message, way) {
			t.Errorf("%s: message %q does not name %s", name, message, way)
		}
	}
	if w.exists("configmap", "a") {
		t.Error("a Delivery of a cycle was applied")
	}
	one("c", "")
	for _, name := range []string{"a", "b", "c"} {
		w.untilNamed(name, "True", "Delivered")
	}
}

// TestBlockedReleaseKeepsWhatRuns: a new release waits for a dependency that is not
// ready, while the old one is healed; it comes as soon as the dependency is ready.
func TestBlockedReleaseKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publishEach("1", "x", "base")
	w.deliverAs("base", w.source("tag: main", "  environment: base\n"))
	spec := "  environment: x\n  interval: 1s\n  dependsOn: [{name: base}]\n"
	w.deliverAs(w.name, w.source("tag: main", spec))
	w.delivered(first)
	w.deliverAs("base", w.source("tag: gone", "  environment: base\n"))
	w.untilNamed("base", "False", "ReleaseNotFound")
	second := w.publishEach("2", "x", "base")
	w.refused("DependencyNotReady")
	d := w.status()
	if d.Status.Applied.Digest != first.Digest || d.Status.Attempted.Digest != second.Digest {
		t.Errorf("status %+v", d.Status)
	}
	w.kubectl("delete", "configmap", "x", "-n", w.name)
	w.until("the old release healed", func() bool { return w.exists("configmap", "x") })
	if value := w.kubectl("get", "configmap", "x", "-n", w.name, "-o", "jsonpath={.data.value}"); value != "1" {
		t.Errorf("healed to %q", value)
	}
	w.deliverAs("base", w.source("tag: main", "  environment: base\n"))
	w.delivered(second)

	expression := "self.status.applied.revision.startsWith('main@') && self.metadata.labels.stage == 'open'"
	w.deliverAs("last", w.source("tag: main", fmt.Sprintf("  environment: x\n  dependsOn: [{name: base, ready: %q}]\n", expression)))
	if message := w.untilNamed("last", "False", "DependencyNotReady"); !strings.Contains(message, "no such key: labels") {
		t.Errorf("message %q", message)
	}
	w.kubectl("label", "delivery", "base", "-n", w.name, "stage=open")
	w.untilNamed("last", "False", "OwnedByAnother") // it got as far as the cluster
	w.deliverAs("last", w.source("tag: main", "  environment: x\n  dependsOn: [{name: base, ready: self.}]\n"))
	w.untilNamed("last", "False", "InvalidSpec")
}
