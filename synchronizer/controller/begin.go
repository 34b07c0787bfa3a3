package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
)

// tellAfter is how long a release is on its way before the status says so. Most are
// there by then, and cost one write.
const tellAfter = 5 * time.Second

// beginning is what a pass set out to do, kept with what was accepted from before the
// first write on. The status takes it over with its next write.
type beginning struct {
	// Base stands for the status that it follows; it says nothing beside another one.
	Base string
	At   metav1.Time
	// Requested is the request that it answers; Accepted the repository of which more
	// was accepted.
	Requested, Accepted string            `json:",omitempty"`
	Attempted           *v1alpha1.Release `json:",omitempty"`
	Kinds               []v1alpha1.Kind
	Message             string
}

// baseOf stands for a Delivery with a status as the API server has it.
func baseOf(d *v1alpha1.Delivery) string {
	encoded, _ := json.Marshal(d.Status) // plain data: it always encodes
	sum := sha256.Sum256(append(encoded, d.UID...))
	return hex.EncodeToString(sum[:16])
}

// beginningOf keeps what begun makes of a status.
func beginningOf(stored *v1alpha1.Delivery, begun v1alpha1.DeliveryStatus, i synchronizer.Intent, now time.Time) *beginning {
	return &beginning{
		Base: baseOf(stored), At: metav1.NewTime(now), Requested: begun.LastHandledReconcileAt, Accepted: i.Accepted.Repository,
		Attempted: begun.Attempted, Kinds: begun.Kinds, Message: deliveringMessage(i.Release),
	}
}

// restore gives d the status that it had when b began.
func (b *beginning) restore(d *v1alpha1.Delivery, accepted watermarks) {
	if w, found := accepted[b.Accepted]; found && b.Accepted != "" {
		d.Status.Accepted = acceptedOf(w)
	}
	d.Status.Attempted, d.Status.Kinds, d.Status.LastHandledReconcileAt = b.Attempted, b.Kinds, b.Requested
	progressing(&d.Status, d.Generation, b.Message)
}

// underway is what was begun for d, which has the status that the API server has; nil
// where the status tells it all.
func (r *reconciler) underway(d *v1alpha1.Delivery) *beginning {
	if b := r.recorded(d).begun; b != nil && b.Base == baseOf(d) {
		return b
	}
	return nil
}

// recorded is the record of d; empty where it cannot be read, which the pass tells.
func (r *reconciler) recorded(d *v1alpha1.Delivery) record {
	if r.accepted == nil {
		return record{}
	}
	found, err := r.accepted.merged(client.ObjectKeyFromObject(d))
	if err != nil {
		return record{}
	}
	return found
}

// remind adds the kinds of b to the status of d where nobody can have told them: Ready
// turns with the end of what was begun. Another version, which writes other fields, may
// have begun it, or somebody else wrote the status.
func (b *beginning) remind(d *v1alpha1.Delivery) {
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.LastTransitionTime.Unix() >= b.At.Unix() {
		return
	}
	for _, kind := range b.Kinds {
		if !slices.Contains(d.Status.Kinds, kind) {
			d.Status.Kinds = append(d.Status.Kinds, kind)
		}
	}
}

// overlay adds to the status of d what was begun and is not told so far.
func (r *reconciler) overlay(d *v1alpha1.Delivery) {
	found := r.recorded(d)
	switch b := found.begun; {
	case b == nil:
	case b.Base == baseOf(d):
		b.restore(d, found.marks)
	default:
		b.remind(d)
	}
}

// holdsBack says that a status need not be written now: a release is on its way, and
// that is told already, or too early to be told. wait is the time until it is not; zero
// while nothing else happens.
func (r *reconciler) holdsBack(ctx context.Context, d *v1alpha1.Delivery, out synchronizer.Outcome, status v1alpha1.DeliveryStatus) (held bool, wait time.Duration) {
	if !onItsWay(status) {
		return false, 0
	}
	stored, err := r.stored(ctx, client.ObjectKeyFromObject(d))
	if err != nil || stored.UID != d.UID {
		return false, 0
	}
	began := r.underway(stored)
	var since time.Duration
	switch {
	case began != nil:
		since = time.Since(began.At.Time).Abs() // another machine's clock may be ahead
	case out.Asking > 0 || out.Running == nil:
		return false, 0
	case stored.Status.LastHandledReconcileAt != status.LastHandledReconcileAt:
		return false, 0 // that it is answered stands nowhere else, and it would be again and again
	default:
		since = out.Waited
	}
	if since < tellAfter {
		return true, tellAfter - since
	}
	return tells(stored.Status, status), 0
}

func onItsWay(status v1alpha1.DeliveryStatus) bool {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionUnknown
}

// tells says that a status tells of the same attempt as another one. What it waits for
// is told once: that may change with every object. What only says that something is on
// its way, written while its pass went on, does not tell that.
func tells(told, now v1alpha1.DeliveryStatus) bool {
	attempt := func(s v1alpha1.DeliveryStatus) (digest string) {
		if s.Attempted != nil {
			digest = s.Attempted.Digest
		}
		return digest
	}
	return onItsWay(told) && !(bare(told) && !bare(now)) && told.ObservedGeneration == now.ObservedGeneration && attempt(told) == attempt(now) &&
		told.LastHandledReconcileAt == now.LastHandledReconcileAt
}

// bare says that a status does not say what its release waits for.
func bare(status v1alpha1.DeliveryStatus) bool {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	return len(status.Unhealthy) == 0 && !strings.Contains(ready.Message, objectsReady)
}
