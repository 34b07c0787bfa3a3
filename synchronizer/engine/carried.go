package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/pager"

	"golang.org/x/sync/errgroup"
)

// Carriage is which kinds have objects with an owner's label, whoever put it there.
type Carriage struct {
	kinds map[Owner][]schema.GroupKind
	// unlisted are the kinds that the API server serves and cannot list now: a conversion
	// webhook that is down is enough.
	unlisted []schema.GroupKind
	listed   int
}

// Of are the kinds of which owner has objects, or may have some.
func (c *Carriage) Of(owner Owner) []schema.GroupKind {
	return slices.Concat(c.kinds[owner], c.unlisted)
}

// Carried looks for the objects of all owners: by one list of metadata for each kind that
// the cluster serves. It is for inventories that were lost.
func (e *Engine) Carried(ctx context.Context) (*Carriage, error) {
	lists, err := e.kinds.discovery.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("listing the kinds of the cluster: %w", err)
	}
	var mu sync.Mutex
	found := &Carriage{kinds: map[Owner][]schema.GroupKind{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	var failed error
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "patch", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			group.Go(func() error {
				owners, err := e.carriers(ctx, gv.WithResource(r.Name))
				mu.Lock()
				defer mu.Unlock()
				kind := schema.GroupKind{Group: gv.Group, Kind: r.Kind}
				if isServersFault(err) {
					found.unlisted, failed = append(found.unlisted, kind), err
					return nil
				}
				found.add(kind, owners)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(found.unlisted) > found.listed { // the API server itself is ill
		return nil, failed
	}
	return found, nil
}

func (c *Carriage) add(kind schema.GroupKind, owners []Owner) {
	c.listed++
	for _, owner := range owners {
		c.kinds[owner] = append(c.kinds[owner], kind)
	}
}

// isServersFault says that the API server answered, and that what was asked is in order:
// of a kind that it cannot convert, it says in the end that it has too many requests.
func isServersFault(err error) bool {
	var answer apierrors.APIStatus
	return apierrors.IsTooManyRequests(err) || errors.As(err, &answer) && answer.Status().Code >= http.StatusInternalServerError
}

// carriers are the owners that objects of a resource name.
func (e *Engine) carriers(ctx context.Context, resource schema.GroupVersionResource) ([]Owner, error) {
	var owners []Owner
	_, err := everyOwned(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return e.own.Resource(resource).List(ctx, o)
	}, func(seen runtime.Object) error {
		object, err := meta.Accessor(seen)
		if err != nil {
			return err
		}
		if owner := Owner(object.GetLabels()[OwnerLabel]); !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
		return nil
	})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return owners, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", resource.GroupResource(), err)
	}
	return owners, nil
}

// everyOwned calls each for every object with an owner's label, page by page, and gives
// the version of the last page.
func everyOwned(ctx context.Context, page pager.ListPageFunc, each func(runtime.Object) error) (version string, err error) {
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		list, err := page(ctx, o)
		if err != nil {
			return nil, err
		}
		of, err := meta.ListAccessor(list)
		if err == nil {
			version = of.GetResourceVersion()
		}
		return list, err
	})
	err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: OwnerLabel}, each)
	return version, err
}
