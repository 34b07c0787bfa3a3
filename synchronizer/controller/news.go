package controller

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
)

// told is what Events have told of a Delivery, so that they tell it once, whatever
// else comes and goes meanwhile.
type told struct {
	uid     types.UID
	running string // what there was to tell of the release that runs
	revoked bool   // that trust in it ended, and has not come back
}

// inform writes the Events of what a pass knows of the release that runs, and says
// whether the end of trust has to be told. Of what was told before this process began,
// only the condition is known.
func (r *reconciler) inform(d *v1alpha1.Delivery, out synchronizer.Outcome, before, now *metav1.Condition) (revoked bool) {
	key := client.ObjectKeyFromObject(d)
	kept, found := r.told.Load(key)
	last, _ := kept.(told)
	if !found || last.uid != d.UID {
		found, last = false, told{uid: d.UID, revoked: before != nil && before.Reason == reasonRevoked}
	}
	next := last
	if out.Running != nil && now.Status != metav1.ConditionUnknown {
		notes := notesOf(out)
		next.running, next.revoked = fmt.Sprint(out.Running.Ref, notes), false
		if next.running != last.running && (found || changed(before, now)) {
			for _, n := range notes {
				r.events.Eventf(d, nil, corev1.EventTypeWarning, n.reason, n.action, "%s", n.text)
			}
		}
	}
	next.revoked = next.revoked || now.Reason == reasonRevoked
	r.told.Store(key, next)
	return next.revoked && !last.revoked
}

type note struct{ reason, action, text string }

// notesOf is what there is to tell of the release that runs.
func notesOf(out synchronizer.Outcome) []note {
	var notes []note
	for _, finding := range out.Running.Findings {
		notes = append(notes, note{"AuditFinding", "Verify", clip(finding)})
	}
	if out.Older && out.Wanted.Ref == out.Running.Ref {
		text := describe(*out.Running) + " is older than a release accepted before, and let in because its digest is pinned"
		notes = append(notes, note{"PinnedOlder", "Accept", clip(text)})
	}
	return notes
}
