package engine

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/csaupgrade"
)

// adopt makes the fields of client-side managers ours, before the apply that
// then drops those that are not wanted.
func adopt(ctx context.Context, client metadata.Interface, s *Step) error {
	objects := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace)
	return persist(ctx, func(ctx context.Context) error {
		live, err := objects.Get(ctx, s.Ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("adopting: %w", err)
		}
		change, err := csaupgrade.UpgradeManagedFieldsPatch(live, legacyManagers(), FieldManager)
		if err != nil {
			return fmt.Errorf("adopting: %w", err)
		}
		if change == nil {
			return nil
		}
		if _, err := objects.Patch(ctx, s.Ref.Name, types.JSONPatchType, change, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("adopting: %w", err)
		}
		return nil
	})
}
