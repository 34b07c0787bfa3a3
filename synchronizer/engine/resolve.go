package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
)

// resource is how the API server serves a kind.
type resource struct {
	gvr        schema.GroupVersionResource
	namespaced bool
	// definition names the CustomResourceDefinition of the same set that serves
	// it; empty when the cluster serves it already.
	definition string
}

// item is one wanted object with its identity settled.
type item struct {
	ref      ObjectRef
	resource resource
	manifest *manifest
	asks     *directives
	given    []pointer // fields that are left to others
	course   course
	wanted   digest // of the whole apply request; zero: not encoded so far
}

// kinds answers from cached discovery.
type kinds struct {
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper
	// served changes whenever the cluster is asked anew for its kinds.
	served atomic.Uint64
}

// reset has the cluster asked anew for its kinds.
func (k *kinds) reset() {
	k.served.Add(1)
	k.mapper.Reset()
}

func newKinds(client discovery.DiscoveryInterface) *kinds {
	cached := memory.NewMemCacheClient(client)
	return &kinds{discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}
}

// lookup is the kinds as one plan sees them: what the cluster serves, and what
// the definitions in the set will make it serve. It asks the cluster anew at
// most once.
type lookup struct {
	kinds       *kinds
	definitions map[schema.GroupKind]definition
	refreshed   bool
	// lacking are the verbs without which kinds that were looked at cannot be kept.
	lacking map[schema.GroupVersionResource][]string
}

// definition is what matters of a CustomResourceDefinition in the set.
type definition struct {
	name, plural string
	namespaced   bool
	versions     []string
}

func (k *kinds) lookup(objects *Set) *lookup {
	l := &lookup{kinds: k, lacking: map[schema.GroupVersionResource][]string{}}
	if objects != nil {
		l.definitions = objects.definitions
	}
	return l
}

func isDefinition(gk schema.GroupKind) bool {
	return gk.Group == "apiextensions.k8s.io" && gk.Kind == "CustomResourceDefinition"
}

func readDefinition(o *unstructured.Unstructured) (schema.GroupKind, definition) {
	text := func(path ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, path...)
		return s
	}
	d := definition{name: o.GetName(), plural: text("spec", "names", "plural"), namespaced: text("spec", "scope") == "Namespaced"}
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		if m, ok := v.(map[string]any); ok && m["served"] == true {
			name, _ := m["name"].(string)
			d.versions = append(d.versions, name)
		}
	}
	return schema.GroupKind{Group: text("spec", "group"), Kind: text("spec", "names", "kind")}, d
}

// find says how a kind is served; versions may be empty. A NoMatch error means
// that neither the cluster nor the set knows it.
func (l *lookup) find(gk schema.GroupKind, versions ...string) (resource, error) {
	mapping, err := l.kinds.mapper.RESTMapping(gk, versions...)
	if meta.IsNoMatchError(err) && !l.refreshed {
		l.refreshed = true
		l.kinds.reset()
		mapping, err = l.kinds.mapper.RESTMapping(gk, versions...)
	}
	if err == nil {
		return resource{gvr: mapping.Resource, namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace}, nil
	}
	if !meta.IsNoMatchError(err) {
		return resource{}, fmt.Errorf("asking the cluster for its kinds: %w", err)
	}
	d, ok := l.definitions[gk]
	if !ok || len(d.versions) == 0 || len(versions) == 1 && !slices.Contains(d.versions, versions[0]) {
		return resource{}, err
	}
	version := d.versions[0]
	if len(versions) == 1 {
		version = versions[0]
	}
	return resource{
		gvr:        schema.GroupVersionResource{Group: gk.Group, Version: version, Resource: d.plural},
		namespaced: d.namespaced,
		definition: d.name,
	}, nil
}

// keepable refuses a kind of which the API server shows no changes, or lets no object
// be changed or deleted: reviews that are answered and forgotten, views of other
// objects. Such objects have no managedFields to hold a claim either.
func (l *lookup) keepable(r resource) error {
	if r.definition != "" {
		return nil
	}
	lacking, known := l.lacking[r.gvr]
	if !known {
		list, err := l.kinds.discovery.ServerResourcesForGroupVersion(r.gvr.GroupVersion().String())
		if err != nil {
			return fmt.Errorf("asking the cluster for its kinds: %w", err)
		}
		for _, one := range list.APIResources {
			if one.Name == r.gvr.Resource {
				lacking = slices.DeleteFunc([]string{"list", "watch", "patch", "delete"}, func(verb string) bool { return slices.Contains(one.Verbs, verb) })
			}
		}
		l.lacking[r.gvr] = lacking
	}
	if len(lacking) > 0 {
		return fmt.Errorf("%w: the API server does not offer to %s %s; hint: take it out of the release, or annotate it %s: \"true\"",
			ErrUnsupportedKind, strings.Join(lacking, ", "), r.gvr.GroupResource(), localConfig)
	}
	return nil
}

// vanished says that the cluster certainly serves gk no longer. A group whose
// server is down for now has not vanished.
func (l *lookup) vanished(gk schema.GroupKind) bool {
	_, lists, err := l.kinds.discovery.ServerGroupsAndResources()
	down, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return false
	}
	for gv := range down {
		if gv.Group == gk.Group {
			return false
		}
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		served := func(r metav1.APIResource) bool { return r.Kind == gk.Kind }
		if err != nil || gv.Group == gk.Group && slices.ContainsFunc(list.APIResources, served) {
			return false
		}
	}
	return true
}

// inventory adds the kinds that are served to need, and returns all but those
// that have vanished.
func (l *lookup) inventory(kinds []schema.GroupKind, need map[schema.GroupKind]schema.GroupVersionResource) ([]schema.GroupKind, error) {
	var inventory []schema.GroupKind
	for _, gk := range kinds {
		r, err := l.find(gk)
		switch {
		case err == nil && r.definition == "":
			inventory = append(inventory, gk)
			if _, twice := need[gk]; !twice {
				need[gk] = r.gvr
			}
		case err == nil, meta.IsNoMatchError(err) && !l.vanished(gk):
			inventory = append(inventory, gk)
		case !meta.IsNoMatchError(err):
			return nil, err
		}
	}
	return inventory, nil
}

// resolve settles the identity of every wanted object, in the order given.
func (l *lookup) resolve(ctx context.Context, t Target) ([]item, error) {
	items := make([]item, 0, t.Objects.Len())
	seen := make(map[ObjectRef]struct{}, t.Objects.Len())
	for i := range t.Objects.all() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := &t.Objects.manifests[i]
		asks := asks(m.asks)
		if asks.local != "" {
			continue
		}
		it, err := l.item(m, t.Namespace)
		if (errors.Is(err, ErrUnknownKind) || errors.Is(err, ErrUnsupportedKind)) && asks.untouched() != "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, twice := seen[it.ref]; twice {
			return nil, fmt.Errorf("%s is there twice: %w", it.ref, ErrInvalidTarget)
		}
		seen[it.ref] = struct{}{}
		items = append(items, it)
	}
	return items, nil
}

func (l *lookup) item(m *manifest, namespace string) (item, error) {
	gvk := m.kind
	ref := ObjectRef{Group: gvk.Group, Kind: gvk.Kind, Namespace: m.namespace, Name: m.name}
	if gvk.Kind == "" || gvk.Version == "" || ref.Name == "" {
		return item{}, fmt.Errorf("object %q without kind, apiVersion or name: %w", ref, ErrInvalidTarget)
	}
	r, err := l.find(gvk.GroupKind(), gvk.Version)
	switch {
	case meta.IsNoMatchError(err):
		return item{}, fmt.Errorf("%s (%s): %w; hint: install its CustomResourceDefinition, or deliver it in the same release; kubectl api-resources lists what is served",
			ref, gvk.GroupVersion(), ErrUnknownKind)
	case err != nil:
		return item{}, err
	}
	if err := l.keepable(r); err != nil {
		return item{}, fmt.Errorf("%s: %w", ref, err)
	}
	switch {
	case !r.namespaced:
		// As with kubectl, a namespace on a cluster-scoped object means nothing.
		ref.Namespace = ""
	case ref.Namespace == "":
		ref.Namespace = shared(namespace)
	}
	if r.namespaced && ref.Namespace == "" {
		return item{}, fmt.Errorf("%s is namespaced and names no namespace: %w", ref, ErrInvalidTarget)
	}
	if m.wrong != nil {
		return item{}, fmt.Errorf("%s: %w", ref, m.wrong)
	}
	it := item{ref: ref, resource: r, manifest: m, asks: m.asks}
	if m.way != nil {
		it.course = *m.way
	}
	return it, nil
}
