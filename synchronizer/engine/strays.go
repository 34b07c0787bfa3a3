package engine

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// strays decides for what the owner has and no longer wants, in the order of
// deletion: the reverse of the order of applying.
func strays(t Target, wanted map[ObjectRef]struct{}, records map[ObjectRef]record, empty bool) []*Step {
	var out []*Step
	for ref, r := range records {
		if _, ok := wanted[ref]; ok || r.owner != t.Owner || !r.owned || r.rv == 0 {
			continue
		}
		s := &Step{Ref: ref, Wave: r.wave, uid: r.uid, deleting: r.deleting}
		s.stage, s.rank = place(ref.GroupKind(), false)
		if isCustom(ref.Group) {
			s.stage = customs
		}
		s.Action, s.Reason = Prune, pruneReason(r)
		if reason := keepStray(t, empty, r); reason != "" {
			s.Action, s.Reason = Keep, reason
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Step) int { return compareSteps(b, a) })
	return out
}

func pruneReason(r record) string {
	if r.deleting {
		return "being deleted"
	}
	return "no longer in the release"
}

// keepStray says why an unwanted object stays; empty when it may go.
func keepStray(t Target, empty bool, r record) string {
	switch {
	case r.hook != nil && t.Settled && !r.doomed(t.Release):
		return "hook of another release"
	case empty:
		return "an empty set prunes nothing"
	case !t.Prune:
		return "pruning is off"
	case r.keep != "":
		return r.keep
	case protected(r.ref.GroupKind()) && !t.PruneProtected:
		return "protected kind"
	}
	return ""
}

// protected kinds take more with them than themselves.
func protected(gk schema.GroupKind) bool {
	switch gk.Group {
	case coreGroup:
		return gk.Kind == "Namespace" || gk.Kind == "PersistentVolume" || gk.Kind == "PersistentVolumeClaim"
	default:
		return isDefinition(gk)
	}
}

// isCustom guesses from the group whether a definition may be behind a kind;
// it only moves deletions before those of definitions and workloads.
func isCustom(group string) bool {
	return strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io")
}
