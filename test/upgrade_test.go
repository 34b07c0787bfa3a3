package test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestUpgrade: over definitions, statuses and records that an earlier version left, this one does not
// start; once the definitions are the new ones it goes on without a write to any object, prunes what was
// delivered before it, and knows what was accepted.
func TestUpgrade(t *testing.T) {
	w := ownStage(t)
	w.bystanders()
	former, err := startSync(w.cluster)
	must(t, err)
	defer func() { former.end(os.Interrupt) }()
	older := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
	w.deliver(w.source("tag: main", ""))
	w.equals(older)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.equals(release)
	former.end(os.Interrupt)
	pods, versions := w.pods(), w.stored()

	w.earlierDefinitions("confirmed", "history", "accepted", "objects", "awaiting")
	w.earlierRecord()
	stale, err := startSync(w.cluster)
	must(t, err)
	defer func() { stale.end(os.Interrupt) }()
	w.until("the refusal", func() bool {
		return strings.Contains(stale.output(), "deliveries.sealift.dev is of an earlier version: it lacks status.accepted; hint: sealift install --components crds")
	})
	stale.end(os.Interrupt)
	if _, problem, err := w.sealift("install", "--components", "crds,rbac"); err != nil {
		t.Fatalf("%v: %s", err, problem)
	}
	running, err := startSync(w.cluster)
	must(t, err)
	defer func() { running.end(os.Interrupt) }()
	w.until("a pass", func() bool {
		return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.objects.ready}") == "3"
	})
	w.equals(release)
	if now := w.stored(); now != versions {
		t.Errorf("objects were written:\n%s\nbefore:\n%s", now, versions)
	}
	if now := w.pods(); now != pods {
		t.Errorf("pods were replaced:\n%s\nbefore:\n%s", now, pods)
	}
	w.point(older, "main")
	w.refused("Downgrade")
	w.equals(w.publish(map[string]string{"deploy/b.yaml": "", "deploy/a.yaml": configMap("a", "3")}))
	if left := w.kubectl("get", "configmaps", "-n", "sealift-system", "-l", "app.kubernetes.io/managed-by=sealift", "-o", "name"); strings.TrimSpace(left) != "configmap/accepted-1" {
		t.Errorf("the records are in %s", left)
	}
}

// stored tells the versions of what is delivered.
func (w *world) stored() string {
	w.t.Helper()
	return w.kubectl("get", "deployments,configmaps", "-n", w.name, "-l", "sealift.dev/delivery", "--sort-by=.metadata.name",
		"-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
}

// earlierDefinitions takes fields out of a Delivery's status, from the definition and from what is stored.
func (w *world) earlierDefinitions(fields ...string) {
	w.t.Helper()
	var patch []map[string]string
	for _, field := range fields {
		patch = append(patch, map[string]string{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/" + field})
	}
	encoded, err := json.Marshal(patch)
	must(w.t, err)
	w.kubectl("patch", "crd", "deliveries.sealift.dev", "--type=json", "--patch="+string(encoded))
	turn := 0
	w.until("a status without them", func() bool {
		turn++ // any write
		w.kubectl("patch", "delivery", w.name, "-n", w.name, "--subresource=status", "--type=merge", `--patch={"status":{"lastHandledReconcileAt":"`+strings.Repeat("x", turn)+`"}}`)
		var d struct{ Status map[string]any }
		must(w.t, json.Unmarshal([]byte(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json")), &d))
		return !slices.ContainsFunc(fields, func(field string) bool { return d.Status[field] != nil })
	})
}

// earlierRecord turns what the Delivery accepted into the ConfigMap that an earlier version wrote.
func (w *world) earlierRecord() {
	w.t.Helper()
	var stored struct{ Data map[string]string }
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "configmap", "accepted-1", "-n", "sealift-system", "-o", "json")), &stored))
	var list []json.RawMessage
	must(w.t, json.Unmarshal([]byte(stored.Data[w.name+"."+w.name]), &list))
	w.kubectl("delete", "configmap", "accepted-1", "-n", "sealift-system")
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "accepted-0123456789abcdef", "namespace": "sealift-system",
			"labels":      map[string]string{"app.kubernetes.io/managed-by": "sealift"},
			"annotations": map[string]string{"sealift.dev/accepted-by": w.name + "/" + w.name}},
		"data": map[string]string{"0123456789abcdef": string(list[0])},
	})
	must(w.t, err)
	w.apply(string(object))
}
