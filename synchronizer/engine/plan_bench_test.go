package engine

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/restmapper"
)

// fixed knows its kinds without asking a cluster.
type fixed struct{ meta.RESTMapper }

func (fixed) Reset() {}

// offered says of Deployments that all may be done with them.
type offered struct {
	discovery.CachedDiscoveryInterface
}

func (offered) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "deployments", Verbs: metav1.Verbs{"list", "watch", "patch", "delete"}}}}, nil
}

// BenchmarkPlanUnchanged is what a pass costs that finds 5,000 objects as they were applied.
func BenchmarkPlanUnchanged(b *testing.B) {
	const count = 5000
	t := Target{Owner: me, Namespace: "shop", Correct: true, Prune: true}
	var wanted []*unstructured.Unstructured
	for i := range count {
		wanted = append(wanted, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": fmt.Sprint("web-", i), "labels": map[string]any{"app": "web"}},
			"spec": map[string]any{"replicas": int64(2), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
				"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": map[string]any{"containers": []any{
					map[string]any{"name": "web", "image": "example.com/web:1", "args": []any{"--listen=:8080"}}}}}},
		}})
	}
	set, err := NewSet(wanted)
	if err != nil {
		b.Fatal(err)
	}
	t.Objects = set
	groups := []*restmapper.APIGroupResources{{
		Group:              metav1.APIGroup{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{{GroupVersion: "apps/v1", Version: "v1"}}, PreferredVersion: metav1.GroupVersionForDiscovery{Version: "v1"}},
		VersionedResources: map[string][]metav1.APIResource{"v1": {{Name: "deployments", Kind: "Deployment", Namespaced: true}}},
	}}
	tr := newTracker(func(Owner) {})
	e := &Engine{kinds: &kinds{discovery: offered{}, mapper: fixed{restmapper.NewDiscoveryRESTMapper(groups)}}, tracker: tr, prepared: map[Owner]*prepared{}}
	items, err := e.kinds.lookup(t.Objects).resolve(b.Context(), t)
	if err != nil {
		b.Fatal(err)
	}
	for i, it := range items {
		s, err := newStep(it, t)
		if err != nil {
			b.Fatal(err)
		}
		tr.begin(it.ref, me)
		m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: it.ref.Name, UID: "u", ResourceVersion: fmt.Sprint(i + 1), Labels: map[string]string{OwnerLabel: string(me)}}}
		tr.settle(it.ref, me, s.wanted, m)
	}
	b.ReportAllocs()
	for b.Loop() {
		items, err := e.items(b.Context(), e.kinds.lookup(t.Objects), t)
		if err != nil {
			b.Fatal(err)
		}
		calm, records := tr.calm(t, items)
		p, err := draft(t, items, calm, records, time.Now())
		if err != nil || p.Count(Unchanged) != count {
			b.Fatal(err, p.Count(Unchanged))
		}
	}
}
