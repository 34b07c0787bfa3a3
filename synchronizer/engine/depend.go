package engine

import (
	"context"
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// outsiders finds what steps that write wait for and the set does not hold. It is
// read as the user: what that one may not see is no dependency of his.
func (e *Engine) outsiders(ctx context.Context, l *lookup, p *Plan) error {
	if p.target.Settled {
		return nil
	}
	within := map[ObjectRef]bool{}
	for _, s := range p.Steps {
		within[s.Ref] = within[s.Ref] || s.Action != Prune && s.Action != Keep
	}
	for _, s := range p.Steps {
		for _, ref := range s.item.course.after {
			if within[ref] || !s.writes() {
				continue
			}
			if _, known := p.others[ref]; known {
				continue
			}
			r, err := l.find(ref.GroupKind())
			if meta.IsNoMatchError(err) {
				return fmt.Errorf("%s waits for %s, whose kind the cluster does not serve: %w", s.Ref, ref, ErrInvalidTarget)
			}
			if err != nil {
				return err
			}
			if p.others == nil {
				p.others = map[ObjectRef]*Step{}
			}
			p.others[ref] = &Step{Ref: ref, resource: r}
			v, err := e.outsider(ctx, p, ref)
			if err != nil {
				return fmt.Errorf("%s waits for %s: %w", s.Ref, ref, explain(p.others[ref], p.user, err))
			}
			if v.status == string(status.NotFoundStatus) {
				return fmt.Errorf("%s waits for %s, which is neither in the release nor in the cluster: %w", s.Ref, ref, ErrInvalidTarget)
			}
		}
	}
	return nil
}

// outsider says how an object is that the target waits for and does not hold.
func (e *Engine) outsider(ctx context.Context, p *Plan, ref ObjectRef) (verdict, error) {
	client, err := e.reader(p.user)
	if err != nil {
		return verdict{}, err
	}
	live, err := client.Resource(p.others[ref].resource.gvr).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return verdict{status: string(status.NotFoundStatus), message: "not there"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	return p.target.judge(ctx, live), nil
}

// reader is the client that reads as user.
func (e *Engine) reader(user string) (dynamic.Interface, error) {
	if user == "" {
		return e.dynamic, nil
	}
	config := rest.CopyConfig(e.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return dynamic.NewForConfig(config)
}

// waiting holds back the steps of a wave whose dependencies are not healthy, and
// what stands on those.
type waiting struct {
	plan  *Plan
	held  map[ObjectRef]bool
	known map[ObjectRef]verdict
}

// ready are the steps of a batch that may be written now; for the others, it says
// what they wait for.
func (e *Engine) ready(ctx context.Context, w *waiting, batch []*Step) (ready []*Step, waits []string, err error) {
	if w.plan.target.Settled {
		return batch, nil, nil
	}
	for _, s := range batch {
		why, err := e.holds(ctx, w, s)
		if err != nil {
			return nil, nil, err
		}
		if why == "" {
			ready = append(ready, s)
			continue
		}
		w.held[s.Ref] = true
		waits = append(waits, why)
	}
	return ready, waits, nil
}

func (e *Engine) holds(ctx context.Context, w *waiting, s *Step) (string, error) {
	for _, ref := range s.item.stands() {
		if w.held[ref] {
			return fmt.Sprintf("%s waits for %s", s.Ref, ref), nil
		}
	}
	for _, ref := range s.item.course.after {
		v, known := w.known[ref]
		if !known {
			var err error
			if v, err = e.dependency(ctx, w.plan, ref); err != nil {
				return "", fmt.Errorf("%s waits for %s: %w", s.Ref, ref, err)
			}
			w.known[ref] = v
		}
		if v.status != string(status.CurrentStatus) {
			return fmt.Sprintf("%s waits for %s, which is %s: %s", s.Ref, ref, v.status, v.message), nil
		}
	}
	return "", nil
}

// dependency says how an object is that another one waits for.
func (e *Engine) dependency(ctx context.Context, p *Plan, ref ObjectRef) (verdict, error) {
	if p.others[ref] != nil {
		return e.outsider(ctx, p, ref)
	}
	for _, s := range p.Steps {
		if s.Ref != ref || s.Action == Prune || s.Action == Keep {
			continue
		}
		states, err := e.states(ctx, p, []*Step{s})
		if err != nil {
			return verdict{}, err
		}
		return states[0], nil
	}
	return verdict{status: string(status.NotFoundStatus), message: "not there"}, nil
}
