package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"sealift.dev/api/v1alpha1"
)

// ErrSuspended is a Delivery that does nothing until it is resumed.
var ErrSuspended = errors.New("it is suspended; hint: sealift resume")

// merge is a JSON merge patch.
type merge map[string]any

// edit patches a Delivery as decide says after looking at it; a nil patch changes
// nothing. When somebody else was quicker, it looks again.
func (c *Client) edit(ctx context.Context, namespace, name string, decide func(*v1alpha1.Delivery) (merge, error)) (*v1alpha1.Delivery, error) {
	var after *v1alpha1.Delivery
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		before, err := c.get(ctx, namespace, name)
		if err != nil {
			return err
		}
		after = before
		change, err := decide(before)
		if err != nil || change == nil {
			return err
		}
		metadata, _ := change["metadata"].(merge)
		if metadata == nil {
			metadata = merge{}
			change["metadata"] = metadata
		}
		metadata["resourceVersion"] = before.ResourceVersion
		body, err := json.Marshal(change)
		if err != nil {
			return err
		}
		u, err := c.deliveries.Namespace(namespace).Patch(ctx, name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: FieldManager})
		if err != nil {
			return err
		}
		after, err = decode(u)
		return err
	})
	if err != nil && apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
		return nil, fmt.Errorf("changing delivery %s/%s: %w", namespace, name, err)
	}
	return after, err
}

func (c *Client) get(ctx context.Context, namespace, name string) (*v1alpha1.Delivery, error) {
	u, err := c.read(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return decode(u)
}

// Ticket stands for what was asked of a Delivery, and whether it is done.
type Ticket struct {
	Namespace, Name string
	generation      int64
	requested       string
}

// Reconcile asks for a pass now. A suspended Delivery is an error that is ErrSuspended.
func (c *Client) Reconcile(ctx context.Context, namespace, name string) (Ticket, error) {
	t := Ticket{Namespace: namespace, Name: name, requested: time.Now().UTC().Format(time.RFC3339Nano)}
	_, err := c.edit(ctx, namespace, name, func(d *v1alpha1.Delivery) (merge, error) {
		if d.Spec.Suspend {
			return nil, fmt.Errorf("delivery %s/%s: %w", namespace, name, ErrSuspended)
		}
		return merge{"metadata": merge{"annotations": merge{v1alpha1.RequestedAtAnnotation: t.requested}}}, nil
	})
	return t, err
}

// Suspend stops deliveries and drift correction, or with false lets them go on. It
// says whether that was a change. Going on asks for a pass besides: what a tag led to
// before is no answer.
func (c *Client) Suspend(ctx context.Context, namespace, name string, suspend bool) (t Ticket, changed bool, err error) {
	t = Ticket{Namespace: namespace, Name: name}
	d, err := c.edit(ctx, namespace, name, func(d *v1alpha1.Delivery) (merge, error) {
		if changed = d.Spec.Suspend != suspend; !changed {
			return nil, nil
		}
		change := merge{"spec": merge{"suspend": suspend}}
		if !suspend {
			t.requested = time.Now().UTC().Format(time.RFC3339Nano)
			change["metadata"] = merge{"annotations": merge{v1alpha1.RequestedAtAnnotation: t.requested}}
		}
		return change, nil
	})
	if err != nil {
		return Ticket{}, false, err
	}
	t.generation = d.Generation
	return t, changed, nil
}

// heard says that a synchronizer has seen what was asked.
func (t Ticket) heard(d *v1alpha1.Delivery) bool {
	return (t.requested == "" || d.Status.LastHandledReconcileAt == t.requested) && d.Status.ObservedGeneration >= t.generation
}

// done says that the synchronizer has answered what was asked: the release runs, or
// something is in its way.
func (t Ticket) done(d *v1alpha1.Delivery) bool {
	if t.requested != "" && d.Status.LastHandledReconcileAt != t.requested {
		return false
	}
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status != metav1.ConditionUnknown &&
		ready.ObservedGeneration >= max(t.generation, d.Generation) &&
		meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReconciling) == nil &&
		(d.Spec.Suspend || ready.Reason != "Suspended")
}
