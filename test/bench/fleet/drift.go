package fleet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
)

// Drifts are times from the API server's answer to a foreign write to the moment
// when a watch shows the object as it was, in milliseconds.
type Drifts struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50Milliseconds"`
	P99   float64 `json:"p99Milliseconds"`
	Worst float64 `json:"worstMilliseconds"`
	Cost  Cost    `json:"cost"`
}

// drift changes random objects one after the other, and waits for each to be healed.
func (s *site) drift(ctx context.Context, f *fleet, count int) (Drifts, error) {
	random := rand.New(rand.NewPCG(1, uint64(len(f.apps))))
	var times []float64
	cost, err := s.measure(func() error {
		for i := range count {
			a := f.apps[random.IntN(len(f.apps))]
			o := a.objects[random.IntN(len(a.objects))]
			took, err := s.heal(ctx, o, fmt.Sprint("stray-", i))
			if err != nil {
				return fmt.Errorf("drift of %s %s: %w", o.GetKind(), o.GetName(), err)
			}
			times = append(times, took.Seconds()*1000)
		}
		return nil
	})
	if err != nil {
		return Drifts{}, err
	}
	slices.Sort(times)
	return Drifts{Count: count, P50: quantile(times, 0.5), P99: quantile(times, 0.99), Worst: times[len(times)-1], Cost: cost}, nil
}

// quantile of sorted values: the smallest that at least that share is not above.
func quantile(sorted []float64, share float64) float64 {
	return sorted[min(len(sorted)-1, max(0, int(float64(len(sorted))*share+0.999999)-1))]
}

// heal changes a label that the release sets, and waits until it is back.
func (s *site) heal(ctx context.Context, o *unstructured.Unstructured, value string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	at := s.client.Resource(resources(o.GetKind())).Namespace(namespace)
	one := fields.OneTermEqualSelector("metadata.name", o.GetName()).String()
	// The list's version is new, also where the object was not written for long.
	list, err := at.List(ctx, metav1.ListOptions{FieldSelector: one})
	if err != nil {
		return 0, err
	}
	w, err := at.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion(), FieldSelector: one})
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"app":%q}}}`, value)
	changed, err := at.Patch(ctx, o.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "intruder"})
	if err != nil {
		return 0, err
	}
	answered := time.Now()
	for passed := false; ; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case event, open := <-w.ResultChan():
			seen, ok := event.Object.(*unstructured.Unstructured)
			if !open || !ok {
				return 0, fmt.Errorf("the watch ended: %v", event.Object)
			}
			passed = passed || seen.GetResourceVersion() == changed.GetResourceVersion()
			if passed && seen.GetLabels()["app"] == o.GetLabels()["app"] {
				return time.Since(answered), nil
			}
		}
	}
}
