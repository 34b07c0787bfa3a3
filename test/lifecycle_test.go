package test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDeletionPolicies: a deleted Delivery leaves its objects, deletes them, or stays
// until they are gone.
func TestDeletionPolicies(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.publishEach("1", "orphan", "prune", "waits")
	policies := map[string]string{"orphan": "Orphan", "prune": "Prune", "waits": "WaitForTermination"}
	for name, policy := range policies {
		w.deliverAs(name, w.source("tag: main", "  environment: "+name+"\n  deletionPolicy: "+policy+"\n"))
	}
	for name := range policies {
		w.untilNamed(name, "True", "Delivered")
		w.finalizers(name, `["example.com/hold"]`)
		w.kubectl("delete", "delivery", name, "-n", w.name, "--wait=false")
	}
	for _, name := range []string{"orphan", "prune"} {
		w.until(name+" gone", func() bool { return !w.exists("delivery", name) })
	}
	if w.deleted("orphan") || !w.deleted("prune") {
		t.Errorf("deleted: orphan %v, prune %v", w.deleted("orphan"), w.deleted("prune"))
	}
	message := w.untilNamed("waits", "False", "Terminating")
	if !strings.Contains(message, "ConfigMap "+w.name+"/waits") || !strings.Contains(message, "hint:") || !w.deleted("waits") {
		t.Errorf("it waits for something else: %s", message)
	}
	for name := range policies {
		w.finalizers(name, "null")
	}
	w.until("waits gone", func() bool { return !w.exists("delivery", "waits") && !w.exists("configmap", "waits") })

	// What was left is found again by the next Delivery of that name.
	w.deliverAs("orphan", w.source("tag: main", "  environment: orphan\n"))
	w.untilNamed("orphan", "True", "Delivered")
	w.kubectl("delete", "delivery", "orphan", "-n", w.name, "--timeout=90s")
	w.until("the orphan pruned", func() bool { return !w.exists("configmap", "orphan") })
}

// finalizers sets those of a ConfigMap.
func (w *world) finalizers(name, list string) {
	w.t.Helper()
	if w.exists("configmap", name) {
		w.kubectl("patch", "configmap", name, "-n", w.name, "--type=merge", "-p", `{"metadata":{"finalizers":`+list+`}}`)
	}
}

// deleted says that a ConfigMap is on its way out.
func (w *world) deleted(name string) bool {
	w.t.Helper()
	return w.kubectl("get", "configmap", name, "-n", w.name, "-o", "jsonpath={.metadata.deletionTimestamp}") != ""
}

// TestRequestsHistoryAndColumns: Flux's annotation asks like ours, and each answers the
// newest; the history names what ran, the newest first; kubectl shows it.
func TestRequestsHistoryAndColumns(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	ran := []string{w.publish(map[string]string{"deploy/a.yaml": configMap("a", "0")}).Digest}
	w.deliver(w.source("tag: main", ""))
	w.healed("a", "0")
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", "-p", `{"spec":{"interval":"1h"}}`)
	var last published
	for value, annotation := range []string{"reconcile.fluxcd.io/requestedAt", "sealift.dev/requestedAt", "reconcile.fluxcd.io/requestedAt"} {
		text := string(rune('1' + value))
		last = w.publish(map[string]string{"deploy/a.yaml": configMap("a", text)})
		w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", annotation+"="+text)
		w.until("the request "+text+" answered", func() bool { return w.handled() == text })
		w.delivered(last)
		ran = append(ran, last.Digest)
	}
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "--overwrite", "sealift.dev/requestedAt=9")
	w.until("a request without news answered", func() bool { return w.handled() == "9" })

	var d struct {
		Status struct{ History []struct{ Digest string } }
	}
	must(t, json.Unmarshal([]byte(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json")), &d))
	var history []string
	for _, release := range d.Status.History {
		history = append(history, release.Digest)
	}
	if slices.Reverse(ran); !slices.Equal(history, ran) {
		t.Errorf("the history is %v, want %v", history, ran)
	}

	head, row, _ := strings.Cut(w.kubectl("get", "deliveries", "-n", w.name, "-o", "wide"), "\n")
	if got := strings.Fields(head); strings.Join(got, " ") != "NAME READY REASON REVISION OBJECTS AGE VERSION DIGEST SIGNED BY MESSAGE" {
		t.Errorf("the columns are %v", got)
	}
	for _, want := range []string{w.name, "True", "Delivered", "main@sha1:", "1/1", last.Version, last.Digest, `["ci"]`, "1 object is ready"} {
		if !strings.Contains(row, want) {
			t.Errorf("the row lacks %q: %s", want, row)
		}
	}
}

// TestDefaultServiceAccount: what a Delivery without an account writes as is the
// synchronizer's choice.
func TestDefaultServiceAccount(t *testing.T) {
	w := ownStage(t)
	running, err := startSync(w.cluster, "--default-service-account", "deployer")
	must(t, err)
	defer func() { running.end(os.Interrupt) }()
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliverBy("", w.source("tag: main", ""))
	w.delivered(release)
	written := false
	for _, r := range w.requests() {
		if r.Verb != "patch" || !strings.Contains(r.URI, "/configmaps/a") {
			continue
		}
		written = true
		if want := "system:serviceaccount:" + w.name + ":deployer"; r.ImpersonatedUser.Username != want {
			t.Errorf("%s as %q, want %s", r.URI, r.ImpersonatedUser.Username, want)
		}
	}
	if !written {
		t.Error("the audit log shows no write")
	}
}
