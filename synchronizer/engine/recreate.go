package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

const (
	// vacateTimeout is how long a worker waits for a deleted object to be gone, with
	// looks from firstLook doubling to lastLook in between.
	vacateTimeout = 3 * time.Second
	firstLook     = 20 * time.Millisecond
	lastLook      = 500 * time.Millisecond
)

// awaited says that a step goes on in a later pass.
type awaited struct{ what string }

func (a *awaited) Error() string { return "waiting for " + a.what }

// frozen are the fields that the API server refuses to change in an object that
// is there; empty when err says something else.
func frozen(err error) []string {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var fields []string
	for _, c := range status.Status().Details.Causes {
		if unchangeable(c.Message) && !slices.Contains(fields, c.Field) {
			fields = append(fields, c.Field)
		}
	}
	return fields
}

// unchangeable recognises what Kubernetes' validation says of a field that must
// keep its value.
func unchangeable(message string) bool {
	message = strings.ToLower(message)
	for _, words := range []string{"immutable", "may not change", "may not be changed", "cannot be changed", "cannot change", "can not be less than"} {
		if strings.Contains(message, words) {
			return true
		}
	}
	return strings.Contains(message, "updates") && strings.Contains(message, "forbidden")
}

// refit decides about a step whose live object cannot be changed as wanted: it is
// re-created where an annotation allows it, and refused otherwise. Nothing is
// deleted here.
func refit(ctx context.Context, client metadata.Interface, s *Step, refusal error) error {
	live, err := look(ctx, client, s)
	if err != nil {
		return err
	}
	if live == nil {
		return refusal
	}
	found := liveDirectives(live, ownEntry(live))
	if s.back {
		found.recreate = readDirectives(live.Annotations).recreate
	}
	s.asks = s.asks.with(&found)
	switch {
	case s.asks.untouched() != "":
		s.leave(s.asks.untouched())
		return nil
	case s.asks.mode == ifNotPresent:
		s.leave(s.asks.modeBy + ", and it is there")
		return nil
	case s.asks.recreate == "":
		return refusal
	}
	s.Action, s.uid, s.deleting = Recreate, live.UID, live.DeletionTimestamp != nil
	s.Reason = fmt.Sprintf("%s cannot be changed (%s)", strings.Join(frozen(refusal), ", "), s.asks.recreate)
	if err := rehearseRemoval(ctx, client, s); err != nil {
		return err
	}
	return rehearseCopy(ctx, client, s)
}

// rehearseRemoval asks whether the object may be deleted.
func rehearseRemoval(ctx context.Context, client metadata.Interface, s *Step) error {
	err := persist(ctx, func(ctx context.Context) error {
		return client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Delete(ctx, s.Ref.Name, metav1.DeleteOptions{
			DryRun: []string{metav1.DryRunAll}, Preconditions: &metav1.Preconditions{UID: &s.uid}})
	})
	if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
		return nil // gone meanwhile, or a webhook that does not support dry runs
	}
	return err
}

// rehearseCopy dry-runs the creation under another name, since its own is taken.
// What that cannot show makes the step unchecked.
func rehearseCopy(ctx context.Context, client metadata.Interface, s *Step) error {
	content, err := renamed(s.body, alias(s.Ref.Name))
	if err != nil {
		return err
	}
	double := *s
	double.Ref.Name, double.body = alias(s.Ref.Name), content
	_, err = patch(ctx, client, &double, true, true)
	if err != nil && !namesake(err) {
		return err
	}
	s.unchecked = err != nil
	return nil
}

// namesake says that a refusal of the copy may come from its name, or from the
// original that is still there: no verdict about the object.
func namesake(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || transient(err) || misshapen(err) {
		return false
	}
	switch {
	case apierrors.IsInvalid(err) && status.Status().Details != nil:
		return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
			return strings.HasPrefix(c.Field, "metadata.name") || strings.Contains(c.Message, "already allocated")
		})
	case apierrors.IsBadRequest(err):
		return strings.Contains(err.Error(), "does not support dry run")
	}
	// A missing right to create shows only here; one to patch may be for names.
	return !strings.Contains(err.Error(), "cannot create resource")
}

// alias is another name for an object, valid wherever the first is.
func alias(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("%s-%x", strings.TrimRight(name[:min(len(name), 50)], "-."), sum[:4])
}

// renamed is the body of an object under another name.
func renamed(body []byte, name string) ([]byte, error) {
	var o map[string]any
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, err
	}
	if meta, ok := o["metadata"].(map[string]any); ok {
		meta["name"] = name
	}
	return json.Marshal(o)
}

// vacate deletes the object of a Recreate and waits a moment for it to be gone, if an
// earlier pass did not so already. The error is an *awaited when that takes longer.
func (e *Engine) vacate(ctx context.Context, client metadata.Interface, s *Step) error {
	e.tracker.forget(s.Ref)
	if _, err := remove(ctx, client, s); err != nil {
		return err
	}
	pause := firstLook
	for deadline := time.Now().Add(vacateTimeout); ; pause = min(2*pause, lastLook) {
		live, err := look(ctx, client, s)
		if err != nil {
			return err
		}
		if live == nil || live.UID != s.uid {
			return nil
		}
		if s.deleting || time.Now().After(deadline) {
			return &awaited{fmt.Sprintf("%s to be deleted", s.Ref)}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
