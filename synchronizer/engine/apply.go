package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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
	// Ran are the hooks that were created.
	Ran []ObjectRef
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

// Apply does those of the plan's writes that may be done now: hooks before the
// rest, wave by wave, and within a wave stage by stage. A stage begins when all of
// the one before succeeded, a wave when the ones before are healthy. It waits for
// neither; the report says what the rest of the plan awaits. The error is a
// *Failures that names what did not succeed. The report is valid in either case.
func (e *Engine) Apply(ctx context.Context, p *Plan) (Report, error) {
	var report Report
	client, err := e.writer(p.user)
	if err != nil {
		return report, err
	}
	waves := p.waves()
	for i, wave := range waves {
		batches := writing(wave)
		if len(batches) == 0 {
			continue
		}
		if report.Awaits, err = e.gate(ctx, p, waves[:i]); report.Awaits != "" || err != nil {
			return report, err
		}
		if report.Awaits, err = e.applyWave(ctx, client, p, batches, &report); report.Awaits != "" || err != nil {
			return report, err
		}
	}
	report.Awaits, err = e.hooksDone(ctx, p)
	return report, err
}

// writing are the steps of a wave that write, by depth and stage.
func writing(wave []*Step) [][]*Step {
	var batches [][]*Step
	var last *Step
	for _, s := range wave {
		if !s.writes() {
			continue
		}
		if last == nil || last.depth != s.depth || last.stage != s.stage {
			batches = append(batches, nil)
		}
		batches[len(batches)-1], last = append(batches[len(batches)-1], s), s
	}
	return batches
}

// applyWave says what those objects of a wave wait for that were not written.
func (e *Engine) applyWave(ctx context.Context, client metadata.Interface, p *Plan, batches [][]*Step, report *Report) (string, error) {
	w := &waiting{plan: p, held: map[ObjectRef]bool{}, known: map[ObjectRef]verdict{}}
	var waits []string
	for _, batch := range batches {
		ready, why, err := e.ready(ctx, w, batch)
		waits = append(waits, why...)
		if err != nil {
			return "", err
		}
		if len(ready) == 0 {
			continue
		}
		if why, err := e.open(ctx, p, ready); why != "" || err != nil {
			waits = append(waits, why)
			if err != nil {
				return "", err
			}
			continue
		}
		why, err = e.applyStage(ctx, client, p, ready, report)
		waits = append(waits, why...)
		if err != nil {
			return "", err
		}
	}
	return inWords(waits), nil
}

// open says what a batch still waits for of those before it. A Namespace is active
// in the very answer that creates it; a definition takes a moment, which is waited
// for, and may take longer.
func (e *Engine) open(ctx context.Context, p *Plan, steps []*Step) (string, error) {
	if steps[0].stage != customs {
		return "", nil
	}
	brief, cancel := context.WithTimeout(ctx, establishTimeout)
	defer cancel()
	err := e.defined(brief, p, steps)
	if err != nil && brief.Err() != nil && ctx.Err() == nil {
		return fmt.Sprintf("%s is not served yet", definitionRef(steps[0].resource.definition)), nil
	}
	return "", err
}

// defined waits until the kinds of custom resources are served and watched.
func (e *Engine) defined(ctx context.Context, p *Plan, steps []*Step) error {
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
	e.kinds.reset()
	return e.watchFresh(ctx, p.Owner, need)
}

// applyStage writes the objects of steps, side by side; it says what those wait for
// that cannot be written yet.
func (e *Engine) applyStage(ctx context.Context, client metadata.Interface, p *Plan, steps []*Step, report *Report) (waits []string, err error) {
	var mu sync.Mutex
	errs := each(ctx, steps, func(s *Step) error {
		healed, err := e.applyStep(ctx, client, p, s)
		var later *awaited
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.As(err, &later):
			waits = append(waits, later.what)
		case err != nil:
			return err
		default:
			report.add(s, healed)
		}
		return nil
	})
	report.sort()
	slices.Sort(waits)
	return waits, failed("applying", steps, errs, p.user)
}

// applyStep writes one object; it returns the drift that the write ended.
func (e *Engine) applyStep(ctx context.Context, client metadata.Interface, p *Plan, s *Step) (*Healed, error) {
	if s.Hook != "" {
		return nil, e.runHook(ctx, client, p, s)
	}
	owner := p.Owner
	e.tracker.begin(s.Ref, owner)
	if err := e.prepare(ctx, client, s); err != nil {
		e.tracker.abandon(s.Ref)
		return nil, err
	}
	answer, err := patch(ctx, client, s, false, true)
	if s.trails(err) {
		answer, err = patchLate(ctx, client, s)
	}
	if err != nil {
		if s.Action == Heal && s.asks.recreate != "" && len(frozen(err)) > 0 {
			e.tracker.forget(s.Ref) // the next plan preflights it, and re-creates it
		}
		e.tracker.abandon(s.Ref)
		return nil, err
	}
	ended := e.tracker.settle(s.Ref, owner, s.wanted, answer)
	if s.Action != Heal {
		return nil, nil
	}
	now := e.tracker.now()
	if ended == nil {
		ended = s.Drift
	}
	s.Until = e.tracker.fought(s.Ref, now, ended)
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
	case Run, Standby:
		r.Ran = append(r.Ran, s.Ref)
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
	for _, list := range [][]ObjectRef{r.Created, r.Updated, r.Recreated, r.Ran} {
		slices.SortFunc(list, compareRefs)
	}
	slices.SortFunc(r.Adopted, func(a, b Adopted) int { return compareRefs(a.Ref, b.Ref) })
	slices.SortFunc(r.Healed, func(a, b Healed) int { return compareRefs(a.Ref, b.Ref) })
}
