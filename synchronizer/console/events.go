package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// Event is a Kubernetes Event of a Delivery, of an object of it, or of what that made.
type Event struct {
	// Time is when it was last seen, Count how often.
	Time  time.Time `json:"time"`
	Count int       `json:"count"`
	// Type is Normal or Warning.
	Type   string `json:"type"`
	Reason string `json:"reason"`
	// The object that it is about.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Message   string `json:"message"`
}

// Journal is what was found, and where Watch begins.
type Journal struct {
	Events []Event
	// Problems are what could not be looked at.
	Problems []string

	version string
	family  *family
}

// maxEvents bounds the Events that are read from a namespace or the cluster.
const maxEvents = 50_000

// Events reads the Events of one Delivery, or of all where name is empty, in a
// namespace or in all, the newest last. No types are all types.
func (c *Client) Events(ctx context.Context, namespace, name string, kinds []string) (*Journal, error) {
	f, problems, err := c.family(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	j := &Journal{family: f}
	count := 0
	j.version, err = paged(ctx, c.events(f.place(namespace, name)), metav1.ListOptions{Limit: pageSize}, func(u *unstructured.Unstructured) error {
		if count++; count > maxEvents {
			return errEnough
		}
		e, of, err := eventOf(u)
		if err == nil && f.knows(of) && (len(kinds) == 0 || slices.Contains(kinds, e.Type)) {
			j.Events = append(j.Events, e)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	slices.SortStableFunc(j.Events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Name, b.Name))
	})
	j.Problems = problems
	return j, nil
}

// WatchEvents calls each for every Event after those of the journal, until ctx ends
// or each fails.
func (c *Client) WatchEvents(ctx context.Context, namespace, name string, kinds []string, j *Journal, each func(Event) error) error {
	return follow(ctx, c.events(j.family.place(namespace, name)), metav1.ListOptions{Limit: pageSize}, j.version, func(w watch.Event, u *unstructured.Unstructured) error {
		e, of, err := eventOf(u)
		if err != nil || w.Type == watch.Deleted || len(kinds) > 0 && !slices.Contains(kinds, e.Type) || !c.belongs(ctx, j.family, of) {
			return err
		}
		return each(e)
	})
}

func (c *Client) events(namespace string) dynamic.ResourceInterface {
	return c.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "events"}).Namespace(namespace)
}

// family are the Deliveries that are meant, their objects, and what those made.
type family struct {
	members map[types.UID]bool // false: looked at, and a stranger
	owners  map[engine.Owner]bool
	every   bool // all owners are meant
	places  map[string]bool
}

func (f *family) knows(of corev1.ObjectReference) bool { return f.members[of.UID] }

// place is the one namespace in which all Events are; or all.
func (f *family) place(namespace, name string) string {
	if places := sorted(f.places); len(places) == 1 && (name != "" || namespace != "") {
		return places[0]
	}
	return ""
}

func (c *Client) family(ctx context.Context, namespace, name string) (*family, []string, error) {
	q := Query{Namespace: namespace}
	if name != "" {
		q.Names = []string{name}
	}
	found, _, err := c.List(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	f := &family{members: map[types.UID]bool{}, owners: map[engine.Owner]bool{}, places: map[string]bool{}, every: namespace == "" && name == ""}
	s := &search{client: c, selector: engine.OwnerLabel, namespace: namespace}
	var kinds []v1alpha1.Kind
	for _, d := range found {
		f.members[d.Document.GetUID()], f.places[d.Namespace] = true, true
		owner := engine.OwnerOf(d.Namespace, d.Name)
		f.owners[owner] = true
		if name != "" {
			s.selector = engine.OwnerLabel + "=" + string(owner)
		}
		whole, err := decode(d.Document)
		if err != nil {
			return nil, nil, err
		}
		for _, kind := range whole.Status.Kinds {
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	err = s.owned(ctx, kinds, func(owner engine.Owner, u *unstructured.Unstructured) {
		if f.owners[owner] {
			f.members[u.GetUID()] = true
			f.places[cmp.Or(u.GetNamespace(), metav1.NamespaceDefault)] = true // where Events about cluster-scoped objects are
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if err := s.heirs(ctx, sorted(f.places), func(u *unstructured.Unstructured) {
		if f.members[parentOf(u)] {
			f.members[u.GetUID()] = true
		}
	}); err != nil {
		return nil, nil, err
	}
	return f, s.problems, nil
}

// belongs also looks at objects that came later, each once.
func (c *Client) belongs(ctx context.Context, f *family, of corev1.ObjectReference) bool {
	const most = 100_000 // objects that are remembered
	known, seen := f.members[of.UID]
	if seen {
		return known
	}
	if len(f.members) > most {
		return false
	}
	f.members[of.UID] = c.related(ctx, f, of.GroupVersionKind().GroupKind(), of.Namespace, of.Name, 4)
	return f.members[of.UID]
}

// related reads an object, and what owns it, up to some generations.
func (c *Client) related(ctx context.Context, f *family, gk schema.GroupKind, namespace, name string, generations int) bool {
	if gk.Group == v1alpha1.GroupVersion.Group && gk.Kind == "Delivery" {
		return f.every || f.owners[engine.OwnerOf(namespace, name)]
	}
	mapping, err := c.mapper.RESTMapping(gk)
	if err != nil || generations == 0 {
		return false
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	o, err := c.metadata.Resource(mapping.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false
	}
	if owner := engine.OwnerIn(o); owner != "" {
		return f.every || f.owners[owner]
	}
	parent := metav1.GetControllerOf(o)
	if parent == nil {
		return false
	}
	group, err := schema.ParseGroupVersion(parent.APIVersion)
	return err == nil && c.related(ctx, f, schema.GroupKind{Group: group.Group, Kind: parent.Kind}, namespace, parent.Name, generations-1)
}

func eventOf(u *unstructured.Unstructured) (Event, corev1.ObjectReference, error) {
	var e corev1.Event
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &e); err != nil {
		return Event{}, corev1.ObjectReference{}, fmt.Errorf("reading event %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	of := e.InvolvedObject
	seen := Event{Time: e.CreationTimestamp.Time, Count: max(1, int(e.Count)), Type: e.Type, Reason: e.Reason,
		Kind: of.Kind, Namespace: of.Namespace, Name: of.Name, Message: e.Message}
	for _, t := range []time.Time{e.FirstTimestamp.Time, e.EventTime.Time, e.LastTimestamp.Time} {
		if t.After(seen.Time) {
			seen.Time = t
		}
	}
	if e.Series != nil {
		seen.Count = max(seen.Count, int(e.Series.Count))
		if e.Series.LastObservedTime.After(seen.Time) {
			seen.Time = e.Series.LastObservedTime.Time
		}
	}
	return seen, of, nil
}
