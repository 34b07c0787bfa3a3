package test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const rbac = "apiVersion: rbac.authorization.k8s.io/v1\n"

// reach is a release, or a spec, by which a tenant who may do everything in one namespace
// reaches for more; the status says words of it.
type reach struct {
	name, object, spec string
	words              []string
}

// reaches are what a tenant tries; other is somebody else's namespace.
func reaches(w *world, other string) []reach {
	subject := fmt.Sprintf("subjects: [{kind: ServiceAccount, name: tenant, namespace: %s}]\n", w.name)
	delivery := fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: inner}\nspec: {serviceAccountName: deployer, source: {url: %q, tag: main}}\n", w.repository())
	const escalates = "attempting to grant RBAC permissions not currently held"
	return []reach{
		{name: "a role with more rights than its own", object: rbac + "kind: Role\nmetadata: {name: up}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n", words: []string{"Role.rbac.authorization.k8s.io " + w.name + "/up", escalates}},
		{name: "a role that impersonates", object: rbac + "kind: Role\nmetadata: {name: up}\nrules: [{apiGroups: ['sealift.dev'], resources: [deliveries], verbs: [create]}]\n", words: []string{"/up", escalates}},
		{name: "a binding to cluster-admin", object: rbac + "kind: RoleBinding\nmetadata: {name: up}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n" + subject, words: []string{"RoleBinding.rbac.authorization.k8s.io " + w.name + "/up", escalates}},
		{name: "an aggregated role", object: rbac + "kind: ClusterRole\nmetadata: {name: " + w.name + "-up, labels: {rbac.authorization.k8s.io/aggregate-to-admin: 'true'}}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n", words: []string{"ClusterRole.rbac.authorization.k8s.io " + w.name + "-up", "cannot patch resource"}},
		{name: "a definition", object: gadgets(w.group()), words: []string{"CustomResourceDefinition.apiextensions.k8s.io gadgets." + w.group()}},
		{name: "a definition and its object", object: gadgets(w.group()) + "---\n" + gadget(w.group(), "g", "1"), words: []string{"gadgets." + w.group()}},
		{name: "a namespace", object: "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + w.name + "-up}\n", words: []string{"Namespace " + w.name + "-up"}},
		{name: "a trust policy", object: "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: " + w.name + "-up}\nspec: {mode: Audit, match: {namespaces: ['*']}, authorities: [{name: x, key: {data: x}}]}\n", words: []string{"TrustPolicy.sealift.dev " + w.name + "-up"}},
		{name: "a Delivery of a stronger account", object: delivery, words: []string{"Delivery.sealift.dev " + w.name + "/inner"}},
		{name: "a webhook", object: "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: " + w.name + "-up}\n", words: []string{w.name + "-up"}},
		{name: "another namespace for all", spec: "  targetNamespace: " + other + "\n", words: []string{"ConfigMap " + other + "/a"}},
		{name: "another namespace by a patch", spec: "  patches: [{target: {kind: ConfigMap}, patch: '- {op: add, path: /metadata/namespace, value: " + other + "}'}]\n", words: []string{"ConfigMap " + other + "/a"}},
	}
}

// TestTenantsReachNoFurther: whatever a release or a spec tries, what it writes is what the
// tenant's account may write; the rest of it is not written either, and the status says whose
// right is missing for what.
func TestTenantsReachNoFurther(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	other := w.tenants()
	good := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.delivered(good)
	tenant := "system:serviceaccount:" + w.name + ":tenant"
	for i, try := range reaches(w, other) {
		value, object := fmt.Sprint(i+2), cmp.Or(try.object, configMap("x", "1"))
		w.deliverBy("tenant", w.source("tag: main", try.spec))
		w.publish(map[string]string{"deploy/a.yaml": configMap("a", value), "deploy/x.yaml": object})
		w.says("Forbidden", append(try.words, tenant)...)
		if got := w.value("a"); got != "1" {
			t.Fatalf("%s: a is %s: a part of a refused release was written", try.name, got)
		}
	}
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "last"), "deploy/x.yaml": ""}))
	if left := w.kubectl("get", "configmaps", "-n", other, "-l", "sealift.dev/delivery", "-o", "name"); left != "" {
		t.Errorf("in the other namespace there is %s", left)
	}
}

// TestLabelIsNoDeed: an object of a release that carries the label of another Delivery is
// this one's all the same, and an object of that one is not taken.
func TestLabelIsNoDeed(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.tenants()
	forged := strings.Replace(configMap("b", "1"), "{name: b}", "{name: b, labels: {sealift.dev/delivery: victim.victim}}", 1)
	w.deliverBy("tenant", w.source("tag: main", ""))
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": forged}))
	if label := w.kubectl("get", "configmap", "b", "-n", w.name, "-o", `jsonpath={.metadata.labels.sealift\.dev/delivery}`); label != w.name+"."+w.name {
		t.Errorf("the label is %q", label)
	}
	thief := fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: thief, namespace: %[1]s}\nspec:\n  environment: prod\n  serviceAccountName: tenant\n  trust: {authorities: [{name: ci, key: {data: %[2]q}}]}\n%[3]s", w.name, w.ci.PublicPEM, w.source("tag: main", ""))
	w.apply(thief)
	message := w.untilNamed("thief", "False", "OwnedByAnother")
	if !strings.Contains(message, w.name+"."+w.name) {
		t.Errorf("it is not said whose the object is: %s", message)
	}
	w.kubectl("delete", "delivery", "thief", "-n", w.name, "--timeout=90s")
	if w.value("a") != "1" || w.value("b") != "1" {
		t.Error("the thief took something with it")
	}
}

// TestHostileObjectsAreToldBriefly: objects with the longest names that say very much of
// themselves, again and again, make neither a large status nor many or long Events.
func TestHostileObjectsAreToldBriefly(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.apply(statusGadgets(w.group()))
	const count = 30
	files := map[string]string{}
	name := func(i int) string { return fmt.Sprintf("%s-%02d", strings.Repeat("x", 250), i) }
	for i := range count {
		files[fmt.Sprintf("deploy/g-%02d.yaml", i)] = gadget(w.group(), name(i), "1")
	}
	release := w.publish(files)
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	said := strings.Repeat(`very \u001b[31mbad `, 6000)
	for i := range count {
		w.kubectl("patch", "gadgets."+w.group(), name(i), "-n", w.name, "--type=merge", fmt.Sprintf(`--patch={"status":{"conditions":[{"type":"Stalled","status":"True","reason":"Bad","message":"%d %s"}]}}`, i, said))
	}
	w.until("all of them told", func() bool {
		return w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.objects.ready}") == "0"
	})
	if status := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "json"); len(status) > 64<<10 {
		t.Errorf("the Delivery has %d bytes", len(status))
	}
	var events struct {
		Items []struct{ Note, Message string }
	}
	must(t, json.Unmarshal([]byte(w.kubectl("get", "events", "-n", w.name, "-o", "json")), &events))
	if len(events.Items) > 60 {
		t.Errorf("%d Events", len(events.Items))
	}
	for _, e := range events.Items {
		if text := e.Note + e.Message; len(text) > 1024 || strings.Contains(text, "\x1b") {
			t.Errorf("an Event says %q", text)
		}
	}
	for i := range count {
		w.kubectl("patch", "gadgets."+w.group(), name(i), "-n", w.name, "--type=merge", `--patch={"status":null}`)
	}
	w.delivered(release)
}
