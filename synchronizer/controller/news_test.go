package controller

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
)

// reasons are those of the Events that were written.
type reasons []string

func (r *reasons) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	*r = append(*r, reason)
}

// TestNewsIsToldOnce: what is known of a release is told once, while the registry comes
// and goes and the condition with it.
func TestNewsIsToldOnce(t *testing.T) {
	one, two := release("one"), release("two")
	one.Findings = []string{"policy \"strict\" (Audit): it is not signed"}
	ready := func(status metav1.ConditionStatus, reason string) *metav1.Condition {
		return &metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason}
	}
	progressing, down := ready(metav1.ConditionUnknown, "Progressing"), ready(metav1.ConditionFalse, "Unavailable")
	delivered, revoked := ready(metav1.ConditionTrue, "Delivered"), ready(metav1.ConditionFalse, reasonRevoked)
	nothing, runs := synchronizer.Outcome{}, synchronizer.Outcome{Wanted: &one, Running: &one}
	older := synchronizer.Outcome{Wanted: &two, Running: &two, Older: true}

	type pass struct {
		out  synchronizer.Outcome
		now  *metav1.Condition
		want []string // reasons of Events, and that the end of trust is told
	}
	for _, tt := range []struct {
		name   string
		before *metav1.Condition
		passes []pass
	}{
		{"a finding", nil, []pass{
			{runs, progressing, nil}, {runs, delivered, []string{"AuditFinding"}}, {runs, delivered, nil},
			{runs, down, nil}, {nothing, down, nil}, {runs, delivered, nil},
			{older, delivered, []string{"PinnedOlder"}}, {runs, delivered, []string{"AuditFinding"}},
		}},
		{"a finding of before", delivered, []pass{{runs, delivered, nil}, {runs, down, nil}, {runs, delivered, nil}}},
		{"a new finding, and the condition is as it was", down, []pass{{older, down, nil}, {runs, down, []string{"AuditFinding"}}}},
		{"the end of trust", delivered, []pass{
			{nothing, revoked, []string{reasonRevoked}}, {nothing, revoked, nil}, {nothing, down, nil}, {nothing, revoked, nil},
			{runs, delivered, []string{"AuditFinding"}}, {nothing, revoked, []string{reasonRevoked}},
		}},
		{"the end of trust before", revoked, []pass{{nothing, revoked, nil}, {nothing, down, nil}, {nothing, revoked, nil}}},
	} {
		var events reasons
		r := &reconciler{events: &events}
		d := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "1"}}
		before := tt.before
		for i, p := range tt.passes {
			events = nil
			if r.inform(d, p.out, before, p.now) {
				events = append(events, reasonRevoked)
			}
			if !slices.Equal(events, p.want) {
				t.Errorf("%s, pass %d: told %v, want %v", tt.name, i+1, fmt.Sprint(events), p.want)
			}
			before = p.now
		}
	}
}
