package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/synchronizer/engine"
)

// peer is a tool that deployed before, and how it leaves objects.
type peer struct {
	name  string
	apply []string          // arguments of kubectl that write as the tool does
	marks map[string]string // what it adds to the metadata, as YAML
}

func peers() []peer {
	helms := map[string]string{"labels": "{app.kubernetes.io/managed-by: Helm}", "annotations": "{meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop}"}
	return []peer{
		{"kubectl", []string{"apply"}, nil},
		{"kubectl-ssa", []string{"apply", "--server-side"}, nil},
		{"flux", []string{"apply", "--server-side", "--field-manager=kustomize-controller"},
			map[string]string{"labels": "{kustomize.toolkit.fluxcd.io/name: shop, kustomize.toolkit.fluxcd.io/namespace: flux-system}"}},
		{"argo", []string{"apply", "--field-manager=argocd-controller"},
			map[string]string{"labels": "{app.kubernetes.io/instance: shop}", "annotations": "{argocd.argoproj.io/tracking-id: 'shop:apps/Deployment:shop/web'}"}},
		{"argo-ssa", []string{"apply", "--server-side", "--field-manager=argocd-controller"},
			map[string]string{"annotations": "{argocd.argoproj.io/tracking-id: 'shop:apps/Deployment:shop/web'}"}},
		{"helm3", []string{"create", "--field-manager=helm"}, helms},
		{"helm4", []string{"apply", "--server-side", "--field-manager=helm"}, helms},
	}
}

// before are the objects of the tool; those of the release have no marks.
func (p peer) objects(marked bool) string {
	web := strings.Replace(deployment("web-"+p.name, 2, "example.com/web:1"), "spec:\n", "spec:\n  minReadySeconds: 1\n", 1)
	config := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a-%s}\ndata: {value: '1', dropped: 'yes'}\n", p.name)
	all := web + "---\n" + config
	if marked {
		more := ""
		for key, value := range p.marks {
			more += ", " + key + ": " + value
		}
		all = strings.ReplaceAll(all, "-"+p.name+"}\n", "-"+p.name+more+"}\n")
		all = strings.ReplaceAll(all, "matchLabels: {app: web-"+p.name+more+"}", "matchLabels: {app: web-"+p.name+"}")
		all = strings.ReplaceAll(all, "metadata: {labels: {app: web-"+p.name+more+"}", "metadata: {labels: {app: web-"+p.name+"}")
	}
	return all
}

// managed is an object with what tells whether its pods were replaced.
type managed struct {
	Metadata struct {
		Name, UID           string
		Labels, Annotations map[string]string
		ManagedFields       []metav1.ManagedFieldsEntry
	}
	Spec json.RawMessage
}

func (w *world) managed(kind, name string) managed {
	w.t.Helper()
	var m managed
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", kind, name, "-n", w.name, "-o", "json", "--show-managed-fields")), &m))
	return m
}

// pods names the ReplicaSets and pods of all deployments, with their ages' beginnings.
func (w *world) pods() string {
	w.t.Helper()
	return w.kubectl("get", "replicasets,pods", "-n", w.name, "--sort-by=.metadata.name", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.metadata.creationTimestamp}{"\n"}{end}`)
}

// TestMigrateFromPeers delivers what kubectl, Flux, Argo CD or Helm deployed before: no pod is
// restarted, all fields and only they become Sealift's, the tools' marks go, and what the next
// release drops disappears.
func TestMigrateFromPeers(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	files := map[string]string{}
	for _, p := range peers() {
		w.kubectl(append(slices.Clone(p.apply), "-n", w.name, "-f", w.file(p.name+".yaml", p.objects(true)))...)
		files["deploy/"+p.name+".yaml"] = p.objects(false)
	}
	for _, p := range peers() {
		w.kubectl("rollout", "status", "deployment", "web-"+p.name, "-n", w.name, "--timeout=60s")
	}
	pods, before := w.pods(), map[string]managed{}
	for _, p := range peers() {
		before[p.name] = w.managed("deployment", "web-"+p.name)
	}
	release := w.publish(files)
	w.deliver(w.source("tag: main", ""))
	w.equals(release)
	for _, p := range peers() {
		web := w.managed("deployment", "web-"+p.name)
		// Its generation grows where an annotation goes, and means nothing.
		if was := before[p.name]; web.Metadata.UID != was.Metadata.UID || string(web.Spec) != string(was.Spec) {
			t.Errorf("%s: the Deployment was changed: %s, before %s", p.name, web.Spec, was.Spec)
		}
		for _, object := range []managed{web, w.managed("configmap", "a-"+p.name)} {
			w.onlyOurs(p, object)
		}
	}
	if now := w.pods(); now != pods {
		t.Errorf("pods were replaced:\n%s\nbefore:\n%s", now, pods)
	}
	for path, content := range files {
		content = strings.Replace(content, ", dropped: 'yes'", "", 1)
		files[path] = strings.Replace(content, "  minReadySeconds: 1\n", "", 1)
	}
	w.equals(w.publish(files))
	left := w.kubectl("get", "configmaps,deployments", "-n", w.name, "-o", "jsonpath={.items[*].data.dropped}{.items[*].spec.minReadySeconds}")
	if strings.TrimSpace(left) != "" {
		t.Errorf("what the release dropped is left: %s", left)
	}
	if now := w.pods(); now != pods {
		t.Errorf("pods were replaced:\n%s\nbefore:\n%s", now, pods)
	}
}

// onlyOurs sees that no other tool has fields or marks of an object.
func (w *world) onlyOurs(p peer, m managed) {
	w.t.Helper()
	for _, f := range m.Metadata.ManagedFields {
		if f.Manager != engine.FieldManager && f.Subresource == "" {
			w.t.Errorf("%s: %s has fields of %s: %s", p.name, f.Manager, m.Metadata.Name, f.FieldsV1.GetRawBytes())
		}
	}
	for name := range m.Metadata.Labels {
		if name != engine.OwnerLabel {
			w.t.Errorf("%s: %s has the label %s", p.name, m.Metadata.Name, name)
		}
	}
	for name := range m.Metadata.Annotations {
		if !strings.HasPrefix(name, "deployment.kubernetes.io/") {
			w.t.Errorf("%s: %s has the annotation %s", p.name, m.Metadata.Name, name)
		}
	}
}
