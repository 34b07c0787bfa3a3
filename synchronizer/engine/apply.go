package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

// Report is what Apply, Prune or DeleteAll did. The zero Report did nothing.
type Report struct {
	Created, Updated []ObjectRef
	Healed           []Healed
	// Recreated objects could not be changed as wanted; Created holds them too.
	Recreated []ObjectRef
	// Adopted objects were deployed before by others; Updated holds them too.
	Adopted []Adopted
	// Takeovers are the fields taken from other managers.
	Takeovers map[ObjectRef][]Takeover
	// Pruned objects were deleted; Kept ones were spared, see the plan's reasons.
	Pruned, Kept []ObjectRef
	// Pending objects are deleted, and not yet confirmed to be gone.
	Pending []ObjectRef
	// Awaits says what a later wave or a hook waits for; empty when all of the plan
	// was applied. News of it arrives through changed, and another pass goes on.
	Awaits string
}

// Adopted is an object that was taken over with the fields of its earlier deployers.
type Adopted struct {
	Ref      ObjectRef
	Managers []string
}

// Healed is one corrected drift.
type Healed struct {
	Ref   ObjectRef
	Drift Drift
	// Latency is from the watch's news of the drift to the API server's answer.
	Latency time.Duration
}

// Apply does the plan's writes, stage by stage. A stage begins when all of the
// one before succeeded; the error is a *Failures that names what did not. The
// report is valid in either case.
func (e *Engine) Apply(ctx context.Context, p *Plan) (Report, error) {
	var report Report
	client, err := e.writer(p.user)
	if err != nil {
		return report, err
	}
	for at := foundations; at <= gates; at++ {
		steps := p.stage(at)
		if len(steps) == 0 {
			continue
		}
		if err := e.open(ctx, p, at, steps); err != nil {
			return report, err
		}
		if err := e.applyStage(ctx, client, p, steps, &report); err != nil || report.Awaits != "" {
			return report, err
		}
	}
	return report, nil
}

// stage is the steps of one stage that write.
func (p *Plan) stage(at stage) []*Step {
	var steps []*Step
	for _, s := range p.Steps {
		if s.stage == at && s.writes() {
			steps = append(steps, s)
		}
	}
	return steps
}

// open waits for what a stage needs of those before it. A Namespace is active
// in the very answer that creates it; a definition takes a moment.
func (e *Engine) open(ctx context.Context, p *Plan, at stage, steps []*Step) error {
	if at != customs {
		return nil
	}
	need := map[schema.GroupKind]schema.GroupVersionResource{}
	done := map[string]bool{}
	for _, s := range steps {
		need[s.Ref.GroupKind()] = s.resource.gvr
		name := s.resource.definition
		if name == "" || done[name] {
			continue
		}
		done[name] = true
		if err := e.established(ctx, name); err != nil {
			return fmt.Errorf("waiting for CustomResourceDefinition %s: %w", name, err)
		}
	}
	e.kinds.mapper.Reset()
	return e.watchFresh(ctx, p.Owner, need)
}

func (e *Engine) applyStage(ctx context.Context, client metadata.Interface, p *Plan, steps []*Step, report *Report) error {
	var mu sync.Mutex
	errs := each(ctx, steps, func(s *Step) error {
		healed, err := e.applyStep(ctx, client, p.Owner, s)
		mu.Lock()
		defer mu.Unlock()
		if later := (*awaited)(nil); errors.As(err, &later) {
			report.Awaits = later.what
			return nil
		}
		if err != nil {
			return err
		}
		report.add(s, healed)
		return nil
	})
	report.sort()
	return failed("applying", steps, errs, p.user)
}

// applyStep writes one object; it returns the drift that the write ended.
func (e *Engine) applyStep(ctx context.Context, client metadata.Interface, owner Owner, s *Step) (*Healed, error) {
	e.tracker.begin(s.Ref, owner)
	if err := e.prepare(ctx, client, s); err != nil {
		e.tracker.abandon(s.Ref)
		return nil, err
	}
	answer, err := patch(ctx, client, s, false, true)
	if apierrors.IsNotFound(err) && s.resource.definition != "" {
		// The API server's endpoint may trail the definition's condition.
		answer, err = patchLate(ctx, client, s)
	}
	if err != nil {
		e.tracker.abandon(s.Ref)
		return nil, err
	}
	ended := e.tracker.settle(s.Ref, owner, s.wanted, answer)
	if s.Action != Heal {
		return nil, nil
	}
	now := e.tracker.now()
	e.tracker.fought(s.Ref, now)
	if ended == nil {
		ended = s.Drift
	}
	return &Healed{Ref: s.Ref, Drift: *ended, Latency: now.Sub(ended.Observed)}, nil
}

// prepare does what has to come before the apply of a step.
func (e *Engine) prepare(ctx context.Context, client metadata.Interface, s *Step) error {
	switch s.Action {
	case Adopt:
		return adopt(ctx, client, s)
	case Recreate:
		return e.vacate(ctx, client, s)
	}
	return nil
}

func (r *Report) add(s *Step, healed *Healed) {
	switch s.Action {
	case Create:
		r.Created = append(r.Created, s.Ref)
	case Update:
		r.Updated = append(r.Updated, s.Ref)
	case Recreate:
		r.Created = append(r.Created, s.Ref)
		r.Recreated = append(r.Recreated, s.Ref)
	case Adopt:
		r.Updated = append(r.Updated, s.Ref)
		r.Adopted = append(r.Adopted, Adopted{Ref: s.Ref, Managers: s.adopted})
	case Heal:
		r.Healed = append(r.Healed, *healed)
	}
	if len(s.Takeovers) > 0 {
		if r.Takeovers == nil {
			r.Takeovers = map[ObjectRef][]Takeover{}
		}
		r.Takeovers[s.Ref] = s.Takeovers
	}
}

func (r *Report) sort() {
	for _, list := range [][]ObjectRef{r.Created, r.Updated, r.Recreated} {
		slices.SortFunc(list, compareRefs)
	}
	slices.SortFunc(r.Adopted, func(a, b Adopted) int { return compareRefs(a.Ref, b.Ref) })
	slices.SortFunc(r.Healed, func(a, b Healed) int { return compareRefs(a.Ref, b.Ref) })
}
