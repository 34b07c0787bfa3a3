package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
)

const (
	// establishTimeout bounds the wait for definitions to be served within a pass.
	establishTimeout = 2 * time.Second
	// lateTries at an endpoint that trails its definition, lateTick apart.
	lateTries = 20
	lateTick  = 100 * time.Millisecond
)

// established waits until a CustomResourceDefinition is served.
func (e *Engine) established(ctx context.Context, name string) error {
	definitions := e.dynamic.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for {
		// A watch without a version begins with the object as it is.
		w, err := definitions.Watch(ctx, metav1.ListOptions{
			FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()})
		if err != nil {
			return err
		}
		done, err := untilEstablished(ctx, w)
		w.Stop()
		if done || err != nil {
			return err
		}
	}
}

// untilEstablished reads events until the condition holds; false when the
// stream ended before.
func untilEstablished(ctx context.Context, w watch.Interface) (bool, error) {
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case event, open := <-w.ResultChan():
			if !open {
				return false, ctx.Err()
			}
			if event.Type == watch.Error {
				return false, apierrors.FromObject(event.Object)
			}
			o, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			switch condition(o, "Established") {
			case "True":
				return true, nil
			}
			if condition(o, "NamesAccepted") == "False" {
				return false, errors.New("its names are taken by another definition")
			}
		}
	}
}

func condition(o *unstructured.Unstructured, kind string) string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		if m, ok := c.(map[string]any); ok && m["type"] == kind {
			status, _ := m["status"].(string)
			return status
		}
	}
	return ""
}

// watchFresh joins the watches of kinds that were defined a moment ago.
func (e *Engine) watchFresh(ctx context.Context, owner Owner, need map[schema.GroupKind]schema.GroupVersionResource) error {
	for try := 1; ; try++ {
		var gone []schema.GroupKind
		for _, k := range e.watches.join(owner, need) {
			switch err := k.wait(ctx); {
			case errors.Is(err, errKindGone):
				gone = append(gone, k.gk)
			case err != nil:
				return fmt.Errorf("watching %s: %w", k.gvr.GroupResource(), err)
			}
		}
		if len(gone) == 0 {
			return nil
		}
		if try == lateTries {
			return fmt.Errorf("watching %s: %w", gone[0], errKindGone)
		}
		if err := sleep(ctx, lateTick); err != nil {
			return err
		}
	}
}

// trails says that the API server may not know yet what it was told a moment ago:
// its endpoint trails a definition's condition, and its schema a definition's change.
func (s *Step) trails(err error) bool {
	return apierrors.IsNotFound(err) && s.resource.definition != "" || s.late && err != nil && unfit(err)
}

// patchLate applies to an endpoint that is about to be served.
func patchLate(ctx context.Context, client metadata.Interface, s *Step) (*metav1.PartialObjectMetadata, error) {
	for try := 1; ; try++ {
		if err := sleep(ctx, lateTick); err != nil {
			return nil, err
		}
		answer, err := patch(ctx, client, s, false, true)
		if !s.trails(err) || try == lateTries {
			return answer, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
