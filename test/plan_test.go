package test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/engine"
)

// annotated puts an annotation on a manifest whose metadata is written in braces.
func annotated(document, key, value string) string {
	return strings.Replace(document, "metadata: {", fmt.Sprintf("metadata: {annotations: {%s: %q}, ", key, value), 1)
}

func (r *rig) get(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	r.t.Helper()
	live, err := r.cluster.Resource(resource).Namespace(r.namespace).Get(r.ctx, name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return live
}

func (r *rig) data(name string) string {
	value, _, _ := unstructured.NestedString(r.get(core("configmaps"), name).Object, "data", "key")
	return value
}

// step is the step of a preflighted plan for an object.
func (r *rig) step(kind, name string) *engine.Step {
	r.t.Helper()
	p := r.plan()
	if err := r.engine.Preflight(r.ctx, p); err != nil {
		r.t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.Ref.Kind == kind && s.Ref.Name == name {
			return s
		}
	}
	r.t.Fatalf("no step for %s %s", kind, name)
	return nil
}

// TestPlanHonoursAnnotations: what annotations exempt is left alone, at no request
// per pass, and is never pruned.
func TestPlanHonoursAnnotations(t *testing.T) {
	t.Parallel()
	r := newRig(t, "plan-annotations")
	byHand := types.MergePatchType
	ours := dataMap("ours", "1")
	if out, err := onStage(t).KubectlInput(r.ctx, strings.Join([]string{dataMap("theirs", "theirs"), dataMap("exempt", "theirs")}, "\n---\n"),
		"create", "-n", r.namespace, "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	r.patch(core("configmaps"), "exempt", byHand, `{"metadata":{"annotations":{"sealift.dev/reconcile":"Disabled"}}}`, "person")
	r.want(ours,
		annotated(dataMap("once", "1"), "kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
		annotated(dataMap("theirs", "1"), "client.lifecycle.config.k8s.io/mutation", "ignore"),
		annotated(dataMap("never", "1"), "sealift.dev/apply", "ignore"),
		annotated(dataMap("idle", "1"), "kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
		dataMap("exempt", "1"),
		annotated("apiVersion: example.com/v1\nkind: Settings\nmetadata: {name: local}", "config.kubernetes.io/local-config", "true"))
	r.deliver()
	if r.exists(core("configmaps"), "never") || r.exists(core("configmaps"), "idle") || r.data("once") != "1" || r.data("theirs") != "theirs" || r.data("exempt") != "theirs" {
		t.Error("what the annotations say was not honoured")
	}
	r.settle()
	r.requests.take()
	if p := r.plan(); p.Changed() || p.Count(engine.Skip) != 5 {
		t.Errorf("skipped %d objects", p.Count(engine.Skip))
	}
	if h, err := r.engine.Health(r.ctx, r.target); err != nil || h.Total != 4 || h.Ready != 4 {
		t.Errorf("health is %+v: %v", h, err)
	}
	if sent := r.requests.take(); len(sent) > 0 {
		t.Errorf("leaving objects alone costs %q", sent)
	}

	r.patch(core("configmaps"), "once", byHand, `{"data":{"key":"by hand"}}`, "person")
	r.patch(core("configmaps"), "ours", byHand, `{"data":{"key":"by hand"},"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/reconcile":"disabled"}}}`, "person")
	r.want(ours, annotated(dataMap("once", "2"), "kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"))
	r.eventually(func() bool { return r.step("ConfigMap", "ours").Action == engine.Skip })
	r.deliver()
	if r.data("once") != "by hand" || r.data("ours") != "by hand" {
		t.Error("an exempt object was changed")
	}

	// The annotation goes: by hand where it was put by hand, from the release otherwise.
	r.patch(core("configmaps"), "ours", byHand, `{"metadata":{"annotations":{"kustomize.toolkit.fluxcd.io/reconcile":null}}}`, "person")
	r.want(ours, dataMap("once", "3"))
	r.eventually(func() bool { r.deliver(); return r.data("ours") == "1" && r.data("once") == "3" })
}

const fixedService = "apiVersion: v1\nkind: Service\nmetadata: {name: fixed}\nspec: {ports: [{port: 80}]}"

// immutables are objects with a change that the API server refuses.
func immutables() []struct{ name, before, after string } {
	job := func(image string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: " + image + "}]}}}"
	}
	claim := func(size string) string {
		return "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: x}\nspec: {storageClassName: " + size + ", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"
	}
	set := func(service string) string {
		return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {replicas: 0, serviceName: " + service + ", selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}"
	}
	binding := func(role string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: x}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + role + "}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: u}]"
	}
	class := func(by string) string {
		return "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: plan-immutable-x}\nprovisioner: example.com/" + by
	}
	sealed := func(kind, value string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: x}\nimmutable: true\ndata: {k: " + value + "}"
	}
	return []struct{ name, before, after string }{
		{"Deployment", strings.Replace(web, "{name: web, annotations: {a: \"1\"}}", "{name: x}", 1),
			strings.NewReplacer("{name: web, annotations: {a: \"1\"}}", "{name: x}", "{app: web}", "{app: other}").Replace(web)},
		{"Job", job("a"), job("b")},
		{"PersistentVolumeClaim", claim("a"), claim("b")},
		{"StatefulSet", set("a"), set("b")},
		{"RoleBinding", binding("view"), binding("edit")},
		{"StorageClass", class("a"), class("b")},
		{"ConfigMap", sealed("ConfigMap", "a"), sealed("ConfigMap", "b")},
		{"Secret", sealed("Secret", "YQ=="), sealed("Secret", "Yg==")},
		{"Service", fixedService, strings.Replace(fixedService, "{ports", "{clusterIP: None, ports", 1)},
	}
}

// TestPlanRecreates: what cannot be changed is refused before anything is written,
// with the way out, and created again where the release allows it; and nothing is
// deleted while another object is refused.
func TestPlanRecreates(t *testing.T) {
	t.Parallel()
	r := newRig(t, "plan-recreate")
	var before, after, allowed []string
	for _, c := range immutables() {
		before, after = append(before, c.before), append(after, c.after)
		allowed = append(allowed, annotated(c.after, "sealift.dev/recreate", "enabled"))
	}
	r.want(before...)
	r.deliver()
	r.settle()

	r.want(after...)
	err := r.engine.Preflight(r.ctx, r.plan())
	var failures *engine.Failures
	if !errors.As(err, &failures) || failures.Total != len(after) {
		t.Fatalf("refused: %v", err)
	}
	for _, f := range failures.List {
		if !strings.Contains(f.Err.Error(), "hint: ") || !strings.Contains(f.Err.Error(), "sealift.dev/recreate: enabled") {
			t.Errorf("no way out in %s: %v", f.Ref, f.Err)
		}
		if f.Ref.Kind == "Secret" && strings.Contains(f.Err.Error(), "Yg") {
			t.Errorf("a Secret's value is shown: %v", f.Err)
		}
	}

	invalid := strings.Replace(fixedService, "name: fixed", "name: invalid", 1)
	r.want(append(allowed, strings.Replace(invalid, "80", "99999999", 1))...)
	r.requests.take()
	err = r.engine.Preflight(r.ctx, r.plan())
	if !errors.As(err, &failures) || failures.Total != 1 || !strings.Contains(err.Error(), "invalid") {
		t.Fatalf("refused: %v", err)
	}
	for _, sent := range r.requests.take() {
		if !strings.HasPrefix(sent, "GET") && !strings.Contains(sent, "dryRun=All") && !strings.HasPrefix(sent, "DELETE") {
			t.Errorf("the dry run wrote: %s", sent)
		}
	}
	uid := r.get(deployments(), "x").GetUID()

	r.want(allowed...)
	report := r.deliver()
	if len(report.Recreated) != len(allowed) || report.Awaits != "" {
		t.Errorf("re-created %v, awaits %q", report.Recreated, report.Awaits)
	}
	if live := r.get(deployments(), "x"); live.GetUID() == uid || live.GetDeletionTimestamp() != nil {
		t.Error("the Deployment is the old one")
	}
	r.settle()
	if len(r.actions(engine.Unchanged)) != len(allowed) {
		t.Error("the objects are not as wanted")
	}
}

// TestOneInvalidObjectChangesNothing: the last object of all is wrong, and neither
// the definition, namespace and cluster role before it nor a re-creation happens.
// A custom resource is judged by the definition that comes with it.
func TestOneInvalidObjectChangesNothing(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	group, job := w.group(), func(image string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once, annotations: {kustomize.toolkit.fluxcd.io/force: enabled}}\n" +
			"spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: " + image + "}]}}}\n"
	}
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/job.yaml": job("one")}))
	uid := func() string { return w.kubectl("get", "job", "once", "-n", w.name, "-o", "jsonpath={.metadata.uid}") }
	first := uid()

	w.publish(map[string]string{
		"deploy/a.yaml": configMap("a", "2"), "deploy/job.yaml": job("two"),
		"deploy/ns.yaml":   fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s-inner}\n", w.name),
		"deploy/role.yaml": fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: %s-role}\nrules: []\n", w.name),
		"deploy/crd.yaml":  gadgets(group), "deploy/g.yaml": gadget(group, "g", "not a number"),
	})
	if message := w.refused("PreflightFailed"); !strings.Contains(message, "Gadget") || !strings.Contains(message, "spec.size") {
		t.Errorf("the message does not name what is wrong: %s", message)
	}
	untouched := func() {
		t.Helper()
		for _, left := range []string{"crd/gadgets." + group, "namespace/" + w.name + "-inner", "clusterrole/" + w.name + "-role"} {
			if out := w.kubectl("get", left, "--ignore-not-found", "-o", "name"); out != "" {
				t.Errorf("%s was written", left)
			}
		}
		if w.value("a") != "1" || uid() != first {
			t.Error("something was changed, or deleted")
		}
	}
	untouched()
	w.publish(map[string]string{"deploy/g.yaml": strings.Replace(gadget(group, "g", "1"), "size", "sise", 1)})
	w.until("the unknown field refused", func() bool {
		_, reason, message := w.status().ready()
		return reason == "PreflightFailed" && strings.Contains(message, `unknown field "spec.sise"`)
	})
	untouched()
	w.delivered(w.publish(map[string]string{"deploy/g.yaml": gadget(group, "g", "1")}))
	if uid() == first || w.kubectl("get", "gadgets."+group, "g", "-n", w.name, "-o", "jsonpath={.spec.size}") != "1" {
		t.Error("the release is not what runs")
	}
	w.changeDefinition(group)
}

// changeDefinition brings a definition's change and objects that need it in one release.
func (w *world) changeDefinition(group string) {
	w.t.Helper()
	more := strings.Replace(gadgets(group), "size: {type: integer}", "size: {type: integer}, color: {type: string, maxLength: 4}, weight: {type: integer}", 1)
	versions := more + `    - name: v2
      served: true
      storage: false
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {weight: {type: integer}}}}}}
`
	painted := func(color string) string {
		return strings.Replace(gadget(group, "g", "1"), "size: 1", "size: 1, color: "+color, 1)
	}
	heavy := fmt.Sprintf("apiVersion: %s/v2\nkind: Gadget\nmetadata: {name: heavy}\nspec: {weight: WEIGHT}\n", group)
	for _, wrong := range []map[string]string{
		{"deploy/crd.yaml": versions, "deploy/g.yaml": painted("crimson")},
		{"deploy/g.yaml": painted("red"), "deploy/heavy.yaml": heavy},
	} {
		p := w.publish(wrong)
		w.until("the wrong object refused", func() bool {
			_, reason, _ := w.status().ready()
			return reason == "PreflightFailed" && w.status().Status.Attempted.Digest == p.Digest
		})
		if out := w.kubectl("get", "crd", "gadgets."+group, "-o", "jsonpath={.spec.versions[*].name}"); out != "v1" {
			w.t.Errorf("the definition was changed: %s", out)
		}
	}
	w.delivered(w.publish(map[string]string{"deploy/heavy.yaml": strings.Replace(heavy, "WEIGHT", "7", 1)}))
	if out := w.kubectl("get", "gadgets.v2."+group, "heavy", "-n", w.name, "-o", "jsonpath={.spec.weight}"); out != "7" {
		w.t.Errorf("the weight is %q", out)
	}
}

// TestIrreversibleReleaseIsHeld: a release that ran a Job and failed stays where it
// is, unless a person wants to go back.
func TestIrreversibleReleaseIsHeld(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.deliver(w.source("tag: main", "  timeout: 2s\n"))
	first := w.publish(map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.delivered(first)
	failing := w.publish(map[string]string{
		"deploy/web.yaml": unschedulable("web", 1, "example.com/web:2"),
		"deploy/job.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.com/m:1}]}}}\n",
	})
	message := w.refused("Held")
	for _, want := range []string{"runs Job.batch " + w.name + "/migrate", "hint: ", "spec.irreversible"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message does not say %q: %s", want, message)
		}
	}
	image := func() string {
		return w.kubectl("get", "deployment", "web", "-n", w.name, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	}
	d := w.status()
	if image() != "example.com/web:2" || d.Status.Quarantined.Digest != "" || d.Status.Attempted.Digest != failing.Digest {
		t.Errorf("it went back: %s, %+v", image(), d.Status)
	}
	if kept := w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.attempted.irreversible}"); !strings.Contains(kept, "migrate") {
		t.Errorf("the status does not remember what was done: %s", kept)
	}
	w.deliver(w.source("tag: main", "  timeout: 2s\n  irreversible: Rollback\n"))
	w.until("the old image", func() bool { return image() == "example.com/web:1" })
}

// TestRecreateWaits: an object that takes its time to go holds no worker, and the
// release goes on once it is gone.
func TestRecreateWaits(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	sealed := func(value string) string {
		return annotated(configMap("sealed", value), "sealift.dev/recreate", "enabled") + "immutable: true\n"
	}
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(map[string]string{"deploy/sealed.yaml": sealed("1")}))
	w.kubectl("patch", "configmap", "sealed", "-n", w.name, "--type=merge", `--patch={"metadata":{"finalizers":["example.com/wait"]}}`)
	second := w.publish(map[string]string{"deploy/sealed.yaml": sealed("2"), "deploy/a.yaml": configMap("a", "1")})
	w.until("the object being deleted", func() bool {
		return w.kubectl("get", "configmap", "sealed", "-n", w.name, "-o", "jsonpath={.metadata.deletionTimestamp}") != ""
	})
	w.until("the status to name it", func() bool {
		_, _, message := w.status().ready()
		return strings.Contains(message, "ConfigMap "+w.name+"/sealed")
	})
	w.kubectl("patch", "configmap", "sealed", "-n", w.name, "--type=merge", `--patch={"metadata":{"finalizers":[]}}`)
	w.delivered(second)
	if w.value("sealed") != "2" || w.value("a") != "1" {
		t.Error("the release is not what runs")
	}
}

// TestPlanNamesTheIrreversible: what another release would not undo is known before
// the first write.
func TestPlanNamesTheIrreversible(t *testing.T) {
	t.Parallel()
	r := newRig(t, "plan-irreversible")
	cluster := onStage(t)
	_, err := cluster.KubectlInput(r.ctx, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: plan-grows}\nprovisioner: example.com/x\nallowVolumeExpansion: true", "apply", "-f", "-")
	must(t, err)
	claim := "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: disk}\nspec: {storageClassName: plan-grows, volumeName: plan-grows, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"
	volume := "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: plan-grows}\nspec: {storageClassName: plan-grows, capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}, claimRef: {namespace: plan-irreversible, name: disk}}"
	group := "irreversible.example.com"
	two := gadgets(group) + `    - name: v2
      served: true
      storage: false
      schema: {openAPIV3Schema: {type: object}}
`
	r.want(claim, volume, two, dataMap("sealed", "1"), dataMap("open", "1"))
	r.deliver()
	r.settle()
	r.eventually(func() bool {
		phase, _, _ := unstructured.NestedString(r.get(core("persistentvolumeclaims"), "disk").Object, "status", "phase")
		return phase == "Bound"
	})
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: NAME}\nspec: {suspend: SUSPENDED, template: {spec: {restartPolicy: Never, containers: [{name: c, image: x}]}}}"
	r.want(strings.Replace(claim, "storage: 1Gi", "storage: 2Gi", 1), volume, gadgets(group), dataMap("sealed", "1")+"\nimmutable: true", dataMap("open", "2"),
		strings.NewReplacer("NAME", "runs", "SUSPENDED", "false").Replace(job), strings.NewReplacer("NAME", "rests", "SUSPENDED", "true").Replace(job))
	p := r.plan()
	must(t, r.engine.Preflight(r.ctx, p))
	want := []string{
		"CustomResourceDefinition.apiextensions.k8s.io gadgets." + group + " serves v2 no longer",
		"makes ConfigMap plan-irreversible/sealed immutable",
		"makes PersistentVolumeClaim plan-irreversible/disk larger: 2Gi instead of 1Gi",
		"runs Job.batch plan-irreversible/runs",
	}
	if !slices.Equal(p.Irreversible, want) {
		t.Errorf("named are %q", p.Irreversible)
	}
}

// TestPreviewShowsChanges: every change with the object before and after, and
// nothing is written.
func TestPreviewShowsChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, "plan-preview")
	r.want(dataMap("same", "1"), dataMap("changed", "1"), dataMap("gone", "1"), dataMap("sealed", "1")+"\nimmutable: true")
	r.deliver()
	r.settle()
	r.want(dataMap("same", "1"), dataMap("changed", "2"), dataMap("new", "1"), annotated(dataMap("never", "1"), "sealift.dev/apply", "Ignore"),
		annotated(dataMap("sealed", "2")+"\nimmutable: true", "sealift.dev/recreate", "enabled"))
	p := r.plan()
	must(t, r.engine.Preflight(r.ctx, p))
	changes, err := r.engine.Preview(r.ctx, p)
	must(t, err)
	key := func(o *unstructured.Unstructured) string {
		if o == nil {
			return "-"
		}
		if o.GetManagedFields() != nil || o.GetUID() != "" || o.GetResourceVersion() != "" {
			t.Errorf("%s shows what the API server keeps", o.GetName())
		}
		value, _, _ := unstructured.NestedString(o.Object, "data", "key")
		return value
	}
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s %s %s>%s", c.Action, c.Ref.Name, key(c.Before), key(c.After)))
	}
	want := []string{"Update changed 1>2", "Skip never ->-", "Create new ->1", "Recreate sealed 1>2", "Prune gone 1>-"}
	if !slices.Equal(got, want) {
		t.Errorf("changes are %q", got)
	}
	if r.exists(core("configmaps"), "new") || r.data("changed") != "1" || r.data("sealed") != "1" || !r.exists(core("configmaps"), "gone") {
		t.Error("looking changed something")
	}
}

// TestPreviewOfRecreation: what is created again is shown as it will be, with the API
// server's defaults, under its own name.
func TestPreviewOfRecreation(t *testing.T) {
	t.Parallel()
	r := newRig(t, "plan-preview-recreate")
	r.want(web)
	r.deliver()
	r.settle()
	r.want(strings.NewReplacer("app: web", "app: other", `a: "1"`, `a: "1", sealift.dev/recreate: enabled`).Replace(web))
	p := r.plan()
	must(t, r.engine.Preflight(r.ctx, p))
	changes, err := r.engine.Preview(r.ctx, p)
	must(t, err)
	if len(changes) != 1 || changes[0].Action != engine.Recreate {
		t.Fatalf("changes are %+v", changes)
	}
	before, after := changes[0].Before, changes[0].After
	if after.GetName() != before.GetName() {
		t.Errorf("it is called %s afterwards", after.GetName())
	}
	for _, field := range []string{"replicas", "strategy", "progressDeadlineSeconds"} {
		was, _, _ := unstructured.NestedFieldNoCopy(before.Object, "spec", field)
		is, _, _ := unstructured.NestedFieldNoCopy(after.Object, "spec", field)
		if !reflect.DeepEqual(was, is) {
			t.Errorf("spec.%s becomes %v (%[2]T) from %v (%[3]T)", field, is, was)
		}
	}
}
