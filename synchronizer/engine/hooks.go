package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

// runAnnotation is on the object of a hook: the phase that it runs in, and the
// attempt at a release. It is how a later process knows what ran.
const runAnnotation = "sealift.dev/hook-run"

// onceReason is why a hook is left alone.
const onceReason = "runs once for each release"

// hookRun is what a live object says of itself as a hook.
type hookRun struct {
	phase   Phase
	release string
	attempt string
	ends    endings
}

// readRun reads a live object's annotations; nil for what is no hook.
func readRun(annotations map[string]string) *hookRun {
	phase, run, found := strings.Cut(annotations[runAnnotation], " ")
	if !found {
		return nil
	}
	h := &hookRun{phase: Phase(phase)}
	h.release, h.attempt, _ = strings.Cut(run, "@")
	var c course
	held := map[string]any{}
	for key, value := range annotations {
		held[key] = value
	}
	if c.readEndings(either(held, "hook-delete", "hook-delete-policy")) == nil {
		h.ends = c.ends
	}
	return h
}

// of says that the hook ran in this attempt at the target's release.
func (h *hookRun) of(t Target) bool {
	return h != nil && t.Attempt != "" && h.release == t.Release && h.attempt == t.Attempt
}

// doomed says that the object of a hook, which does not run any more, is to go. One
// of which nobody saw the end is taken for a success when its release is done.
func (r record) doomed(release string) bool {
	ends, seen := r.hook.ends, r.verdict.uid == r.uid && r.verdict.status != ""
	switch {
	case seen && r.verdict.status == string(status.CurrentStatus):
		return ends.succeeded
	case seen && r.verdict.status == string(status.FailedStatus):
		return ends.failed
	case seen:
		return false
	case r.hook.release == release && r.hook.phase != SyncFail:
		return ends.succeeded
	}
	return ends.succeeded && ends.failed
}

// hookSteps are the steps of one hook: one for each of its phases, or a single one
// when the release was delivered before.
func hookSteps(t Target, it item, r record) ([]*Step, error) {
	var steps []*Step
	for _, phase := range it.course.phases {
		content, err := hookBody(it, t, phase)
		if err != nil {
			return nil, err
		}
		s := &Step{Ref: it.ref, Hook: phase, Wave: it.course.wave, item: it, resource: it.resource,
			body: content, wanted: sha256.Sum256(content), uid: r.uid, deleting: r.deleting}
		s.stage, s.rank = place(it.ref.GroupKind(), it.resource.definition != "")
		if err := s.refuseForeign(t, r); err != nil {
			return nil, err
		}
		s.decideHook(t, r)
		steps = append(steps, s)
		if t.Settled {
			break
		}
	}
	return steps, nil
}

// hookless are the steps without those that delete hooks, which come after all
// others.
func (p *Plan) hookless() []*Step {
	var steps, over []*Step
	for _, s := range p.Steps {
		if s.Hook != "" && s.Action == Prune {
			over = append(over, s)
		} else {
			steps = append(steps, s)
		}
	}
	return append(steps, over...)
}

// decideHook chooses the action for one phase of a hook.
func (s *Step) decideHook(t Target, r record) {
	there := r.rv > 0 && r.owned
	ran := there && r.hook.of(t)
	ended := r.lost != nil && r.hook.of(t) && r.hook.phase == s.Hook && r.verdict.current()
	switch {
	case t.Settled && there && r.hook != nil && r.doomed(t.Release) && (t.PruneProtected || !protected(s.Ref.GroupKind())):
		s.Action, s.Reason = Prune, "hook is over"
	case t.Settled, ended:
		s.Action, s.Reason = Unchanged, onceReason
	case ran && r.hook.phase == s.Hook:
		s.Action, s.Reason, s.ran = Unchanged, onceReason, true
	case s.Hook == SyncFail:
		s.Action, s.Reason = Standby, "runs when the release fails"
	case ran && r.hook.phase == SyncFail && s.Hook != PostSync:
		s.Action, s.Reason, s.ran, s.lapsed = Unchanged, onceReason, true, true
	case ran && r.hook.phase != SyncFail && r.hook.phase.order() > s.Hook.order():
		s.Action, s.Reason = Unchanged, onceReason
	default:
		s.Action, s.Reason = Run, string(s.Hook)+" hook"
	}
}

// hookBody is what a hook's object is created from. A finished Job must not vanish
// by itself: that it ran is known by its being there.
func hookBody(it item, t Target, phase Phase) ([]byte, error) {
	return it.manifest.changed(it.ref.Namespace, t.Owner, func(o *unstructured.Unstructured) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[runAnnotation] = fmt.Sprintf("%s %s@%s", phase, t.Release, t.Attempt)
		o.SetAnnotations(annotations)
		if isJob(it.ref.GroupKind()) {
			unstructured.RemoveNestedField(o.Object, "spec", "ttlSecondsAfterFinished")
		}
	})
}

// runsOut says that an object of the kind runs once and cannot be changed.
func runsOut(gk schema.GroupKind) bool { return isJob(gk) || gk == schema.GroupKind{Kind: "Pod"} }

// understudy is a step that is dry-run for a hook's: under another name, where an
// earlier run may have left its object behind.
func (s *Step) understudy() (*Step, error) {
	if s.Hook == "" {
		return s, nil
	}
	other := *s
	other.Action, other.asks = Create, directives{}
	if (s.uid == "" || protected(s.Ref.GroupKind())) && !runsOut(s.Ref.GroupKind()) {
		return &other, nil
	}
	other.Ref.Name = alias(s.Ref.Name)
	var err error
	other.body, err = renamed(s.body, other.Ref.Name)
	return &other, err
}

// runHook creates a hook's object; what an earlier run left behind goes before, unless
// more would go with it: a Namespace, a definition and a volume are changed. The error is a *awaited while that is still there.
func (e *Engine) runHook(ctx context.Context, client metadata.Interface, p *Plan, s *Step) error {
	live, err := look(ctx, e.own, s)
	if err != nil {
		return err
	}
	if run := runOf(live); live != nil && !(run.of(p.target) && run.phase == s.Hook) {
		own := ownEntry(live)
		again := own != nil && own.ownsLabel && !protected(s.Ref.GroupKind())
		if again || runsOut(s.Ref.GroupKind()) {
			if err := e.clear(ctx, client, s, live); err != nil {
				return err
			}
		}
	}
	if s.body, err = hookBody(s.item, p.target, s.Hook); err != nil {
		return err
	}
	e.tracker.begin(s.Ref, p.Owner)
	answer, err := patch(ctx, client, s, false, true)
	if err != nil {
		e.tracker.abandon(s.Ref)
		return err
	}
	e.tracker.settle(s.Ref, p.Owner, s.wanted, answer)
	return nil
}

func runOf(live *metav1.PartialObjectMetadata) *hookRun {
	if live == nil {
		return nil
	}
	return readRun(live.Annotations)
}

// clear deletes what an earlier run of a hook left behind.
func (e *Engine) clear(ctx context.Context, client metadata.Interface, s *Step, live *metav1.PartialObjectMetadata) error {
	e.tracker.forget(s.Ref)
	former := *s
	former.uid = live.UID
	if _, err := remove(ctx, client, &former); err != nil {
		return err
	}
	still, err := look(ctx, e.own, s)
	if err != nil {
		return err
	}
	if still != nil && still.UID == live.UID {
		return &awaited{fmt.Sprintf("%s of an earlier run to be deleted", s.title())}
	}
	return nil
}

// Fail runs the SyncFail hooks of a release that failed; a second call runs none
// again. The report awaits those that have not ended.
func (e *Engine) Fail(ctx context.Context, p *Plan) (Report, error) {
	var report Report
	client, err := e.writer(p.user)
	if err != nil {
		return report, err
	}
	var steps, standing []*Step
	for _, s := range p.Steps {
		if s.Hook != SyncFail {
			continue
		}
		steps = append(steps, s)
		if s.Action == Standby {
			standing = append(standing, s)
		}
	}
	waits, err := e.applyStage(ctx, client, p, standing, &report)
	if err != nil {
		return report, err
	}
	states, err := e.states(ctx, p, steps)
	if err != nil {
		return report, err
	}
	for i, s := range steps {
		if v := states[i]; v.status != string(status.CurrentStatus) && v.status != string(status.FailedStatus) {
			waits = append(waits, s.is(v))
		}
	}
	report.Awaits = inWords(waits)
	return report, nil
}

// Failing says that the plan's release failed in this attempt, and that SyncFail
// hooks were run for it.
func (p *Plan) Failing() bool {
	for _, s := range p.Steps {
		if s.Hook == SyncFail && s.ran {
			return true
		}
	}
	return false
}

// Attempt names the attempt at the release in which hooks run.
func (p *Plan) Attempt(name string) { p.target.Attempt = name }

// Leftovers says that hooks of the plan will have to be deleted once its release
// is settled.
func (p *Plan) Leftovers() bool {
	for _, s := range p.Steps {
		if s.Hook != "" && s.item.course.ends.succeeded && !p.target.Settled {
			return true
		}
	}
	return false
}
