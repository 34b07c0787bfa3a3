package engine

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Diagnose says how a live object is, as Health would. A nil judge is kstatus alone.
func Diagnose(ctx context.Context, live *unstructured.Unstructured, judge Judge) ObjectHealth {
	gk := live.GroupVersionKind().GroupKind()
	h := ObjectHealth{Ref: ObjectRef{Group: gk.Group, Kind: gk.Kind, Namespace: live.GetNamespace(), Name: live.GetName()}}
	v := Target{Judge: judge}.judge(ctx, live)
	h.Status, h.Message = v.status, v.message
	return h
}

// OwnerIn is the owner of a live object; it is empty where the engine's own apply
// entry does not hold the label, as in a copy that a person made.
func OwnerIn(o metav1.Object) Owner {
	own := ownEntry(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ManagedFields: o.GetManagedFields()}})
	if own == nil || !own.ownsLabel {
		return ""
	}
	return Owner(o.GetLabels()[OwnerLabel])
}

// Place is where a kind comes in the order of applying.
func Place(gk schema.GroupKind) int {
	const most = 1000 // ranks in a stage
	s, rank := place(gk, false)
	return int(s)*most + rank
}
