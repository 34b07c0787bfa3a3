package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// waves are the plan's steps by phase and wave, in the order of doing.
func (p *Plan) waves() [][]*Step {
	var waves [][]*Step
	var last *Step
	for _, s := range p.Steps {
		if s.Action == Prune || s.Action == Keep || s.Hook == SyncFail {
			continue
		}
		if last == nil || last.Hook.order() != s.Hook.order() || last.Wave != s.Wave {
			waves = append(waves, nil)
		}
		waves[len(waves)-1], last = append(waves[len(waves)-1], s), s
	}
	return waves
}

// Resume takes over what the Preflight of an earlier plan found about steps that
// are still the same, so that what waits is not dry-run in each pass. Nil is none.
func (p *Plan) Resume(former *Plan) {
	if former == nil {
		return
	}
	type place struct {
		ref  ObjectRef
		hook Phase
	}
	found := map[place]*Step{}
	for _, s := range former.Steps {
		if s.rehearsed {
			found[place{s.Ref, s.Hook}] = s
		}
	}
	for _, s := range p.Steps {
		f := found[place{s.Ref, s.Hook}]
		planned := s.Action == Create || s.Action == Update || s.Action == Run || s.Action == Standby
		if f == nil || !planned || f.wanted != s.wanted || f.uid != s.uid || f.rv != s.rv {
			continue
		}
		s.Action, s.Reason, s.Takeovers, s.rehearsed = f.Action, f.Reason, f.Takeovers, true
		s.asks, s.adopted, s.left, s.unchecked = f.asks, f.adopted, f.left, f.unchecked
	}
}

// gate says what of the earlier waves a later one still waits for; empty when it
// may begin. A set that was applied before is written in order, and waits for nothing.
func (e *Engine) gate(ctx context.Context, p *Plan, earlier [][]*Step) (string, error) {
	if p.target.Settled {
		return "", nil
	}
	var steps []*Step
	for _, wave := range earlier {
		for _, s := range wave {
			if s.Action != Skip {
				steps = append(steps, s)
			}
		}
	}
	states, err := e.states(ctx, p, steps)
	if err != nil {
		return "", err
	}
	var waits []string
	for i, s := range steps {
		if states[i].status != string(status.CurrentStatus) {
			waits = append(waits, s.is(states[i]))
		}
	}
	return inWords(waits), nil
}

// hooksDone says which of the plan's hooks still run.
func (e *Engine) hooksDone(ctx context.Context, p *Plan) (string, error) {
	var hooks []*Step
	for _, s := range p.Steps {
		if s.Hook != "" && s.Hook != SyncFail {
			hooks = append(hooks, s)
		}
	}
	if len(hooks) == 0 {
		return "", nil
	}
	return e.gate(ctx, p, [][]*Step{hooks})
}

// states are how the objects of steps are now. A hook that failed is an error.
func (e *Engine) states(ctx context.Context, p *Plan, steps []*Step) ([]verdict, error) {
	refs := make([]ObjectRef, len(steps))
	at := make(map[*Step]int, len(steps))
	for i, s := range steps {
		refs[i], at[s] = s.Ref, i
	}
	records := e.tracker.records(p.Owner, refs)
	states := make([]verdict, len(steps))
	errs := each(ctx, steps, func(s *Step) error {
		var err error
		states[at[s]], err = e.state(ctx, p, s, records[s.Ref])
		return err
	})
	if err := failed("reading", steps, errs, ""); err != nil {
		return nil, err
	}
	for i, s := range steps {
		if s.Hook != "" && s.Hook != SyncFail && states[i].status == string(status.FailedStatus) {
			errs[i] = fmt.Errorf("%s %w: %s", s.Hook, ErrHookFailed, states[i].message)
		}
	}
	return states, failed("running", steps, errs, "")
}

// state is how the object of one step is: as health goes, or, of a hook, whether it
// ended well.
func (e *Engine) state(ctx context.Context, p *Plan, s *Step, r record) (verdict, error) {
	over := s.Hook != "" && !s.ran && s.Action == Unchanged
	switch {
	case s.lapsed:
		return verdict{status: string(status.FailedStatus), message: "the release failed"}, nil
	case over:
		return verdict{status: string(status.CurrentStatus)}, nil
	}
	return e.diagnose(ctx, p.target, s.item, r)
}

// judgeRun says whether the Job or the Pod of a hook ended, and how: to be up is not
// enough.
func judgeRun(live *unstructured.Unstructured) (state, message string) {
	text := func(path ...string) string {
		found, _, _ := unstructured.NestedString(live.Object, path...)
		return found
	}
	phase := text("status", "phase")
	switch {
	case live.GetDeletionTimestamp() != nil:
		return string(status.TerminatingStatus), "being deleted"
	case condition(live, "Complete") == "True", phase == "Succeeded":
		return string(status.CurrentStatus), ""
	case condition(live, "Failed") == "True":
		return string(status.FailedStatus), conditionMessage(live, "Failed")
	case phase == "Failed":
		return string(status.FailedStatus), strings.TrimSpace("the Pod failed " + text("status", "message"))
	}
	return string(status.InProgressStatus), "it has not ended"
}

func conditionMessage(o *unstructured.Unstructured, kind string) string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range list {
		if m, ok := c.(map[string]any); ok && m["type"] == kind {
			reason, _ := m["reason"].(string)
			message, _ := m["message"].(string)
			return strings.Trim(reason+": "+message, ": ")
		}
	}
	return ""
}

// title names a step in messages.
func (s *Step) title() string {
	switch {
	case s.Hook != "":
		return fmt.Sprintf("%s hook %s", s.Hook, s.Ref)
	case s.Wave != 0:
		return fmt.Sprintf("wave %d: %s", s.Wave, s.Ref)
	}
	return s.Ref.String()
}

func (s *Step) is(v verdict) string {
	return strings.TrimSuffix(fmt.Sprintf("%s is %s: %s", s.title(), v.status, v.message), ": ")
}

// inWords joins what is awaited, three of it by name.
func inWords(waits []string) string {
	const most = 3
	if more := len(waits) - most; more > 0 {
		waits = append(waits[:most:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(waits, "; ")
}
