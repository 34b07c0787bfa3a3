package fleet

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// patience bounds the wait for a fleet.
const patience = 15 * time.Minute

func deliveries() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "sealift.dev", Version: "v1alpha1", Resource: "deliveries"}
}

// create makes the Deliveries of all applications.
func (s *site) create(ctx context.Context, f *fleet) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, a := range f.apps {
		group.Go(func() error {
			_, err := s.client.Resource(deliveries()).Namespace(namespace).Create(ctx, f.delivery(a), metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}

// request asks for a pass of every Delivery now.
func (s *site) request(ctx context.Context, f *fleet) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"sealift.dev/requestedAt":%q}}}`, time.Now().Format(time.RFC3339Nano))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, a := range f.apps {
		group.Go(func() error {
			_, err := s.client.Resource(deliveries()).Namespace(namespace).Patch(ctx, a.name, types.MergePatchType, patch, metav1.PatchOptions{})
			return err
		})
	}
	return group.Wait()
}

// ready waits until every application that can become healthy is Ready with its newest release.
func (s *site) ready(ctx context.Context, f *fleet) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	awaited := map[string]string{}
	for _, a := range f.apps {
		if !a.hopeless {
			awaited[a.name] = a.digest
		}
	}
	for len(awaited) > 0 {
		w, err := s.client.Resource(deliveries()).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("watching Deliveries: %w", err)
		}
		for open := true; open && len(awaited) > 0; {
			select {
			case <-ctx.Done():
				w.Stop()
				return fmt.Errorf("waiting for %d Deliveries: %w; one of them: %s", len(awaited), ctx.Err(), s.explain(awaited))
			case event, more := <-w.ResultChan():
				open = more
				if d, ok := event.Object.(*unstructured.Unstructured); ok && more && isReady(d, awaited[d.GetName()]) {
					delete(awaited, d.GetName())
				}
			}
		}
		w.Stop()
	}
	return nil
}

func isReady(d *unstructured.Unstructured, digest string) bool {
	applied, _, _ := unstructured.NestedString(d.Object, "status", "applied", "digest")
	if digest == "" || applied != digest {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Ready" {
			return m["status"] == "True" && m["observedGeneration"] == d.GetGeneration()
		}
	}
	return false
}

// explain is the condition of one of the Deliveries that are not ready.
func (s *site) explain(awaited map[string]string) string {
	for name := range awaited {
		d, err := s.client.Resource(deliveries()).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
		return fmt.Sprint(name, ": ", conditions)
	}
	return ""
}
