package engine

import (
	"context"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// Prune deletes what the plan says, in reverse order of applying. An object
// that is gone already, or was replaced by a namesake, is left in peace. The
// error is a *Failures; the report is valid in either case.
func (e *Engine) Prune(ctx context.Context, p *Plan) (Report, error) {
	var report Report
	client, err := e.writer(p.user)
	if err != nil {
		return report, err
	}
	var doomed []*Step
	for _, s := range p.Steps {
		switch {
		case s.Action == Keep:
			report.Kept = append(report.Kept, s.Ref)
		case s.Action == Prune && !s.deleting:
			doomed = append(doomed, s)
		}
	}
	for len(doomed) > 0 {
		n := slices.IndexFunc(doomed, func(s *Step) bool { return s.stage != doomed[0].stage })
		if n < 0 {
			n = len(doomed)
		}
		if err := e.pruneStage(ctx, client, p, doomed[:n], &report); err != nil {
			return report, err
		}
		doomed = doomed[n:]
	}
	report.Pending = e.pending(p)
	return report, nil
}

func (e *Engine) pruneStage(ctx context.Context, client metadata.Interface, p *Plan, steps []*Step, report *Report) error {
	var mu sync.Mutex
	errs := each(ctx, steps, func(s *Step) error {
		e.tracker.forget(s.Ref)
		if err := remove(ctx, client, s); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		report.Pruned = append(report.Pruned, s.Ref)
		return nil
	})
	slices.SortFunc(report.Pruned, compareRefs)
	return failed("pruning", steps, errs, p.user)
}

// remove deletes the very object that the plan saw, whatever has its name now.
func remove(ctx context.Context, client metadata.Interface, s *Step) error {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &s.uid},
		PropagationPolicy: &background,
	}
	return persist(ctx, func(ctx context.Context) error {
		err := client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Delete(ctx, s.Ref.Name, options)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// pending lists objects of the plan's Prune steps that the watches still show.
func (e *Engine) pending(p *Plan) []ObjectRef {
	var out []ObjectRef
	records := e.tracker.records(p.Owner, nil)
	for _, s := range p.Steps {
		if r, there := records[s.Ref]; there && s.Action == Prune && r.uid == s.uid {
			out = append(out, s.Ref)
		}
	}
	return out
}

// DeleteAll deletes everything that t.Owner has of t.Kinds, by the rules of
// pruning: nothing when t.Prune is false, protected kinds only with
// t.PruneProtected. It is done when the report has nothing Pending; news of
// the rest arrives through changed.
func (e *Engine) DeleteAll(ctx context.Context, t Target) (Report, error) {
	t.Objects = nil
	l := e.kinds.lookup(nil)
	if _, err := e.survey(ctx, t, l, nil); err != nil {
		return Report{}, err
	}
	p := &Plan{Owner: t.Owner, user: t.User}
	p.Steps = strays(t, nil, e.tracker.records(t.Owner, nil), false)
	if err := e.locate(l, p); err != nil {
		return Report{}, err
	}
	return e.Prune(ctx, p)
}
