package controller

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

// maxTold bounds how many objects an Event names.
const maxTold = 5

// announce says what a pass did to objects: one Event for each kind of thing, however
// many objects there were.
func (r *reconciler) announce(d *v1alpha1.Delivery, out synchronizer.Outcome) {
	report := out.Report
	var healed []line
	for _, h := range report.Healed {
		healed = append(healed, line{h.Ref, fmt.Sprintf("%s: %s; seen at %s, healed in %d ms",
			h.Ref, &h.Drift, h.Drift.Observed.UTC().Format(time.RFC3339), h.Latency.Milliseconds())})
	}
	r.summarise(d, "DriftCorrected", "Heal", "objects drifted and were healed", healed)
	r.handedOver(d, report)
	var pruned []line
	for _, ref := range report.Pruned {
		pruned = append(pruned, line{ref, ref.String() + " is no longer in the release"})
	}
	r.summarise(d, "Pruned", "Prune", "objects are no longer in the release, and were deleted", pruned)
}

// announceKept says what outlives a deleted Delivery.
func (r *reconciler) announceKept(d *v1alpha1.Delivery, kept []engine.ObjectRef) {
	var lines []line
	for _, ref := range kept {
		lines = append(lines, line{ref, ref.String() + " stays: it is protected, or may not be deleted"})
	}
	r.summarise(d, "Kept", "Prune", "objects stay: they are protected, or may not be deleted", lines)
}

// line tells of one object.
type line struct {
	ref  engine.ObjectRef
	text string
}

// summarise writes one Event about objects: of one, all there is to tell; of many, how
// many and the first of them.
func (r *reconciler) summarise(d *v1alpha1.Delivery, reason, action, many string, lines []line) {
	if len(lines) == 0 {
		return
	}
	var texts []string
	for _, l := range lines {
		texts = append(texts, l.text)
	}
	note := strings.Join(firstOf(texts, maxTold), "; ")
	if len(lines) > 1 {
		note = fmt.Sprintf("%d %s: %s", len(lines), many, note)
	}
	// Events that differ only in their text count as repeats of the first one: the
	// object tells them apart.
	first := lines[0].ref
	related := &corev1.ObjectReference{Kind: first.Kind, Namespace: first.Namespace, Name: first.Name}
	r.events.Eventf(d, related, corev1.EventTypeNormal, reason, action, "%s", clip(note))
}
