package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// finalizer keeps a deleted Delivery until its objects are pruned.
const finalizer = "sealift.dev/prune"

// Values of spec.deletionPolicy.
const (
	prune              = "Prune"
	orphan             = "Orphan"
	waitForTermination = "WaitForTermination"
)

// deletionPolicy is what becomes of the objects of d when it is deleted.
func deletionPolicy(d *v1alpha1.Delivery) string {
	switch {
	case d.Spec.DeletionPolicy != "":
		return d.Spec.DeletionPolicy
	case d.Spec.Prune != nil && !*d.Spec.Prune:
		return orphan
	}
	return prune
}

// finalize does with what a deleted Delivery owns as it says, then lets it go.
func (r *reconciler) finalize(ctx context.Context, d *v1alpha1.Delivery) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(d, finalizer) {
		return ctrl.Result{}, nil
	}
	var kept []engine.ObjectRef
	if policy := deletionPolicy(d); !d.Spec.Suspend && policy != orphan {
		owned := r.ownedBy(d)
		r.owners.Store(owned.Owner, client.ObjectKeyFromObject(d))
		report, err := r.engine.DeleteAll(ctx, owned)
		if err != nil && !r.namespaceEnds(ctx, d.Namespace) {
			return r.stay(ctx, d, err)
		}
		if err == nil && policy == waitForTermination && len(report.Pending) > 0 && !r.namespaceEnds(ctx, d.Namespace) {
			return r.await(ctx, d, report.Pending)
		}
		kept = report.Kept
	}
	before := d.DeepCopy()
	controllerutil.RemoveFinalizer(d, finalizer)
	if err := r.client.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.announceKept(before, kept) // here, since the cache may still show a Delivery that is gone
	return ctrl.Result{}, nil
}

// await keeps a deleted Delivery until its objects are gone; after a while it says which
// are not. The watches bring the next pass.
func (r *reconciler) await(ctx context.Context, d *v1alpha1.Delivery, pending []engine.ObjectRef) (ctrl.Result, error) {
	again := ctrl.Result{RequeueAfter: patience}
	if time.Since(d.DeletionTimestamp.Time) < patience {
		return again, nil
	}
	var names []string
	for _, ref := range pending {
		names = append(names, ref.String())
	}
	status := *d.Status.DeepCopy()
	message := fmt.Sprintf("waiting until its objects are gone: %s; hint: look at their metadata.finalizers", strings.Join(firstOf(names, maxNamed), ", "))
	conclude(&status, d.Generation, metav1.ConditionFalse, reasonTerminating, message, false)
	if err := r.write(ctx, d, status); err != nil {
		return retryConflict(err)
	}
	return again, nil
}

// stay keeps a deleted Delivery whose objects could not be pruned, and says so.
// The longer that lasts, the less often it is tried.
func (r *reconciler) stay(ctx context.Context, d *v1alpha1.Delivery, err error) (ctrl.Result, error) {
	status := *d.Status.DeepCopy()
	message := fmt.Sprintf("deleting its objects: %v; hint: set spec.suspend to true, or spec.deletionPolicy to Orphan, to let the Delivery go without them", err)
	conclude(&status, d.Generation, metav1.ConditionFalse, "PruneFailed", message, false)
	if !equal(d.Status, status) {
		r.events.Eventf(d, nil, corev1.EventTypeWarning, "PruneFailed", "Prune", "%s", clip(message))
	}
	if err := r.write(ctx, d, status); err != nil {
		return retryConflict(err)
	}
	return ctrl.Result{RequeueAfter: min(5*time.Minute, 5*time.Second+time.Since(d.DeletionTimestamp.Time)/4)}, nil
}

// namespaceEnds says that the namespace goes, and with it the service account
// that would prune: the namespace's own deletion takes the objects then.
func (r *reconciler) namespaceEnds(ctx context.Context, name string) bool {
	var ns corev1.Namespace
	err := r.reader.Get(ctx, types.NamespacedName{Name: name}, &ns)
	return apierrors.IsNotFound(err) || err == nil && !ns.DeletionTimestamp.IsZero()
}
