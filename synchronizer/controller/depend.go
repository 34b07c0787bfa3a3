package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/condition"
)

var (
	errNotReady = errors.New("dependency not ready")
	errCycle    = errors.New("dependency cycle")
)

const (
	// dependsOnIndex finds Deliveries by the names of what they depend on.
	dependsOnIndex = "spec.dependsOn"
	// maxFollowed bounds how many Deliveries are looked at in search of a cycle.
	maxFollowed = 1000
	// maxNamed bounds how many Deliveries a message names.
	maxNamed = 5
)

// blocked is why no new release of d may be applied now; nil: nothing is in its way.
// It asks the cache only.
func (r *reconciler) blocked(ctx context.Context, d *v1alpha1.Delivery) error {
	if len(d.Spec.DependsOn) == 0 {
		return nil
	}
	cycle, err := findCycle(d, func(name string) (*v1alpha1.Delivery, error) { return r.neighbour(ctx, d, name) })
	if err != nil {
		return err
	}
	if cycle != nil {
		return fmt.Errorf("%w: %s; hint: take one of them out of the other's spec.dependsOn", errCycle, strings.Join(cycle, " → "))
	}
	var waiting []string
	for _, dependency := range d.Spec.DependsOn {
		other, err := r.neighbour(ctx, d, dependency.Name)
		if err != nil {
			return err
		}
		why, err := r.awaited(ctx, dependency, other)
		if err != nil {
			return fmt.Errorf("%w: dependsOn %s: ready: %w", errInvalidSpec, dependency.Name, err)
		}
		if why != "" {
			waiting = append(waiting, why)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", errNotReady, strings.Join(firstOf(waiting, maxNamed), "; "))
}

// firstOf are the first most names, and how many more there are.
func firstOf(names []string, most int) []string {
	if len(names) <= most {
		return names
	}
	return append(slices.Clone(names[:most]), fmt.Sprintf("and %d more", len(names)-most))
}

// neighbour is another Delivery of d's namespace; nil where there is none.
func (r *reconciler) neighbour(ctx context.Context, d *v1alpha1.Delivery, name string) (*v1alpha1.Delivery, error) {
	var other v1alpha1.Delivery
	err := r.client.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: name}, &other)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the dependency %s: %w", name, err)
	}
	r.overlay(&other)
	return &other, nil
}

// awaited says why other, which is nil where it does not exist, is not ready. It says
// little, so that what happens to other changes few statuses.
func (r *reconciler) awaited(ctx context.Context, dependency v1alpha1.Dependency, other *v1alpha1.Delivery) (string, error) {
	var program *condition.Program
	if dependency.Ready != "" {
		compiled, err := r.programs.compile(dependency.Ready)
		if err != nil {
			return "", err
		}
		program = compiled
	}
	switch {
	case other == nil:
		return fmt.Sprintf("Delivery %s does not exist in this namespace", dependency.Name), nil
	case program == nil && !ready(other):
		return fmt.Sprintf("Delivery %s is not ready", dependency.Name), nil
	case program == nil:
		return "", nil
	}
	self, err := runtime.DefaultUnstructuredConverter.ToUnstructured(other)
	if err != nil {
		return "", err
	}
	holds, err := program.Eval(ctx, condition.Input{"self": self})
	if err != nil { // most often, a field that is not there yet
		return fmt.Sprintf("Delivery %s is not ready: %v", dependency.Name, err), nil
	}
	if !holds {
		return fmt.Sprintf("Delivery %s is not ready: %s is false", dependency.Name, dependency.Ready), nil
	}
	return "", nil
}

// ready says that d is Ready for its newest generation.
func ready(d *v1alpha1.Delivery) bool {
	condition := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == d.Generation &&
		d.DeletionTimestamp.IsZero()
}

// findCycle follows what d depends on back to d, and names the way; nil: there is none.
func findCycle(d *v1alpha1.Delivery, get func(name string) (*v1alpha1.Delivery, error)) ([]string, error) {
	seen := map[string]bool{}
	var follow func(of *v1alpha1.Delivery, way []string) ([]string, error)
	follow = func(of *v1alpha1.Delivery, way []string) ([]string, error) {
		for _, dependency := range of.Spec.DependsOn {
			name := dependency.Name
			if name == d.Name {
				return append(slices.Clone(way), name), nil
			}
			if seen[name] || len(seen) >= maxFollowed {
				continue
			}
			seen[name] = true
			next, err := get(name)
			if err != nil {
				return nil, err
			}
			if next == nil {
				continue // others may lead back
			}
			if cycle, err := follow(next, append(way, name)); cycle != nil || err != nil {
				return cycle, err
			}
		}
		return nil, nil
	}
	return follow(d, []string{d.Name})
}

// byDependency gives the index its keys.
func byDependency(object client.Object) []string {
	var names []string
	for _, dependency := range object.(*v1alpha1.Delivery).Spec.DependsOn {
		names = append(names, dependency.Name)
	}
	return names
}

// dependents wakes the Deliveries that depend on one whose readiness may have changed.
func (r *reconciler) dependents() handler.EventHandler {
	type work = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q work) { r.wake(ctx, e.Object, true, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q work) { r.wake(ctx, e.Object, true, q) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q work) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				r.wake(ctx, e.ObjectNew, turned(e.ObjectOld.(*v1alpha1.Delivery), e.ObjectNew.(*v1alpha1.Delivery)), q)
			}
		},
	}
}

// wake brings a pass for those that depend on object; where its readiness did not
// turn, only for those that read more of it.
func (r *reconciler) wake(ctx context.Context, object client.Object, turned bool, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	var list v1alpha1.DeliveryList
	err := r.client.List(ctx, &list, client.InNamespace(object.GetNamespace()), client.MatchingFields{dependsOnIndex: object.GetName()})
	if err != nil {
		r.options.Log.Error("listing what depends on a delivery", "delivery", object.GetNamespace()+"/"+object.GetName(), "error", err)
		return
	}
	for i := range list.Items {
		d := &list.Items[i]
		reads := slices.ContainsFunc(d.Spec.DependsOn, func(on v1alpha1.Dependency) bool { return on.Name == object.GetName() && on.Ready != "" })
		if turned || reads {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(d)})
		}
	}
}

// turned says that what dependents ask of a Delivery may be another answer now.
func turned(before, after *v1alpha1.Delivery) bool {
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady)
	is := meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionReady)
	if was == nil || is == nil {
		return was != is || before.Generation != after.Generation
	}
	return before.Generation != after.Generation || appliedDigest(before) != appliedDigest(after) || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		was.Status != is.Status || was.Reason != is.Reason || was.ObservedGeneration != is.ObservedGeneration ||
		!was.LastTransitionTime.Equal(&is.LastTransitionTime) // it was not ready meanwhile, and that was held back
}

// appliedDigest is that of the release that runs; empty: none does.
func appliedDigest(d *v1alpha1.Delivery) string {
	if d.Status.Applied == nil {
		return ""
	}
	return d.Status.Applied.Digest
}
