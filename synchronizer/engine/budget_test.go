package engine

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestBudgetLeavesHooks: that hooks are deleted surprises nobody.
func TestBudgetLeavesHooks(t *testing.T) {
	records, steps := budgeted(12, 12, 0)
	for _, s := range steps[:6] {
		s.Hook = PreSync
	}
	for _, s := range steps[6:11] {
		r := records[s.Ref]
		r.hook = &hookRun{phase: PostSync}
		records[s.Ref] = r
	}
	p := &Plan{Steps: steps}
	if p.budget(Target{Owner: "a.b"}, records, confirmation{}); p.Confirm != nil {
		t.Errorf("to be confirmed: %+v", p.Confirm)
	}
}

func TestBudget(t *testing.T) {
	number, share, none := intstr.FromInt32(3), intstr.FromString("25%"), intstr.FromInt32(0)
	tests := []struct {
		name          string
		limit         *intstr.IntOrString
		owned, doomed int
		marked        int // the first ones ask for a confirmation
		want          int // to confirm
	}{
		{"all of ten", nil, 10, 10, 0, 0},
		{"half of twelve", nil, 12, 6, 0, 0},
		{"more than half of twelve", nil, 12, 7, 0, 7},
		{"more than half of eleven", nil, 11, 6, 0, 6},
		{"a number", &number, 100, 3, 0, 0},
		{"more than a number", &number, 4, 4, 0, 4},
		{"a share", &share, 8, 2, 0, 0},
		{"more than a share", &share, 8, 3, 0, 3},
		{"nothing at all", &none, 8, 1, 0, 1},
		{"marked ones only", nil, 8, 5, 2, 2},
		{"marked ones among too many", &number, 8, 5, 2, 5},
		{"nothing to delete", &none, 8, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			target := Target{Owner: "a.b", MaxPrune: test.limit}
			records, steps := budgeted(test.owned, test.doomed, test.marked)
			p := &Plan{Steps: steps}
			p.budget(target, records, confirmation{})
			if got := p.Count(Keep); got != test.want || (p.Confirm != nil) != (test.want > 0) || p.Confirm != nil && len(p.Confirm.Objects) != test.want {
				t.Fatalf("%d are kept, want %d: %+v", got, test.want, p.Confirm)
			}
			if test.want == 0 {
				return
			}
			target.ConfirmedPrune = p.Confirm.Digest
			_, steps = budgeted(test.owned, test.doomed, test.marked)
			again := &Plan{Steps: steps}
			before := again.budget(target, records, confirmation{})
			if again.Confirm != nil || again.Count(Prune) != test.doomed {
				t.Fatal("what was confirmed is not pruned")
			}
			if test.want > 1 { // the first one is gone
				_, steps = budgeted(test.owned, test.doomed, test.marked)
				rest := &Plan{Steps: steps[1:]}
				if rest.budget(target, records, before); rest.Confirm != nil {
					t.Error("the rest of what was confirmed wants another confirmation")
				}
			}
			_, steps = budgeted(test.owned, test.doomed, test.marked)
			steps[0].uid = "of a namesake"
			if other := (&Plan{Steps: steps}); other.budget(target, records, before).digest == "" || other.Confirm == nil {
				t.Error("a namesake is taken for what was confirmed")
			}
			target.ConfirmedPrune, target.Back = "", true
			_, steps = budgeted(test.owned, test.doomed, test.marked)
			if free := (&Plan{Steps: steps}); free.budget(target, records, confirmation{}).digest != "" || free.Confirm != nil {
				t.Error("what is taken back wants a confirmation")
			}
		})
	}
}

// TestBudgetIsNotOfWhatStays: labels on objects that stay anyway make no deletion less
// surprising, and a hook that is over is no surprise.
func TestBudgetIsNotOfWhatStays(t *testing.T) {
	records, steps := budgeted(32, 32, 0)
	for _, s := range steps[12:] {
		s.Action, s.Reason = Keep, "an annotation"
	}
	if p := (&Plan{Steps: steps}); p.budget(Target{Owner: "a.b"}, records, confirmation{}).digest != "" || p.Confirm == nil || p.Confirm.Of != 12 {
		t.Errorf("12 of 12 deletions are confirmed as %+v", p.Confirm)
	}
	none := intstr.FromInt32(0)
	over := &Step{Ref: ObjectRef{Kind: "Job", Name: "x"}, Action: Prune, Hook: PreSync}
	if p := (&Plan{Steps: []*Step{over}}); p.budget(Target{Owner: "a.b", MaxPrune: &none}, records, confirmation{}).digest != "" || p.Confirm != nil {
		t.Errorf("a hook that is over is confirmed as %+v", p.Confirm)
	}
}

// budgeted are the records of an owner, and steps that prune the first of them.
func budgeted(owned, doomed, marked int) (map[ObjectRef]record, []*Step) {
	records := map[ObjectRef]record{{Kind: "ConfigMap", Name: "foreign"}: {owned: true, owner: "other", rv: 1}}
	var steps []*Step
	for i := range owned {
		ref := ObjectRef{Kind: "ConfigMap", Namespace: "n", Name: fmt.Sprint(i)}
		r := record{ref: ref, owner: "a.b", owned: true, rv: 1, uid: types.UID(fmt.Sprint(i))}
		if i < marked {
			r.asks = &directives{confirm: "x"}
		}
		records[ref] = r
		if i < doomed {
			steps = append(steps, &Step{Ref: ref, Action: Prune, uid: r.uid})
		}
	}
	return records, steps
}
