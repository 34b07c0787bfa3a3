package test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/engine"
)

// TestEngineAdopts takes over what kubectl, Flux, Argo CD and Helm applied, also
// where they agree with the release; what it does not hold goes, and so does what a
// later one drops.
func TestEngineAdopts(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-adopt")
	const agreed = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"NAME"},"data":{"key":"1","kept":"1","dropped":"yes"}}`
	apply := func(name, manager string) {
		r.patch(core("configmaps"), name, types.ApplyPatchType, replaceName(agreed, name), manager)
	}
	update := func(name, manager string) {
		o := object(t, replaceName(agreed, name))
		_, err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Create(r.ctx, o, metav1.CreateOptions{FieldManager: manager})
		must(t, err)
	}
	peers := map[string]string{"server-side": "kubectl", "flux": "kustomize-controller", "argo": "argocd-controller", "helm4": "helm",
		"helm3": "helm", "before": "before-first-apply"}
	for _, name := range []string{"server-side", "flux", "argo", "helm4"} {
		apply(name, peers[name])
	}
	update("helm3", "helm")
	update("before", "before-first-apply")
	// As they do it where server-side apply is not switched on.
	peers["kubectl-update"], peers["flux-update"], peers["argo-client-side"] = "kubectl", "kustomize-controller", "argocd-controller"
	for _, name := range []string{"kubectl-update", "flux-update", "argo-client-side"} {
		update(name, peers[name])
	}
	r.patch(core("configmaps"), "argo-client-side", types.MergePatchType, `{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}}}`, "argocd-controller")
	peers["client-side"] = "kubectl-client-side-apply"
	if out, err := onStage(t).KubectlInput(r.ctx, replaceName(agreed, "client-side"), "apply", "-n", r.namespace, "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	want := func(more string) {
		var documents []string
		for name := range peers {
			documents = append(documents, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "+name+"}\ndata: {key: '1'"+more+"}")
		}
		r.want(documents...)
	}
	check := func(keys int) {
		t.Helper()
		for name := range peers {
			live := r.get(core("configmaps"), name)
			data, _, _ := unstructured.NestedStringMap(live.Object, "data")
			if len(data) != keys || data["key"] != "1" || len(live.GetAnnotations()) != 0 || len(live.GetManagedFields()) != 1 {
				t.Errorf("%s: data is %v, annotations are %v, managed by %v", name, data, live.GetAnnotations(), live.GetManagedFields())
			}
		}
	}

	want(", kept: '1'")
	report := r.deliver()
	if len(report.Adopted) != len(peers) || len(report.Takeovers) != 0 || len(report.Updated) != len(peers) {
		t.Errorf("adopted %v, took over %v", report.Adopted, report.Takeovers)
	}
	for _, a := range report.Adopted {
		if len(a.Managers) != 1 || a.Managers[0] != peers[a.Ref.Name] {
			t.Errorf("%s is adopted from %v", a.Ref, a.Managers)
		}
	}
	check(2)
	want("")
	r.deliver()
	check(1)
	r.settle()
	if report := r.deliver(); len(report.Adopted)+len(report.Updated) != 0 {
		t.Errorf("adopted again: %v", report)
	}
}

// TestEngineAdoptsTwiceApplied: kubectl applied client-side, then server-side, which keeps the
// annotation of the former under a manager of its own; the release changes all that it set.
func TestEngineAdoptsTwiceApplied(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-adopt-twice")
	for _, how := range []string{"--server-side=false", "--server-side=true"} {
		if out, err := onStage(t).KubectlInput(r.ctx, dataMap("twice", "1"), "apply", how, "-n", r.namespace, "-f", "-"); err != nil {
			t.Fatal(out, err)
		}
	}
	r.want(dataMap("twice", "2"))
	report := r.deliver()
	live := r.get(core("configmaps"), "twice")
	if len(report.Adopted) != 1 || len(live.GetAnnotations()) != 0 || len(live.GetManagedFields()) != 1 || r.data("twice") != "2" {
		t.Errorf("adopted %v; annotations are %v, managed by %v", report.Adopted, live.GetAnnotations(), live.GetManagedFields())
	}
}

// TestEngineMerges leaves earlier deployers what the release does not set.
func TestEngineMerges(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-merge")
	r.patch(core("configmaps"), "one", types.ApplyPatchType, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"extra":"theirs","key":"theirs"}}`, "helm")
	r.want(annotated(dataMap("one", "1"), "kustomize.toolkit.fluxcd.io/ssa", "merge"))
	report := r.deliver()
	data, _, _ := unstructured.NestedStringMap(r.get(core("configmaps"), "one").Object, "data")
	if data["extra"] != "theirs" || data["key"] != "1" || len(report.Adopted) != 0 || len(report.Takeovers) != 1 {
		t.Errorf("data is %v; adopted %v, took over %v", data, report.Adopted, report.Takeovers)
	}
	r.settle()
	if len(r.actions(engine.Unchanged)) != 1 {
		t.Error("another pass has something to do")
	}
}

func replaceName(document, name string) string { return strings.ReplaceAll(document, "NAME", name) }

// TestAdoptionRestartsNothing: a workload that kubectl applied comes under a
// Delivery with the pods that it has, and one Event says so for all objects.
func TestAdoptionRestartsNothing(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	files := map[string]string{"deploy/web.yaml": deployment("web", 1, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1"), "deploy/s.yaml": service("s")}
	for _, manifest := range files {
		out, err := w.cluster.KubectlInput(t.Context(), manifest, "apply", "-n", w.name, "-f", "-")
		if err != nil {
			t.Fatal(out, err)
		}
	}
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`, "--field-manager=person")
	pods := func() string {
		return w.kubectl("get", "replicasets,pods", "-n", w.name, "-o", "jsonpath={.items[*].metadata.uid}")
	}
	w.until("a pod", func() bool { return len(strings.Fields(pods())) == 2 })
	before := pods()
	w.deliver(w.source("tag: main", ""))
	w.delivered(w.publish(files))
	if after := pods(); after != before {
		t.Errorf("the pods were replaced: %s, then %s", before, after)
	}
	if left := w.kubectl("get", "deployment/web", "configmap/a", "service/s", "-n", w.name, "-o", "yaml"); strings.Contains(left, "last-applied-configuration") {
		t.Error("kubectl's annotation is still there")
	}
	events := func(reason string) []string {
		out := w.kubectl("get", "events", "-n", w.name, "--field-selector=reason="+reason, "-o", "jsonpath={range .items[*]}{.message}{.note}{\"\\n\"}{end}")
		return strings.Split(strings.TrimSpace(out), "\n")
	}
	w.until("the Events", func() bool { return events("Adopted")[0] != "" && events("TakenOver")[0] != "" })
	for _, want := range []string{"adopted 3 objects", "kubectl-client-side-apply", "Deployment.apps " + w.name + "/web", "Service " + w.name + "/s"} {
		if all := events("Adopted"); len(all) != 1 || !strings.Contains(all[0], want) {
			t.Errorf("the Events do not say %q once: %q", want, all)
		}
	}
	if all := events("TakenOver"); len(all) != 1 || !strings.Contains(all[0], ".data.value from person") {
		t.Errorf("the Events of single fields are %q", all)
	}
}
