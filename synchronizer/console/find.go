package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

const (
	// parallel is how many lists are read at a time.
	parallel = 8
	// maxListed bounds the objects read of one kind.
	maxListed = 20_000
)

// errEnough ends a list that is longer than anybody wants to see.
var errEnough = errors.New("there are more objects than are looked at")

// search is what to look for, and what was in its way.
type search struct {
	client *Client
	// selector of ownership labels, and the namespace in which a person looks who may
	// not look everywhere.
	selector, namespace string

	mu       sync.Mutex
	problems []string
}

func (s *search) problem(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if said := fmt.Sprintf(format, args...); !slices.Contains(s.problems, said) {
		s.problems = append(s.problems, said)
	}
}

// owned calls each, one at a time, for every object of the kinds that belongs to an
// owner: the synchronizer's own apply entry holds its label.
func (s *search) owned(ctx context.Context, kinds []v1alpha1.Kind, each func(engine.Owner, *unstructured.Unstructured)) error {
	return s.sideBySide(len(kinds), func(i int) error {
		gk := schema.GroupKind{Group: kinds[i].Group, Kind: kinds[i].Kind}
		mapping, err := s.client.mapper.RESTMapping(gk)
		if meta.IsNoMatchError(err) {
			s.problem("%s: the cluster does not know this kind any more", gk)
			return nil
		}
		if err != nil {
			return fmt.Errorf("finding %s: %w", gk, err)
		}
		resource := s.client.objects.Resource(mapping.Resource)
		return s.list(ctx, resource, "", gk.String(), metav1.ListOptions{LabelSelector: s.selector}, mapping.Scope.Name() == meta.RESTScopeNameNamespace, func(u *unstructured.Unstructured) {
			if owner := engine.OwnerIn(u); owner != "" {
				each(owner, u)
			}
		})
	})
}

// heirKinds are the kinds that are made by what a release holds, parents first.
func heirKinds() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Group: "batch", Version: "v1", Resource: "jobs"},
		{Group: "apps", Version: "v1", Resource: "replicasets"},
		{Version: "v1", Resource: "pods"},
	}
}

// heirs calls each, one at a time, for the Jobs, ReplicaSets and Pods of the
// namespaces, parents before their children.
func (s *search) heirs(ctx context.Context, namespaces []string, each func(*unstructured.Unstructured)) error {
	for _, gvr := range heirKinds() {
		err := s.sideBySide(len(namespaces), func(i int) error {
			return s.list(ctx, s.client.objects.Resource(gvr), namespaces[i], gvr.Resource, metav1.ListOptions{}, false, each)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list reads one list. A kind that the person may not read in the whole cluster is
// read in their namespace; one that they may not read at all is a problem, and no error.
func (s *search) list(ctx context.Context, from dynamic.NamespaceableResourceInterface, namespace, what string, o metav1.ListOptions, narrows bool, each func(*unstructured.Unstructured)) error {
	o.Limit = pageSize
	seen := 0
	_, err := paged(ctx, from.Namespace(namespace), o, func(u *unstructured.Unstructured) error {
		if seen++; seen > maxListed {
			return errEnough
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		each(u)
		return nil
	})
	switch {
	case apierrors.IsForbidden(err) && narrows && namespace == "" && s.namespace != "":
		s.problem("%s: looked for in namespace %s only: you may not list them elsewhere", what, s.namespace)
		return s.list(ctx, from, s.namespace, what, o, false, each)
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		s.problem("%s: %v", what, err)
		return nil
	case errors.Is(err, errEnough):
		s.problem("%s: %v; hint: name one Delivery", what, err)
		return nil
	case err != nil:
		return fmt.Errorf("listing %s: %w", what, err)
	}
	return nil
}

// sideBySide calls f for each number below n, a few at a time.
func (s *search) sideBySide(n int, f func(int) error) error {
	errs := make([]error, n)
	tokens := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i := range n {
		tokens <- struct{}{}
		all.Go(func() {
			errs[i] = f(i)
			<-tokens
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// parentOf is the UID of the controller of an object, or of what owns it otherwise.
func parentOf(o metav1.Object) types.UID {
	if c := metav1.GetControllerOf(o); c != nil {
		return c.UID
	}
	if owners := o.GetOwnerReferences(); len(owners) > 0 {
		return owners[0].UID
	}
	return ""
}

// Owned is an object in the cluster that belongs to an owner.
type Owned struct {
	engine.ObjectRef
	gvr schema.GroupVersionResource
	uid types.UID
}

// Owned finds the objects of some kinds that belong to an owner, in the order in which
// they are to be deleted. Kinds that the cluster does not know have none.
func (c *Client) Owned(ctx context.Context, owner engine.Owner, kinds []schema.GroupKind) ([]Owned, error) {
	s := &search{client: c, selector: engine.OwnerLabel + "=" + string(owner)}
	var wanted []v1alpha1.Kind
	for _, gk := range kinds {
		wanted = append(wanted, v1alpha1.Kind{Group: gk.Group, Kind: gk.Kind})
	}
	found := []Owned{}
	err := s.owned(ctx, wanted, func(_ engine.Owner, u *unstructured.Unstructured) {
		gk := u.GroupVersionKind().GroupKind()
		o := Owned{ObjectRef: engine.ObjectRef{Group: gk.Group, Kind: gk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}, uid: u.GetUID()}
		found = append(found, o)
	})
	if err != nil {
		return nil, err
	}
	for i, o := range found {
		mapping, err := c.mapper.RESTMapping(o.GroupKind())
		if err != nil {
			return nil, fmt.Errorf("finding %s: %w", o.GroupKind(), err)
		}
		found[i].gvr = mapping.Resource
	}
	slices.SortFunc(found, func(a, b Owned) int {
		return cmp.Or(cmp.Compare(engine.Place(b.GroupKind()), engine.Place(a.GroupKind())), cmp.Compare(a.String(), b.String()))
	})
	return found, nil
}

// Delete deletes an object that was found, and no other of its name.
func (c *Client) Delete(ctx context.Context, o Owned) error {
	background := metav1.DeletePropagationBackground
	err := c.metadata.Resource(o.gvr).Namespace(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &o.uid}, PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", o.ObjectRef, err)
	}
	return nil
}

// TrustPolicies are the names of all TrustPolicies.
func (c *Client) TrustPolicies(ctx context.Context) ([]string, error) {
	var names []string
	_, err := paged(ctx, c.objects.Resource(resourceOf("trustpolicies")), metav1.ListOptions{Limit: pageSize}, func(u *unstructured.Unstructured) error {
		names = append(names, u.GetName())
		return nil
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading trust policies: %w", err)
	}
	return names, nil
}
