package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// resources is how the API server serves the kinds that a fleet has.
func resources(kind string) schema.GroupVersionResource {
	switch kind {
	case "Deployment":
		return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	case "Ingress":
		return schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
	case "ServiceAccount":
		return schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	}
	return schema.GroupVersionResource{Version: "v1", Resource: "services"}
}

// limit is what a bare loop takes, in seconds: sent, until all is answered, and seen,
// until the controller manager has seen each Deployment as well. Before that, none is
// healthy. Until then, cost is what each program took.
type limit struct {
	sent, seen float64
	cost       spent
}

// bareLoop dry-runs and then applies each object, 16 requests at a time: nothing that
// does the same can be faster. It is the same user as Sealift, so that the API server
// does the same work for both.
func (s *site) bareLoop(ctx context.Context, objects []*unstructured.Unstructured) (limit, error) {
	client, err := dynamic.NewForConfig(s.cluster.SealiftConfig())
	if err != nil {
		return limit{}, err
	}
	force := true
	bodies := make([][]byte, len(objects))
	for i, o := range objects {
		if bodies[i], err = json.Marshal(o.Object); err != nil {
			return limit{}, err
		}
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	before, err := s.spent()
	if err != nil {
		return limit{}, err
	}
	begun := time.Now()
	for i, o := range objects {
		group.Go(func() error {
			at := client.Resource(resources(o.GetKind())).Namespace(namespace)
			for _, dry := range [][]string{{metav1.DryRunAll}, nil} {
				options := metav1.PatchOptions{FieldManager: "loop", Force: &force, DryRun: dry}
				if _, err := at.Patch(sending, o.GetName(), types.ApplyPatchType, bodies[i], options); err != nil {
					return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return limit{}, err
	}
	l := limit{sent: time.Since(begun).Seconds()}
	if err := seen(ctx, client); err != nil {
		return limit{}, err
	}
	l.seen = time.Since(begun).Seconds()
	after, err := s.spent()
	l.cost = after.since(before)
	return l, err
}

// seen returns once the controller manager has seen every Deployment as it is.
func seen(ctx context.Context, client dynamic.Interface) error {
	for {
		list, err := client.Resource(resources("Deployment")).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("looking at the Deployments: %w", err)
		}
		unseen := func(o unstructured.Unstructured) bool {
			observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
			return observed < o.GetGeneration()
		}
		if !slices.ContainsFunc(list.Items, unseen) {
			return nil
		}
		time.Sleep(200 * time.Millisecond) // a list of all is work, too
	}
}
