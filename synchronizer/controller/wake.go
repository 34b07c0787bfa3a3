package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// forAsked lets through what a person or tool asked for; our own status writes
// bring no pass.
func forAsked() builder.Predicates {
	asked := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return requested(before) != requested(after) ||
			before.GetAnnotations()[v1alpha1.ConfirmAnnotation] != after.GetAnnotations()[v1alpha1.ConfirmAnnotation] ||
			before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
	}}
	return builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, asked))
}

// queue is the controller's work queue, once it is open.
type queue struct {
	mu   sync.Mutex
	work workqueue.TypedRateLimitingInterface[reconcile.Request]
}

func (q *queue) open(_ context.Context, work workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.work = work
	return nil
}

func (q *queue) add(name types.NamespacedName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.work != nil {
		q.work.Add(reconcile.Request{NamespacedName: name})
	}
}

// changed brings a pass for the Delivery that owns an object whose watch
// reported something.
func (r *reconciler) changed(owner engine.Owner) {
	if name, known := r.owners.Load(owner); known {
		r.queue.add(name.(types.NamespacedName))
	}
}

// everyDelivery is what a changed TrustPolicy may concern. A pass that finds its
// policies unchanged costs nothing.
func (r *reconciler) everyDelivery(ctx context.Context, _ client.Object) []reconcile.Request {
	var list v1alpha1.DeliveryList
	if err := r.client.List(ctx, &list); err != nil {
		r.options.Log.Error("listing deliveries for a changed trust policy", "error", err)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// persistent is a rate limiter that forgets no failure because a Delivery has to wait for
// its pass: that is no success.
type persistent struct {
	workqueue.TypedRateLimiter[reconcile.Request]
	waits func(namespace, name string) bool
}

func (p persistent) Forget(r reconcile.Request) {
	if !p.waits(r.Namespace, r.Name) {
		p.TypedRateLimiter.Forget(r)
	}
}

// limiter spaces out the passes that fail without a word in the status.
func (r *reconciler) limiter() persistent {
	return persistent{workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, 1000*time.Second), r.passes.Waits}
}
