package test

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/engine"
)

// TestPruneAsksTheLiveObject: what a person writes on an object that is there decides
// about its deletion, in our words and in peers', whatever the case.
func TestPruneAsksTheLiveObject(t *testing.T) {
	t.Parallel()
	r := newRig(t, "live-prune")
	const argo = "argocd.argoproj.io/sync-options"
	spared := [][2]string{
		{"sealift.dev/prune", "DISABLED"}, {"sealift.dev/reconcile", "Disabled"},
		{"kustomize.toolkit.fluxcd.io/prune", "Disabled"}, {"kustomize.toolkit.fluxcd.io/reconcile", "DISABLED"},
		{argo, "Validate=false, prune=False"}, {argo, "PruneLast=true,Prune=false"},
	}
	last := [][2]string{{argo, "Delete=false"}, {"sealift.dev/delete", "Disabled"}, {argo, "ServerSideApply=true , Delete=Confirm"}}
	gone := [][2]string{{argo, "PruneLast=true"}, {argo, "Prune=true"}, {"kustomize.toolkit.fluxcd.io/prune", "enabled"}}
	var documents []string
	for i := range slices.Concat(spared, last, gone) {
		documents = append(documents, dataMap(fmt.Sprintf("c-%d", i), "1"))
	}
	r.want(documents...)
	r.deliver()
	r.settle()
	for i, a := range slices.Concat(spared, last, gone) {
		r.patch(core("configmaps"), fmt.Sprintf("c-%d", i), types.MergePatchType, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, a[0], a[1]), "person")
	}
	most := len(spared) + len(last)
	r.want(documents[len(spared):most]...)
	r.eventually(func() bool { r.deliver(); return len(r.actions(engine.Keep)) == len(spared) })
	for i := range spared {
		if !r.exists(core("configmaps"), fmt.Sprintf("c-%d", i)) {
			t.Errorf("%v does not keep its object", spared[i])
		}
	}
	for i := range gone {
		if r.exists(core("configmaps"), fmt.Sprintf("c-%d", most+i)) {
			t.Errorf("%v keeps its object", gone[i])
		}
	}
	r.eventually(func() bool {
		report, err := r.engine.DeleteAll(r.ctx, r.target)
		must(t, err)
		return len(report.Pending) == 0 && len(report.Kept) == most
	})
}

// TestPeersWordsRecreate: what cannot be changed is created again where the release
// says so in Argo CD's words, among others.
func TestPeersWordsRecreate(t *testing.T) {
	t.Parallel()
	r := newRig(t, "peers-recreate")
	sealed := func(name, value, options string) string {
		return annotated("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+"}\nimmutable: true\ndata: {key: "+value+"}", "argocd.argoproj.io/sync-options", options)
	}
	set := func(value string) {
		r.want(sealed("replace", value, "Validate=false, Replace=true"), sealed("force", value, "PruneLast=true,FORCE=True"))
	}
	set("a")
	r.deliver()
	r.settle()
	set("b")
	if report := r.deliver(); len(report.Recreated) != 2 || r.data("replace") != "b" || r.data("force") != "b" {
		t.Errorf("re-created %v", report.Recreated)
	}
}

// wrote are the names of what was written, in order.
func (r *rig) wrote() []string {
	var names []string
	for _, sent := range r.requests.take() {
		method, uri, _ := strings.Cut(sent, " ")
		if u, err := url.Parse(uri); method == "PATCH" && err == nil && u.Query().Get("dryRun") == "" {
			names = append(names, path.Base(u.Path))
		}
	}
	return names
}

// TestFoundationsInWaves: definitions and Namespaces in waves of their own, as
// Argo CD's users put them, come before what stands on them.
func TestFoundationsInWaves(t *testing.T) {
	t.Parallel()
	r := newRig(t, "wave-foundations")
	const group = "waves.example.com"
	late := noted(configMap("late", "1"), `argocd.argoproj.io/sync-wave: "3"`)
	r.want(late, noted(gadget(group, "g", "1"), `argocd.argoproj.io/sync-wave: "-1"`), configMap("plain", "1"),
		strings.Replace(noted(configMap("inner", "1"), `sealift.dev/wave: "-2"`), "metadata: {", "metadata: {namespace: wave-inner, ", 1),
		noted("apiVersion: v1\nkind: Namespace\nmetadata: {name: wave-inner}\n", `argocd.argoproj.io/sync-wave: "-3"`),
		strings.Replace(gadgets(group), "metadata: {", `metadata: {annotations: {argocd.argoproj.io/sync-wave: "-5"}, `, 1))
	r.requests.take()
	r.eventually(func() bool { return r.deliver().Awaits == "" && !r.plan().Changed() })
	want := []string{"gadgets." + group, "wave-inner", "inner", "g", "plain", "late"}
	if got := r.wrote(); !slices.Equal(got, want) {
		t.Errorf("written in the order %v, want %v", got, want)
	}
}

// TestUnsupportedKinds: what cannot be kept is refused before anything is written, by
// name and with the reason; what is not sent to the cluster anyway may be there.
func TestUnsupportedKinds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "unsupported")
	review := "apiVersion: authorization.k8s.io/v1\nkind: SubjectAccessReview\nmetadata: {name: may}\nspec: {user: u}"
	r.want(dataMap("one", "1"), review)
	_, err := r.engine.Plan(r.ctx, r.target)
	if !errors.Is(err, engine.ErrUnsupportedKind) || !strings.Contains(err.Error(), "SubjectAccessReview.authorization.k8s.io may") || !strings.Contains(err.Error(), "list, watch, patch, delete") {
		t.Errorf("the error is %v", err)
	}
	for _, a := range [][2]string{{"config.kubernetes.io/local-config", "true"}, {"kustomize.toolkit.fluxcd.io/ssa", "IGNORE"}} {
		r.want(dataMap("one", "1"), annotated(review, a[0], a[1]))
		r.deliver()
	}
	// A kind of which nothing can be known any more holds up nothing but its own end.
	r.target.Kinds = append(r.target.Kinds, schema.GroupKind{Group: "authorization.k8s.io", Kind: "SubjectAccessReview"})
	r.want(dataMap("two", "1"))
	r.eventually(func() bool { r.deliver(); return !r.exists(core("configmaps"), "one") })
	if kinds := r.engine.Remaining(r.plan()); len(kinds) != 2 {
		t.Errorf("the inventory is %v", kinds)
	}
}

// TestAbsentStrayIsPrunedOnce: what is gone already, and no watch told of, is not deleted
// in every pass, and leaves the inventory.
func TestAbsentStrayIsPrunedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "absent-stray")
	r.want(fixedService, dataMap("one", "1"))
	r.deliver()
	r.settle()
	r.deaf.Store(true)
	must(t, r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Delete(r.ctx, "one", metav1.DeleteOptions{}))
	r.want(fixedService)
	if report := r.deliver(); len(report.Pruned) != 1 {
		t.Errorf("pruned %v", report.Pruned)
	}
	r.requests.take()
	if report := r.deliver(); len(report.Pruned) > 0 || len(r.requests.take()) > 0 {
		t.Errorf("pruned %v again", report.Pruned)
	}
	if kinds := r.engine.Remaining(r.plan()); len(kinds) != 1 {
		t.Errorf("the inventory is %v", kinds)
	}
}

// TestFullPass: what no watch showed is found by applying again, and what stays as it
// is costs nothing before.
func TestFullPass(t *testing.T) {
	t.Parallel()
	r := newRig(t, "full-pass")
	r.want(dataMap("changed", "1"), dataMap("deleted", "1"), fixedService)
	r.deliver()
	r.settle()
	r.deaf.Store(true)
	r.patch(core("configmaps"), "changed", types.MergePatchType, `{"data":{"key":"unseen"}}`, "thief")
	must(t, r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Delete(r.ctx, "deleted", metav1.DeleteOptions{}))
	r.requests.take()
	if report := r.deliver(); len(report.Updated) > 0 || len(r.requests.take()) > 0 {
		t.Error("the watches were not relied on")
	}
	r.target.Reapply = time.Second
	r.eventually(func() bool {
		r.deliver()
		return r.exists(core("configmaps"), "deleted") && r.data("changed") == "1"
	})
	r.target.Reapply = 0
	r.requests.take()
	if r.deliver(); len(r.requests.take()) > 0 {
		t.Error("what was applied a moment ago is applied again")
	}
}

// TestDriftCorners: who changes a field in another version of the kind is found; what
// others set beside the release is theirs.
func TestDriftCorners(t *testing.T) {
	t.Parallel()
	r := newRig(t, "drift-corners")
	scalers := func(version string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "autoscaling", Version: version, Resource: "horizontalpodautoscalers"}
	}
	services := core("services")
	r.want(web, fixedService, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaler}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: absent}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
`)
	r.deliver()
	r.settle()
	r.patch(scalers("v1"), "scaler", types.MergePatchType, `{"metadata":{"annotations":{"theirs":"1"}}}`, "older")
	r.patch(scalers("v2"), "scaler", types.MergePatchType, `{"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":60}}}}`, "tuner")
	r.patch(deployments(), "web", types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"c","imagePullPolicy":"Always"}]}}}}`, "defaulter")
	r.patch(services, "fixed", types.MergePatchType, `{"spec":{"sessionAffinity":"ClientIP"}}`, "defaulter")
	r.patch(services, "fixed", types.MergePatchType, `{"status":{"conditions":[{"type":"Known","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, "reporter", "status")
	r.patch(services, "fixed", types.JSONPatchType, `[{"op":"add","path":"/spec/ports/0/name","value":"http"}]`, "namer")
	// What comes last is drift, and shows that the rest was seen.
	r.patch(scalers("v1"), "scaler", types.MergePatchType, `{"spec":{"maxReplicas":7,"targetCPUUtilizationPercentage":20}}`, "older")
	r.eventually(func() bool { return len(r.actions(engine.Heal)) > 0 })
	steps := r.actions(engine.Heal)
	if len(steps) != 1 || steps[0].Ref.Name != "scaler" || !strings.Contains(steps[0].Reason, ".spec.maxReplicas by older at ") || !strings.Contains(steps[0].Reason, ".spec.metrics by older") {
		t.Errorf("the drift is %v", reasons(steps))
	}
	r.deliver()
	r.settle()
	live := r.get(scalers("v2"), "scaler")
	most, _, _ := unstructured.NestedInt64(live.Object, "spec", "maxReplicas")
	window, _, _ := unstructured.NestedInt64(live.Object, "spec", "behavior", "scaleDown", "stabilizationWindowSeconds")
	if most != 3 || window != 60 || live.GetAnnotations()["theirs"] != "1" {
		t.Errorf("healed to %v", live.Object["spec"])
	}
}

func reasons(steps []*engine.Step) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Ref.String()+": "+s.Reason)
	}
	return out
}
