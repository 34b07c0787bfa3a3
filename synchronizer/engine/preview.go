package engine

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Change is what a step makes of its object, without what the API server keeps
// for itself (status, managedFields, versions, times).
type Change struct {
	Ref    ObjectRef
	Action Action
	// Reason says in words why; empty where the action says it all.
	Reason string
	// Before is the live object; nil when there is none. Both are nil for Skip and
	// Keep, which change nothing.
	Before *unstructured.Unstructured
	// After is the API server's dry run; the wanted object where that cannot be had,
	// and nil for Prune.
	After *unstructured.Unstructured
}

// Preview shows what Apply and Prune would do, in their order, for every step of a
// plan that was preflighted but the unchanged ones. It reads as the plan's user and
// writes nothing. The error is a *Failures.
func (e *Engine) Preview(ctx context.Context, p *Plan) ([]Change, error) {
	client, err := e.objects(p.user)
	if err != nil {
		return nil, err
	}
	var steps []*Step
	at := map[*Step]int{}
	for _, s := range p.Steps {
		if s.Action != Unchanged {
			at[s] = len(steps)
			steps = append(steps, s)
		}
	}
	changes := make([]Change, len(steps))
	errs := each(ctx, steps, func(s *Step) error {
		change, err := preview(ctx, client, s)
		changes[at[s]] = change
		return err
	})
	return changes, failed("previewing", steps, errs, p.user)
}

// objects reads and dry-runs whole objects as user.
func (e *Engine) objects(user string) (dynamic.Interface, error) {
	if user == "" {
		return e.dynamic, nil
	}
	config := rest.CopyConfig(e.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("acting as %s: %w", user, err)
	}
	return client, nil
}

func preview(ctx context.Context, client dynamic.Interface, s *Step) (Change, error) {
	change := Change{Ref: s.Ref, Action: s.Action, Reason: s.Reason}
	if s.Action == Skip || s.Action == Keep {
		return change, nil
	}
	objects := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace)
	err := persist(ctx, func(ctx context.Context) error {
		live, err := objects.Get(ctx, s.Ref.Name, metav1.GetOptions{})
		if err == nil {
			change.Before = essence(live)
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	if err != nil || s.Action == Prune {
		return change, err
	}
	change.After, err = s.outcome(ctx, objects)
	return change, err
}

// outcome is the object as a dry run says that it will be.
func (s *Step) outcome(ctx context.Context, objects dynamic.ResourceInterface) (*unstructured.Unstructured, error) {
	if s.unchecked || s.resource.definition != "" { // the API server does not serve it yet
		wanted := &unstructured.Unstructured{}
		if err := json.Unmarshal(s.body, &wanted.Object); err != nil {
			return nil, err
		}
		return essence(wanted), nil
	}
	name, body := s.Ref.Name, s.body
	if s.Action == Recreate { // as in preflight: its own name is taken
		var err error
		name = alias(name)
		if body, err = renamed(body, name); err != nil {
			return nil, err
		}
	}
	force := true
	var after *unstructured.Unstructured
	err := persist(ctx, func(ctx context.Context) error {
		answer, err := objects.Patch(ctx, name, types.ApplyPatchType, body, metav1.PatchOptions{
			FieldManager: FieldManager, Force: &force, DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		after = answer
		return err
	})
	if err != nil {
		return nil, err
	}
	after.SetName(s.Ref.Name)
	return essence(after), nil
}

// essence is an object without what the API server keeps for itself.
func essence(o *unstructured.Unstructured) *unstructured.Unstructured {
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"} {
		unstructured.RemoveNestedField(o.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(o.Object, "status")
	return o
}
