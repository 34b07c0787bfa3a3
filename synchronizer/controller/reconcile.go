package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

// Reconcile makes one pass for one Delivery and writes its status when it changed. Where
// its namespace makes too many, it is called again.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if !r.passes.Begin(req.Namespace, req.Name) {
		return ctrl.Result{}, nil
	}
	defer r.passes.End(req.Namespace, req.Name)
	defer r.pulse.pass(req.NamespacedName)()
	d, err := r.get(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if d.Unreadable != "" {
		return retryConflict(r.write(ctx, d, unreadable(d)))
	}
	if err := r.recall(ctx, d); err != nil {
		return ctrl.Result{}, err
	}
	if !d.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, d)
	}
	if d.Spec.Suspend {
		r.metrics.rests(req.NamespacedName)
		return ctrl.Result{}, r.write(ctx, d, suspended(d))
	}
	if err := r.ensureFinalizer(ctx, d); err != nil {
		return retryConflict(err)
	}
	return r.deliver(ctx, d)
}

func (r *reconciler) deliver(ctx context.Context, d *v1alpha1.Delivery) (ctrl.Result, error) {
	begun := time.Now()
	asked, err := r.convert(ctx, d)
	r.owners.Store(asked.Owner(), client.ObjectKeyFromObject(d))
	var memory *memory
	if err == nil {
		memory, err = r.remember(ctx, d, asked)
	}
	if err != nil {
		r.metrics.pass(client.ObjectKeyFromObject(d), synchronizer.Outcome{}, err, time.Since(begun))
		if _, err := r.report(ctx, d, asked, synchronizer.Outcome{}, err, begun); err != nil {
			return retryConflict(err)
		}
		return ctrl.Result{RequeueAfter: time.Minute}, nil
	}
	outcome, err := r.synchronizer.Deliver(ctx, asked, memory)
	memory.end()
	if apierrors.IsConflict(err) && atBegin(err) || ctx.Err() != nil {
		return retryConflict(err)
	}
	if err == nil && errors.Is(asked.Blocked, errCycle) {
		err = asked.Blocked // the next release would wait for ever
	}
	r.metrics.pass(client.ObjectKeyFromObject(d), outcome, err, time.Since(begun))
	err = r.veil(ctx, d, r.whose(ctx, d, err))
	if accessHelps(d, err) {
		r.accesses.Delete(client.ObjectKeyFromObject(d))
	}
	again, err := r.report(ctx, d, asked, outcome, err, begun)
	if err != nil {
		r.metrics.untold(err)
		return retryConflict(err)
	}
	if outcome.Quarantine {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	if again == 0 || outcome.Next < again {
		again = outcome.Next
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

func atBegin(err error) bool {
	var step *synchronizer.Error
	return errors.As(err, &step) && step.Step == synchronizer.Begin
}

// retryConflict turns a lost race for the object into another pass.
func retryConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return ctrl.Result{}, err
}

// get reads a Delivery, with what was begun for it and its status does not tell so far.
func (r *reconciler) get(ctx context.Context, name types.NamespacedName) (*v1alpha1.Delivery, error) {
	d, err := r.stored(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := r.accepted.synced(ctx); err != nil {
		return nil, fmt.Errorf("reading what was begun for %s: %w", name, err)
	}
	r.overlay(d)
	return d, nil
}

// stored reads a Delivery from the cache, or what was written to it last while the
// cache is behind.
func (r *reconciler) stored(ctx context.Context, name types.NamespacedName) (*v1alpha1.Delivery, error) {
	var d v1alpha1.Delivery
	if err := r.client.Get(ctx, name, &d); err != nil {
		return nil, err
	}
	last, written := r.latest.Load(name)
	if !written {
		return &d, nil
	}
	if newest := last.(*v1alpha1.Delivery); version(newest) > version(&d) && newest.UID == d.UID {
		return newest.DeepCopy(), nil
	}
	r.latest.CompareAndDelete(name, last) // the cache has caught up
	return &d, nil
}

// version is the resourceVersion; API servers hand them out as growing integers.
func version(object metav1.Object) uint64 {
	v, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// write stores status when it differs from what the API server has.
func (r *reconciler) write(ctx context.Context, d *v1alpha1.Delivery, status v1alpha1.DeliveryStatus) error {
	stored, err := r.stored(ctx, client.ObjectKeyFromObject(d))
	if err != nil {
		return err
	}
	if equal(stored.Status, status) {
		d.Status = status
		return nil
	}
	changed := d.DeepCopy()
	changed.Status = status
	if err := r.client.Status().Update(ctx, changed); err != nil {
		return err
	}
	r.latest.Store(client.ObjectKeyFromObject(d), changed.DeepCopy())
	changed.DeepCopyInto(d)
	return nil
}

func (r *reconciler) ensureFinalizer(ctx context.Context, d *v1alpha1.Delivery) error {
	before := d.DeepCopy()
	want := deletionPolicy(d) != orphan
	if want && !controllerutil.AddFinalizer(d, finalizer) || !want && !controllerutil.RemoveFinalizer(d, finalizer) {
		return nil
	}
	kinds := d.Status.Kinds // recalled ones are not in the answer
	// The answer is read into d, where it would leave what was begun or recalled.
	before.Status, d.Status = v1alpha1.DeliveryStatus{}, v1alpha1.DeliveryStatus{}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, d, patch); err != nil {
		return err
	}
	r.latest.Store(client.ObjectKeyFromObject(d), d.DeepCopy())
	if len(kinds) == 0 {
		r.recalled.isNew(d)
	}
	r.overlay(d)
	d.Status.Kinds = kinds
	return nil
}

func (r *reconciler) forget(name types.NamespacedName) {
	r.latest.Delete(name)
	r.accesses.Delete(name)
	r.told.Delete(name)
	r.recalled.forget(name)
	r.metrics.forget(name)
	r.sources.use(name, nil)
	r.owners.Delete(engine.OwnerOf(name.Namespace, name.Name))
	r.synchronizer.Forget(name.Namespace, name.Name)
}
