package controller

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/text"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

const (
	// maxMessage bounds condition messages, in bytes.
	maxMessage = 1000
	// maxDrifted is the CRD's bound on the list of drifted objects.
	maxDrifted = 20
	// patience is how long a release may be on its way before the status says
	// what it waits for.
	patience = 10 * time.Second
)

func equal(a, b v1alpha1.DeliveryStatus) bool { return equality.Semantic.DeepEqual(a, b) }

// begun is the status of a pass before its first write.
func begun(d *v1alpha1.Delivery, i synchronizer.Intent) v1alpha1.DeliveryStatus {
	status := *d.Status.DeepCopy()
	if i.Accepted != (synchronizer.Watermark{}) {
		status.Accepted = acceptedOf(i.Accepted)
	}
	status.Kinds = toKinds(i.Kinds)
	if i.Confirm != nil {
		status.Awaiting = awaitingOf(i.Confirm)
	}
	if status.Applied == nil || status.Applied.Digest != i.Release.Ref.Digest.String() {
		release := releaseOf(i.Release)
		release.Since = ptr.To(metav1.Now().Rfc3339Copy())
		if former := status.Attempted; former != nil && former.Digest == release.Digest && former.Since != nil {
			release.Since = former.Since // the same attempt
		}
		release.Irreversible = i.Irreversible
		status.Attempted = &release
		status.LastHandledReconcileAt = requested(d) // Ready is Unknown until the end: no write between for the answer alone
	}
	progressing(&status, d.Generation, deliveringMessage(i.Release))
	return status
}

// after is the status that a pass leaves behind.
func after(d *v1alpha1.Delivery, asked synchronizer.Delivery, out synchronizer.Outcome, err error) v1alpha1.DeliveryStatus {
	status := *d.Status.DeepCopy()
	if out.Asking > 0 && err == nil {
		asking(&status, d.Generation, asked, out)
		return status
	}
	if out.Asking == 0 { // what failed before is no answer while the registry is asked anew
		status.LastHandledReconcileAt = asked.Requested
	}
	status.Drifted = bounded(out.Drifted)
	status.Unhealthy = unhealthyOf(d, out, err)
	if out.Running != nil {
		status.Kinds, status.Awaiting = toKinds(out.Kinds), awaitingOf(out.Confirm)
	}
	if out.Healthy {
		status.Confirmed = out.Confirmed
	}
	wanted := out.Wanted != nil && out.Running != nil && out.Wanted.Ref == out.Running.Ref
	switch {
	case out.Quarantine:
		status.Quarantined = &v1alpha1.Quarantine{Digest: out.Wanted.Ref.Digest.String(), Cause: clip(err.Error()), Tailored: asked.Tailored}
	case status.Quarantined != nil && out.Wanted != nil && out.Wanted.Ref.Digest.String() != status.Quarantined.Digest:
		status.Quarantined = nil
	}
	switch {
	case err != nil:
		failed(&status, d, out, err)
	case out.Healthy && wanted:
		delivered(&status, d.Generation, *out.Running, out)
	case out.Degraded:
		degraded(&status, d.Generation, out)
	case stays(d, out): // a healed or scaled object rolls out: that is told when it takes long
	default:
		progressing(&status, d.Generation, waitingMessage(asked, out))
	}
	if r := out.Running; out.Healthy && r != nil && status.Applied != nil && status.Applied.Digest == r.Ref.Digest.String() {
		status.Applied.Tailored = asked.Tailored
	}
	return status
}

// asking leaves the conditions as they are while the registry is asked, so that they do
// not change with each question. Who waits for long is told so.
func asking(status *v1alpha1.DeliveryStatus, generation int64, asked synchronizer.Delivery, out synchronizer.Outcome) {
	if out.Running != nil {
		status.Kinds, status.Drifted = toKinds(out.Kinds), bounded(out.Drifted)
	}
	known := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if out.Asking >= patience/2 && (known == nil || known.ObservedGeneration != generation) {
		progressing(status, generation, fmt.Sprintf("asking %s for the release", asked.Source.Repository.Host))
	}
}

func delivered(status *v1alpha1.DeliveryStatus, generation int64, r synchronizer.Release, out synchronizer.Outcome) {
	if status.Applied == nil || status.Applied.Digest != r.Ref.Digest.String() || status.Applied.Repository != r.Ref.Repository.String() {
		release := releaseOf(r)
		release.Since = ptr.To(metav1.Now())
		status.Applied = &release
		chronicle(status, release)
	}
	status.Applied.SignedBy = r.SignedBy
	status.Attempted = nil
	status.Objects = counted(out.Health)
	message := describe(r) + ": " + text.Count(out.Health.Total, "object is ready", "objects are ready")
	reason := "Delivered"
	switch {
	case out.Contested > 0:
		reason, message = "Contested", fmt.Sprintf("%s; somebody undoes corrections of %d: %s", message, out.Contested, out.Drifted[0])
	case len(out.Drifted) > 0:
		reason, message = "Drifted", message+"; "+text.Count(len(out.Drifted), "object drifted and is left as it is", "objects drifted and are left as they are")
	}
	for _, finding := range r.Findings {
		message += "; " + finding
	}
	if out.Confirm != nil {
		conclude(status, generation, metav1.ConditionFalse, reasonAwaiting, awaitingMessage(out.Confirm, message), true)
		return
	}
	conclude(status, generation, metav1.ConditionTrue, reason, message, false)
}

func failed(status *v1alpha1.DeliveryStatus, d *v1alpha1.Delivery, out synchronizer.Outcome, err error) {
	reason, stalled := reasonOf(err)
	message := err.Error()
	settled := (out.Healthy || out.Degraded) && out.Running != nil
	if reason == "RolledBack" && !settled {
		reason, stalled = "RollbackFailed", false
		if out.Running != nil && (out.Waited > 0 || out.Health.Ready < out.Health.Total) {
			reason = "RollingBack"
		}
	}
	if settled {
		message += "; still running " + describe(*out.Running)
		status.Objects = counted(out.Health)
		if out.Degraded {
			message += ", of which " + degradedMessage(out)
		}
	}
	var refusal *verify.Refusal
	switch halfWritten := status.Attempted != nil && status.Attempted.Since != nil && !settled; {
	case halfWritten: // that is still what the cluster is at
	case out.Wanted != nil:
		status.Attempted = ptr.To(releaseOf(*out.Wanted))
	case errors.As(err, &refusal):
		status.Attempted = ptr.To(releaseOf(synchronizer.Release{Ref: refusal.Ref}))
	}
	if status.Attempted != nil && status.Applied != nil && status.Attempted.Digest == status.Applied.Digest {
		status.Attempted = nil
	}
	conclude(status, d.Generation, metav1.ConditionFalse, reason, message, stalled)
	if reason == reasonDependency {
		set(status, d.Generation, v1alpha1.ConditionReconciling, metav1.ConditionTrue, reason, message)
	}
}

// progressing leaves Ready Unknown until the release is there or has failed.
func progressing(status *v1alpha1.DeliveryStatus, generation int64, message string) {
	status.ObservedGeneration = generation
	set(status, generation, v1alpha1.ConditionReady, metav1.ConditionUnknown, "Progressing", message)
	set(status, generation, v1alpha1.ConditionReconciling, metav1.ConditionTrue, "Progressing", message)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
}

func conclude(status *v1alpha1.DeliveryStatus, generation int64, ready metav1.ConditionStatus, reason, message string, stalled bool) {
	status.ObservedGeneration = generation
	set(status, generation, v1alpha1.ConditionReady, ready, reason, message)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
	if stalled {
		set(status, generation, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
	}
}

func set(status *v1alpha1.DeliveryStatus, generation int64, kind string, value metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: kind, Status: value, ObservedGeneration: generation, Reason: reason, Message: clip(message),
	})
}

func suspended(d *v1alpha1.Delivery) v1alpha1.DeliveryStatus {
	status := *d.Status.DeepCopy()
	conclude(&status, d.Generation, metav1.ConditionFalse, "Suspended", "suspended; hint: set spec.suspend to false", false)
	return status
}

// unreadable is the status of a Delivery of which nobody knows what it asks for, its deletion
// included.
func unreadable(d *v1alpha1.Delivery) v1alpha1.DeliveryStatus {
	status := *d.Status.DeepCopy()
	message := fmt.Sprintf("the spec cannot be read, and nothing is done: %s; hint: correct it with kubectl edit", d.Unreadable)
	conclude(&status, d.Generation, metav1.ConditionFalse, "InvalidSpec", message, true)
	return status
}

func releaseOf(r synchronizer.Release) v1alpha1.Release {
	return v1alpha1.Release{
		Repository: r.Ref.Repository.String(),
		Digest:     r.Ref.Digest.String(),
		Revision:   plain(r.Statement.Revision),
		Version:    plain(r.Statement.Version),
		SignedBy:   slices.Clone(r.SignedBy),
	}
}

func acceptedOf(w synchronizer.Watermark) *v1alpha1.Watermark {
	return &v1alpha1.Watermark{
		Repository: w.Repository,
		Epoch:      w.Epoch,
		Sequence:   w.Sequence,
		Digest:     w.Digest.String(),
		Revision:   plain(w.Revision),
	}
}

func bounded(found []string) []string {
	var drifted []string
	for _, d := range found {
		drifted = append(drifted, clip(d))
	}
	if len(drifted) > maxDrifted {
		rest := len(drifted) - maxDrifted + 1
		return append(slices.Clone(drifted[:maxDrifted-1]), fmt.Sprintf("and %d more", rest))
	}
	return drifted
}

func counted(h engine.Health) *v1alpha1.ObjectCount {
	return &v1alpha1.ObjectCount{Total: h.Total, Ready: h.Ready, Summary: fmt.Sprintf("%d/%d", h.Ready, h.Total)}
}
