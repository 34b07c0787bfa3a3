package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"sealift.dev/synchronizer"
)

// TestWaitingIsNoSuccess: passes that fail are spaced out all the same where they have to
// wait in between.
func TestWaitingIsNoSuccess(t *testing.T) {
	r := &reconciler{passes: synchronizer.NewPasses(2, func(string, string) {})}
	limiter, one := r.limiter(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "one"}}
	limiter.When(one)
	r.passes.Begin("shop", "another")
	if r.passes.Begin("shop", "one") {
		t.Fatal("it need not wait")
	}
	if limiter.Forget(one); limiter.NumRequeues(one) != 1 {
		t.Error("its failure is forgotten because it waits")
	}
	r.passes.End("shop", "another")
	r.passes.Begin("shop", "one")
	r.passes.End("shop", "one")
	if limiter.Forget(one); limiter.NumRequeues(one) != 0 {
		t.Error("its failure is not forgotten after a pass that went well")
	}
}
