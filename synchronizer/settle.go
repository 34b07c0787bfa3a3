package synchronizer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/synchronizer/engine"
)

var (
	// ErrNoEnvironment is an environment that the release does not hold.
	ErrNoEnvironment = errors.New("no such environment")
	// ErrUnhealthy is a release that did not become healthy in time.
	ErrUnhealthy = errors.New("not healthy in time")
)

// settle brings the cluster to l and keeps it there: plan, preflight, apply,
// wait, prune. A nil watermark stands for a release that was accepted before.
func (s *Synchronizer) settle(ctx context.Context, d Delivery, l *loaded, watermark *Watermark, memo *memo, m Memory, out *Outcome) error {
	if fresh := l.release.Ref != m.State().Applied && l.release.Ref.Digest != m.State().Attempted; fresh && d.Blocked != nil {
		return at(Depend, d.Blocked)
	}
	objects, err := s.tailor(ctx, d, l, memo)
	if err != nil {
		return at(Tailor, err)
	}
	target := s.target(d, l, m.State())
	target.Judge = memo.vitals.judge
	target.Objects = objects
	s.step(d, Plan)
	plan, err := s.engine.Plan(ctx, target)
	if err != nil {
		return at(Plan, err)
	}
	if err := memo.failed(l, plan); err != nil && givesUp(d, l, m.State()) {
		out.Running, out.Kinds = &l.release, plan.Kinds()
		out.Quarantine = s.lament(ctx, d, plan, memo, out, err)
		return err
	}
	if stuck := memo.stuck; stuck.err != nil && stuck.release == l.release.Ref && plan.Count(engine.Create, engine.Update) > 0 && time.Now().Before(memo.retry) {
		out.Running, out.Kinds = &l.release, plan.Kinds()
		return stuck.err
	}
	plan.Resume(memo.paused)
	memo.paused = nil
	s.step(d, Preflight)
	if err := s.engine.Preflight(ctx, plan); err != nil {
		return at(Preflight, err)
	}
	s.step(d, Begin)
	if err := begin(ctx, l, watermark, plan, m); err != nil {
		return at(Begin, err)
	}
	out.Running, out.Kinds, out.Confirm, out.Irreversible = &l.release, plan.Kinds(), plan.Confirm, m.State().Irreversible
	out.Unchecked = plan.Unchecked
	s.step(d, Apply)
	plan.Attempt(attempt(d, l, m.State()))
	out.Report, err = s.engine.Apply(ctx, plan)
	out.drift(plan)
	memo.stuck.release, memo.stuck.err = l.release.Ref, at(Apply, err)
	if out.Report.Awaits != "" {
		memo.paused = plan
	}
	if err != nil {
		err = at(Apply, err)
		return s.fail(ctx, d, l, plan, memo, m, out, err, final(err))
	}
	s.step(d, Wait)
	if err := s.wait(ctx, d, target, memo, m, out); err != nil || out.Report.Awaits != "" || out.Health.Ready < out.Health.Total {
		err = at(Wait, err)
		return s.fail(ctx, d, l, plan, memo, m, out, err, errors.Is(err, ErrUnhealthy))
	}
	s.step(d, Prune)
	pruned, err := s.engine.Prune(ctx, plan)
	out.Report.Pruned, out.Report.Kept = pruned.Pruned, pruned.Kept
	if err != nil {
		return at(Prune, err)
	}
	out.Kinds = s.engine.Remaining(plan)
	if plan.Leftovers() {
		out.NextCheck = time.Now()
	}
	out.Healthy, out.Confirmed = true, s.engine.Confirmation(plan)
	return nil
}

// fail decides what becomes of a release that failed with err, and maybe for good.
func (s *Synchronizer) fail(ctx context.Context, d Delivery, l *loaded, plan *engine.Plan, memo *memo, m Memory, out *Outcome, err error, forGood bool) error {
	if !forGood || !s.lament(ctx, d, plan, memo, out, err) {
		return err
	}
	out.Quarantine = givesUp(d, l, m.State())
	return held(d, l, m.State(), err)
}

func (s *Synchronizer) target(d Delivery, l *loaded, state State) engine.Target {
	return engine.Target{
		Owner:          d.Owner(),
		User:           d.User,
		Namespace:      d.Namespace,
		Kinds:          state.Kinds,
		Prune:          d.Prune,
		PruneProtected: d.PruneProtected,
		Correct:        d.Correct,
		Settled:        settled(d, l, state),
		Release:        l.release.Ref.Digest.String(),
		Attempt:        attempt(d, l, state),
		Confirmed:      state.Confirmed,
		Ignore:         d.Ignore,
		MaxPrune:       d.MaxPrune,
		Reapply:        s.options.Reapply,
		AwaitedOf:      state.AwaitedOf,
		ConfirmedPrune: d.Confirmed,
		Back:           l.release.Ref == state.Applied && state.Attempted != "", // taken back, not dropped
	}
}

// attempt names the one at l that was begun; empty: none was. What runs is no new
// release when it is tailored in another way: that way names the attempt.
func attempt(d Delivery, l *loaded, state State) string {
	switch {
	case l.release.Ref.Digest == state.Attempted:
		return state.Attempt
	case l.release.Ref == state.Applied && d.Tailored != state.Tailored:
		return "tailored-" + d.Tailored
	}
	return ""
}

// begin saves the intent when this pass brings a new release, attempt or kinds.
func begin(ctx context.Context, l *loaded, watermark *Watermark, plan *engine.Plan, m Memory) error {
	state := m.State()
	intent := Intent{Release: l.release, Kinds: plan.Kinds(), Confirm: plan.Confirm, Irreversible: done(l, state, plan.Irreversible)}
	if watermark != nil && *watermark != state.Accepted[watermark.Repository] {
		intent.Accepted = *watermark
	}
	known := l.release.Ref == state.Applied || l.release.Ref.Digest == state.Attempted && !state.Renewed && len(intent.Irreversible) == len(state.Irreversible)
	newKind := func(kind schema.GroupKind) bool { return !slices.Contains(state.Kinds, kind) }
	asked := plan.Confirm == nil || plan.Confirm.Of == state.AwaitedOf
	if known && asked && intent.Accepted == (Watermark{}) && !slices.ContainsFunc(intent.Kinds, newKind) {
		return nil
	}
	return m.Begin(ctx, intent)
}

// wait looks at the objects' health once; events bring the next pass. What was
// healthy before and is not now is no rollout that has a deadline.
func (s *Synchronizer) wait(ctx context.Context, d Delivery, target engine.Target, memo *memo, m Memory, out *Outcome) error {
	if out.Report.Awaits != "" {
		return s.await(ctx, d, target, memo, out)
	}
	found, err := s.engine.Health(ctx, target)
	if err != nil {
		return err
	}
	settled := target.Settled && m.State().Attempted == "" // or it is on its way back
	health, pause := memo.vitals.told.look(out.Running.Ref, found, !settled, time.Now())
	out.Health = health
	if pause > 0 {
		out.checkBy(time.Now().Add(pause))
	}
	out.Degraded = health.Degraded && settled
	if health.Ready == health.Total || out.Degraded {
		memo.unhealthy = unhealthy{}
		return nil
	}
	out.Waited = memo.unhealthy.look(out.Running.Ref, wrote(out.Report))
	deadline := time.Now().Add(d.Timeout - out.Waited)
	if out.Waited < d.Timeout {
		out.Deadline = deadline
		return nil
	}
	return fmt.Errorf("%w: %d of %d objects are ready after %s: %s", ErrUnhealthy, health.Ready, health.Total, d.Timeout, Unhealthy(health))
}

// checkBy has another look taken at a time, at the latest.
func (o *Outcome) checkBy(at time.Time) {
	if o.NextCheck.IsZero() || at.Before(o.NextCheck) {
		o.NextCheck = at
	}
}

// goesBack says that a failed release is given up for the last good one.
func goesBack(d Delivery, l *loaded, state State) bool {
	ref := l.release.Ref
	return d.Rollback && state.Applied.Digest != "" && state.Applied != ref && state.Attempted == ref.Digest
}

// final says that the API server refused a write for good.
func final(err error) bool {
	var failures *engine.Failures
	return errors.As(err, &failures) && !failures.Transient()
}

// holds says that a release which failed half-way stays as it is: the user does
// not want the last good one back.
func holds(d Delivery, state State) bool { return !d.Rollback && state.Attempted != "" }

// keepsWanted says that the cluster stays at the wanted release: it is on its
// way, or failed after the first write.
func keepsWanted(err error) bool {
	var step *Error
	if !errors.As(err, &step) {
		return err == nil
	}
	return step.Step == Apply || step.Step == Wait || step.Step == Prune
}

// drift says what differs from the release and stays so: because drift is only
// reported, or because someone undoes every correction.
func (o *Outcome) drift(plan *engine.Plan) {
	for _, step := range plan.Steps {
		switch {
		case !step.Until.IsZero():
			o.Contested++
			o.checkBy(step.Until)
			o.Drifted = append(o.Drifted, fmt.Sprintf("%s: contested, %s", step.Ref, step.Drift))
		case step.Action == engine.Drifted:
			o.Drifted = append(o.Drifted, fmt.Sprintf("%s: %s", step.Ref, step.Drift))
		}
	}
}

// Unhealthy names the first objects that are not ready, and why.
func Unhealthy(h engine.Health) string {
	const most = 3
	var named []string
	for _, o := range h.Unhealthy[:min(most, len(h.Unhealthy))] {
		named = append(named, fmt.Sprintf("%s is %s: %s", o.Ref, o.Status, o.Message))
	}
	if more := h.Total - h.Ready - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(named, "; ")
}
