package controller

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/compare"
)

// veil hides what substituteFrom took from Secrets: who refuses an object quotes it, and
// who may read a Delivery, its Events or the log need not be one who may read Secrets.
func (r *reconciler) veil(ctx context.Context, d *v1alpha1.Delivery, err error) error {
	isSecret := func(from v1alpha1.SubstituteSource) bool { return from.Kind == "Secret" }
	if err == nil || !slices.ContainsFunc(d.Spec.SubstituteFrom, isSecret) {
		return err
	}
	// The pass that failed has read them, and watches them; this one ends none of that.
	values, unknown := secretVariables(ctx, d, r.sources.reading(client.ObjectKeyFromObject(d)).content)
	if unknown != nil {
		return err
	}
	return compare.NewMask(values, nil).Error(err)
}
