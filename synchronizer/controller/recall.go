package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// recollection finds the kinds of Deliveries whose status was lost, or who were made
// again. The zero value works.
type recollection struct {
	mu      sync.Mutex
	at      time.Time // when what follows was asked for
	carried *engine.Carriage
	// settled are Deliveries without a status that need not be looked for, by name.
	settled map[types.NamespacedName]types.UID
}

// recall fills in the kinds of a Delivery whose status tells nothing although it was
// here before: it has the finalizer, or something was accepted for it.
func (r *reconciler) recall(ctx context.Context, d *v1alpha1.Delivery) error {
	name := client.ObjectKeyFromObject(d)
	if !equal(d.Status, v1alpha1.DeliveryStatus{}) || r.recalled.is(name, d.UID) {
		return nil
	}
	known, err := r.accepted.of(ctx, name) // one that cannot be read is one, and the pass says so
	if err == nil && !controllerutil.ContainsFinalizer(d, finalizer) && len(known.marks) == 0 {
		return nil
	}
	kinds, err := r.recalled.of(ctx, r.engine, d)
	if err != nil {
		return fmt.Errorf("looking for the objects of %s, which has no status: %w", name, err)
	}
	d.Status.Kinds = toKinds(kinds)
	return nil
}

// isNew says that a Delivery without a status has not been here before.
func (c *recollection) isNew(d *v1alpha1.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled == nil {
		c.settled = map[types.NamespacedName]types.UID{}
	}
	c.settled[client.ObjectKeyFromObject(d)] = d.UID
}

func (c *recollection) is(name types.NamespacedName, uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled[name] == uid
}

func (c *recollection) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.settled, name)
}

// of asks the cluster once for all Deliveries that were there at that moment.
func (c *recollection) of(ctx context.Context, e *engine.Engine, d *v1alpha1.Delivery) ([]schema.GroupKind, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carried == nil || !d.CreationTimestamp.Time.Add(time.Second).Before(c.at) { // whole seconds
		at := time.Now()
		carried, err := e.Carried(ctx)
		if err != nil {
			return nil, err
		}
		c.at, c.carried = at, carried
	}
	return c.carried.Of(engine.OwnerOf(d.Namespace, d.Name)), nil
}
