package test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/synchronizer/engine"
)

// TestEngineForgedDeletions has someone else put the owner's label on many objects of
// his own: no person is asked about deletions that the owner may not do.
func TestEngineForgedDeletions(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-flooded")
	r.target.User = "system:serviceaccount:engine-flooded:shop"
	for _, args := range [][]string{
		{"create", "namespace", "engine-flooder"},
		{"create", "rolebinding", "shop", "-n", r.namespace, "--clusterrole=admin", "--serviceaccount=engine-flooded:shop"},
	} {
		if out, err := onStage(t).Kubectl(r.ctx, args...); err != nil {
			t.Fatal(out, err)
		}
	}
	r.want(dataMap("one", "1"), dataMap("two", "2"))
	r.eventually(func() bool { return r.engine.Preflight(r.ctx, r.plan()) == nil })
	r.deliver()
	var forged strings.Builder
	for i := range 15 {
		fmt.Fprintf(&forged, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: forged-%d, namespace: engine-flooder, labels: {%s: %s}}\n---\n", i, engine.OwnerLabel, r.target.Owner)
	}
	if out, err := onStage(t).KubectlInput(r.ctx, forged.String(), "apply", "--server-side", "--field-manager", engine.FieldManager, "-f", "-"); err != nil {
		t.Fatal(out, err)
	}
	r.eventually(func() bool { return len(r.actions(engine.Keep)) == 15 })
	if p := r.plan(); p.Confirm != nil {
		t.Errorf("somebody is asked: %s", p.Confirm.Reason)
	}
}

// TestEngineRecreatesDrift: what someone put in the place of a deleted object, and
// cannot be changed, is created again where the release allows it.
func TestEngineRecreatesDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-recreates")
	sealed := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sealed%s}\nimmutable: true\ndata: {x: %s}\n"
	r.want(fmt.Sprintf(sealed, ", annotations: {sealift.dev/recreate: enabled}", "ours"))
	r.deliver()
	r.settle()
	if err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Delete(r.ctx, "sealed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Create(r.ctx, object(t, fmt.Sprintf(sealed, "", "theirs")), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.eventually(func() bool { return len(r.actions(engine.Heal)) == 1 })
	r.eventually(func() bool {
		p := r.plan()
		if err := r.engine.Preflight(r.ctx, p); err != nil {
			t.Fatal(err)
		}
		_, err := r.engine.Apply(r.ctx, p)
		return err == nil
	})
	live, err := r.cluster.Resource(core("configmaps")).Namespace(r.namespace).Get(r.ctx, "sealed", metav1.GetOptions{})
	if err != nil || fmt.Sprint(live.Object["data"]) != "map[x:ours]" {
		t.Errorf("it is %v, %v", live, err)
	}
}

// TestEngineHookSparesVolumes: a hook that holds data is not deleted before it runs again.
func TestEngineHookSparesVolumes(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-volumes")
	r.target.Release, r.target.Attempt = "sha256:1", "a"
	r.want("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, annotations: {argocd.argoproj.io/hook: PreSync, argocd.argoproj.io/hook-delete-policy: HookSucceeded}}\n" +
		"spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}\n")
	claims := core("persistentvolumeclaims")
	uid := func() string {
		live, err := r.cluster.Resource(claims).Namespace(r.namespace).Get(r.ctx, "data", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return string(live.GetUID())
	}
	r.deliver()
	first := uid()
	r.target.Release, r.target.Attempt = "sha256:2", "b"
	r.eventually(func() bool { return len(r.actions(engine.Run)) == 1 })
	r.deliver()
	if uid() != first {
		t.Error("the claim was deleted, and created again")
	}
	bound := `{"status":{"phase":"Bound"}}`
	r.patch(claims, "data", "application/merge-patch+json", bound, "binder", "status")
	r.target.Settled = true
	r.settle()
	r.deliver()
	if uid() != first || len(r.actions(engine.Prune)) > 0 {
		t.Error("the claim is deleted as a hook that is over")
	}
}

// TestEngineRefusesStranded: what comes before the Namespace or the definition that
// the release brings for it is refused before the first write.
func TestEngineRefusesStranded(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-stranded")
	ns := "apiVersion: v1\nkind: Namespace\nmetadata: {name: engine-strands}"
	for _, annotation := range []string{`sealift.dev/wave: "-1"`, "sealift.dev/hook: PreSync"} {
		r.want(ns, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: engine-strands, annotations: {"+annotation+"}}")
		if _, err := r.engine.Plan(r.ctx, r.target); !errors.Is(err, engine.ErrInvalidTarget) || !strings.Contains(err.Error(), "before Namespace engine-strands") {
			t.Errorf("%s: %v", annotation, err)
		}
	}
	if r.exists(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "engine-strands") {
		t.Error("something was written")
	}
}

// TestEngineForgedLabelsArePaced: who labels his own objects as another's costs that
// one few passes, however often he changes them; its own news come at once.
func TestEngineForgedLabelsArePaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, "engine-paced")
	if out, err := onStage(t).Kubectl(r.ctx, "create", "namespace", "engine-pacer"); err != nil {
		t.Fatal(out, err)
	}
	r.want(dataMap("one", "1"))
	r.deliver()
	r.settle()
	forged := r.cluster.Resource(core("configmaps")).Namespace("engine-pacer")
	forge := func(i int, manager string) {
		t.Helper()
		force := true
		content := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"by-%s","labels":{%q:%q}},"data":{"i":"%d"}}`, manager, engine.OwnerLabel, r.target.Owner, i)
		_, err := forged.Patch(r.ctx, "by-"+manager, types.ApplyPatchType, []byte(content), metav1.PatchOptions{FieldManager: manager, Force: &force})
		must(t, err)
	}
	before := r.told.Load()
	forge(1, "person")
	forge(1, engine.FieldManager)
	r.eventually(func() bool { return len(r.actions(engine.Prune)) == 1 }) // which shows that the first was seen, too
	r.eventually(func() bool { return r.told.Load() > before })
	if told := r.told.Load() - before; told != 1 {
		t.Errorf("told %d times of one entry in our name", told)
	}
	start, before := time.Now(), r.told.Load()
	for i := range 60 {
		forge(i+2, engine.FieldManager)
	}
	allowed := 5 + int64(time.Since(start)/(10*time.Second)) + 1
	if told := r.told.Load() - before; told > allowed {
		t.Errorf("told %d times of 60 changes, want %d at most", told, allowed)
	}
	before = r.told.Load()
	r.patch(core("configmaps"), "one", types.MergePatchType, `{"data":{"key":"by hand"}}`, "thief")
	r.eventually(func() bool { return r.told.Load() > before && len(r.actions(engine.Heal)) == 1 })
}
