package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// maxHandedOver bounds how many objects one Event names.
const maxHandedOver = 10

// handedOver says in one Event each which objects were adopted from other deployers,
// and of which single fields were taken from other managers.
func (r *reconciler) handedOver(d *v1alpha1.Delivery, report engine.Report) {
	if n := len(report.Adopted); n > 0 {
		r.events.Eventf(d, nil, corev1.EventTypeNormal, "Adopted", "Apply", "%s", clip(adopted(report.Adopted)))
	}
	if n := len(report.Takeovers); n > 0 {
		r.events.Eventf(d, nil, corev1.EventTypeNormal, "TakenOver", "Apply", "%s", clip(takenOver(report.Takeovers)))
	}
}

func adopted(list []engine.Adopted) string {
	managers := map[string]bool{}
	var named []string
	for _, a := range list {
		for _, m := range a.Managers {
			managers[m] = true
		}
		named = append(named, a.Ref.String())
	}
	from := strings.Join(slices.Sorted(maps.Keys(managers)), ", ")
	return fmt.Sprintf("adopted %d objects that were deployed by %s: %s", len(list), from, some(named))
}

func takenOver(fields map[engine.ObjectRef][]engine.Takeover) string {
	var named []string
	for ref, taken := range fields {
		var parts []string
		for _, t := range taken {
			parts = append(parts, fmt.Sprintf("%s from %s", t.Field, cmp.Or(t.Manager, "another manager")))
		}
		named = append(named, fmt.Sprintf("%s: %s", ref, strings.Join(parts, ", ")))
	}
	slices.Sort(named)
	return "took over fields of " + some(named)
}

// some are the first entries of a list, and how many more there are.
func some(list []string) string {
	named := slices.Clone(list[:min(len(list), maxHandedOver)])
	if more := len(list) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(named, "; ")
}

// unchecked names objects that were applied without a dry run.
func unchecked(refs []engine.ObjectRef) string {
	var named []string
	for _, ref := range refs[:min(len(refs), maxHandedOver+1)] {
		named = append(named, ref.String())
	}
	if len(refs) > maxHandedOver {
		named[maxHandedOver] = fmt.Sprintf("and %d more", len(refs)-maxHandedOver)
	}
	return strings.Join(named, "; ")
}
