package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// Prune deletes what the plan says, in reverse order of applying, and goes on
// past what cannot be deleted. An object that is gone already, or was replaced
// by a namesake, is left in peace. One outside the target's namespace that the
// user may not delete becomes Keep, until it changes: anybody can put an
// owner's label there. The error is a *Failures; the report is valid in either
// case.
func (e *Engine) Prune(ctx context.Context, p *Plan) (Report, error) {
	var report Report
	client, err := e.writer(p.user)
	if err != nil {
		return report, err
	}
	var doomed []*Step
	for _, s := range p.Steps {
		// Whether one that is going already may be waited for, only asking shows.
		if s.Action == Prune && (!s.deleting || p.outside(s.Ref)) {
			doomed = append(doomed, s)
		}
	}
	var errs []error
	for rest := doomed; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(s *Step) bool { return s.stage != rest[0].stage })
		if n < 0 {
			n = len(rest)
		}
		errs = append(errs, each(ctx, rest[:n], func(s *Step) error { return e.pruneStep(ctx, client, p, s) })...)
		rest = rest[n:]
	}
	failures := map[*Step]bool{}
	for i, s := range doomed {
		failures[s] = errs[i] != nil
		if s.Action == Prune && !s.deleting && errs[i] == nil {
			if s.Hook == "" { // a hook that is over is no news
				report.Pruned = append(report.Pruned, s.Ref)
			}
		}
	}
	slices.SortFunc(report.Pruned, compareRefs)
	for _, s := range p.Steps {
		if s.Action == Keep {
			report.Kept = append(report.Kept, s.Ref)
		}
	}
	report.Pending = e.pending(p, failures)
	return report, failed("pruning", doomed, errs, p.user)
}

func (e *Engine) pruneStep(ctx context.Context, client metadata.Interface, p *Plan, s *Step) error {
	e.tracker.forget(s.Ref)
	absent, err := remove(ctx, client, s)
	if absent {
		e.tracker.absent(s.Ref, s.uid)
	}
	if !apierrors.IsForbidden(err) || !p.outside(s.Ref) {
		return err
	}
	e.spare(p, s)
	return nil
}

// spare keeps what the user may not delete.
func (e *Engine) spare(p *Plan, s *Step) {
	user := p.user
	if user == "" {
		user = "the synchronizer"
	}
	s.Action, s.Reason = Keep, "may not be deleted by "+user
	e.tracker.spare(s.Ref, s.uid, s.Reason)
}

// remove deletes the very object that the plan saw, whatever has its name now. Absent
// says that the API server has nothing of that name.
func remove(ctx context.Context, client metadata.Interface, s *Step) (absent bool, err error) {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.uid},
		PropagationPolicy: &background,
	}
	err = persist(ctx, func(ctx context.Context) error {
		err := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Delete(ctx, s.Ref.Name, options)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			// What serves no such path knows nothing of the object.
			absent = apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
			return nil
		}
		return err
	})
	return absent, err
}

// pending lists objects of the plan's Prune steps that the watches still show,
// but for those that failed.
func (e *Engine) pending(p *Plan, failures map[*Step]bool) []ObjectRef {
	var out []ObjectRef
	if p.Count(Prune) == 0 {
		return nil
	}
	records := e.tracker.records(p.Owner, nil)
	for _, s := range p.Steps {
		if r, there := records[s.Ref]; there && s.Action == Prune && !failures[s] && r.uid == s.uid {
			out = append(out, s.Ref)
		}
	}
	return out
}

// DeleteAll deletes everything that t.Owner has of t.Kinds, by the rules of
// pruning: nothing when t.Prune is false, protected kinds only with
// t.PruneProtected. There is no budget, but what asks to stay then does. It is done when the report has nothing Pending; news of
// the rest arrives through changed. Kinds that the cluster still knows but that
// cannot be watched now are an error, after the rest was deleted.
func (e *Engine) DeleteAll(ctx context.Context, t Target) (Report, error) {
	t.Objects = nil
	l := e.kinds.lookup(nil)
	inventory, err := e.survey(ctx, t, l, nil)
	if err != nil {
		return Report{}, err
	}
	var blind error
	if missing := e.watches.missing(inventory); len(missing) > 0 && t.Prune {
		blind = fmt.Errorf("deleting all of %v: %w; hint: bring back what serves it (kubectl get apiservices), or remove its APIService or CustomResourceDefinition",
			sortKinds(missing), errNotListed)
	}
	p := &Plan{Owner: t.Owner, user: t.User, namespace: t.Namespace}
	records := e.tracker.records(t.Owner, nil)
	p.Steps = strays(t, nil, records, false)
	for _, s := range p.Steps {
		if reason := keepLast(records[s.Ref]); reason != "" && s.Action == Prune {
			s.Action, s.Reason = Keep, reason
		}
	}
	if err := e.locate(l, p); err != nil {
		return Report{}, err
	}
	report, err := e.Prune(ctx, p)
	return report, errors.Join(err, blind)
}
