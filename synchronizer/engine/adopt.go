package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// lastApplied is the annotation in which client-side kubectl keeps an object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// deployer says that a manager's entry is of one that deployed the object before.
// Its fields become ours, also those that agree with ours: what a later release
// drops would stay for ever otherwise.
func deployer(m metav1.ManagedFieldsEntry) bool {
	switch m.Manager {
	case "kubectl", "kubectl-client-side-apply", "kubectl-last-applied", "before-first-apply",
		"kustomize-controller", "argocd-controller", "helm", "helm-controller":
		return m.Subresource == "" && m.FieldsV1 != nil
	}
	return false
}

// deployers are the names of the managers whose fields are taken over.
func deployers(entries []metav1.ManagedFieldsEntry) []string {
	var names []string
	for _, m := range entries {
		if deployer(m) && !slices.Contains(names, m.Manager) {
			names = append(names, m.Manager)
		}
	}
	slices.Sort(names)
	return names
}

// adopt makes the fields of earlier deployers ours, before the apply that then
// drops those that are not wanted. No value changes but kubectl's own annotation.
func adopt(ctx context.Context, client metadata.Interface, s *Step) error {
	objects := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace)
	err := persist(ctx, func(ctx context.Context) error {
		live, err := objects.Get(ctx, s.Ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		change, err := adoption(live)
		if err != nil || change == nil {
			return err
		}
		_, err = objects.Patch(ctx, s.Ref.Name, types.JSONPatchType, change, metav1.PatchOptions{FieldManager: FieldManager})
		return err
	})
	if err != nil {
		return fmt.Errorf("adopting: %w", err)
	}
	return nil
}

// adoption is the JSON patch that hands the fields of earlier deployers to us; nil
// when there are none. It fails with a conflict when the object changed meanwhile.
func adoption(live *metav1.PartialObjectMetadata) ([]byte, error) {
	entries, changed, err := handOver(live.ManagedFields)
	if err != nil || !changed {
		return nil, err
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	patch := []operation{
		{"replace", "/metadata/managedFields", entries},
		{"replace", "/metadata/resourceVersion", live.ResourceVersion},
	}
	if _, there := live.Annotations[lastApplied]; there {
		patch = append(patch, operation{"remove", "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", nil})
	}
	return json.Marshal(patch)
}

// handOver joins the entries of deployers with our own.
func handOver(entries []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, bool, error) {
	var ours *metav1.ManagedFieldsEntry
	var rest, theirs []metav1.ManagedFieldsEntry
	for _, m := range entries {
		switch {
		case deployer(m):
			theirs = append(theirs, m)
		case m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == "" && m.FieldsV1 != nil:
			ours = m.DeepCopy()
		default:
			rest = append(rest, m)
		}
	}
	if len(theirs) == 0 {
		return nil, false, nil
	}
	if ours == nil {
		ours = theirs[0].DeepCopy()
		ours.Manager, ours.Operation = FieldManager, metav1.ManagedFieldsOperationApply
	}
	set := fieldSet(ours.FieldsV1.GetRawBytes())
	for _, m := range theirs {
		set = set.Union(fieldSet(m.FieldsV1.GetRawBytes()))
	}
	var joined bytes.Buffer
	if err := set.ToJSONStream(&joined); err != nil {
		return nil, false, err
	}
	ours.FieldsV1 = metav1.NewFieldsV1(joined.String())
	return append(rest, *ours), true, nil
}
