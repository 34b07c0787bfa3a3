package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
)

// maxTakeovers bounds how many fields a step names.
const maxTakeovers = 20

// Preflight has the API server judge every Create and Update of the plan
// without doing it. It turns them into Adopt, Recreate or Skip where that shows,
// records takeovers in the steps, and in p.Unchecked what cannot be judged yet. The
// error is a *Failures that names what was refused.
func (e *Engine) Preflight(ctx context.Context, p *Plan) error {
	client, err := e.writer(p.user)
	if err != nil {
		return err
	}
	p.Unchecked = nil
	var steps []*Step
	for _, s := range p.Steps {
		if !s.rehearsed && (s.Action == Create || s.Action == Update || s.Action == Run || s.Action == Standby) {
			steps = append(steps, s)
		}
	}
	definitions := p.definitions()
	errs := each(ctx, steps, func(s *Step) error {
		if s.resource.definition != "" {
			return definitions.foresee(ctx, s)
		}
		err := definitions.reconsider(ctx, s, p.rehearse(ctx, client, s))
		if err != nil && p.supplies(s, err) {
			s.unchecked = true
			return nil
		}
		return err
	})
	for _, s := range p.Steps {
		if s.unchecked {
			p.Unchecked = append(p.Unchecked, s.Ref)
		}
		if s.Action == Skip && s.left {
			e.tracker.pass(p.Owner, s)
		}
		if s.lenient && len(s.Takeovers) > 0 {
			s.report(e.tracker.now())
		}
	}
	if err := failed("dry-running", steps, errs, p.user); err != nil {
		return err
	}
	p.Irreversible = e.irreversible(ctx, p)
	return nil
}

func (p *Plan) rehearse(ctx context.Context, client metadata.Interface, s *Step) error {
	other, err := s.understudy()
	if err == nil {
		err = rehearse(ctx, client, other)
	}
	s.rehearsed = err == nil
	return err
}

// rehearse dry-runs one step: without force first, so that conflicts show.
func rehearse(ctx context.Context, client metadata.Interface, s *Step) error {
	if s.asks.mode == ifNotPresent && s.Action == Create {
		if live, err := look(ctx, client, s); err == nil && live != nil {
			s.leave(s.asks.modeBy + ", and it is there")
			return nil
		}
	}
	answer, err := patch(ctx, client, s, true, false)
	taken := conflicts(err)
	if len(taken) > 0 {
		answer, err = patch(ctx, client, s, true, true)
	}
	if len(frozen(err)) > 0 {
		return refit(ctx, client, s, err)
	}
	if err != nil {
		return err
	}
	s.weigh(answer, taken)
	return nil
}

// look reads an object's metadata; nil when it is not there.
func look(ctx context.Context, client metadata.Interface, s *Step) (*metav1.PartialObjectMetadata, error) {
	var live *metav1.PartialObjectMetadata
	err := persist(ctx, func(ctx context.Context) error {
		var err error
		live, err = client.Resource(s.resource.gvr).Namespace(s.Ref.Namespace).Get(ctx, s.Ref.Name, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return live, err
}

// leave turns a write into a Skip of what turned out to be somebody else's matter.
func (s *Step) leave(why string) { s.Action, s.Reason, s.left = Skip, why, true }

// weigh decides from a dry run's answer what writing s means to others.
func (s *Step) weigh(answer *metav1.PartialObjectMetadata, taken []Takeover) {
	live := liveDirectives(answer, ownEntry(answer))
	s.asks = s.asks.with(&live)
	if why := s.asks.untouched(); why != "" {
		s.leave(why)
		return
	}
	s.Takeovers = taken[:min(len(taken), maxTakeovers)]
	if s.asks.mode == merge || s.lenient && len(taken) > 0 {
		return
	}
	s.adopted = deployers(answer.ManagedFields)
	if len(s.adopted) == 0 {
		return
	}
	s.Action, s.Reason = Adopt, "deployed before by "+strings.Join(s.adopted, ", ")
	s.Takeovers = slices.DeleteFunc(s.Takeovers, func(t Takeover) bool { return slices.Contains(s.adopted, t.Manager) })
}

// report turns a write that would take fields from others into a report of them.
func (s *Step) report(now time.Time) {
	s.Drift = &Drift{Reason: Changed, Observed: now}
	for _, taken := range s.Takeovers[:min(len(s.Takeovers), maxDriftFields)] {
		s.Drift.Fields = append(s.Drift.Fields, FieldDrift{Path: taken.Field, Manager: taken.Manager})
	}
	s.Action, s.Reason, s.Takeovers = Drifted, s.Drift.String(), nil
}

// supplies says that err only shows that something which s needs comes with
// the same plan, or that the server cannot dry-run s at all.
func (p *Plan) supplies(s *Step, err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	text := status.Status().Message
	switch {
	case apierrors.IsBadRequest(err) && strings.Contains(text, "does not support dry run"):
		return true
	case apierrors.IsNotFound(err) && status.Status().Details != nil:
		d := status.Status().Details
		return p.creates(func(o *Step) bool {
			return o != s && o.resource.gvr.Group == d.Group && o.resource.gvr.Resource == d.Kind && o.Ref.Name == d.Name
		})
	case apierrors.IsForbidden(err) && s.Ref.Kind == "Pod":
		// The ServiceAccount admission refuses a Pod before its account exists.
		return strings.Contains(text, "error looking up service account") && p.creates(func(o *Step) bool {
			return o.Ref.Kind == "ServiceAccount" && o.Ref.Namespace == s.Ref.Namespace &&
				strings.Contains(text, s.Ref.Namespace+"/"+o.Ref.Name+":")
		})
	}
	return false
}

func (p *Plan) creates(match func(*Step) bool) bool {
	return slices.ContainsFunc(p.Steps, func(s *Step) bool { return s.Action == Create && match(s) })
}

// managerIn reads the manager from a conflict's message:
// conflict with "NAME" [with subresource "SUB"] using VERSION [at TIME].
func managerIn(message string) string {
	_, rest, found := strings.Cut(message, "conflict with ")
	if !found {
		return ""
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return ""
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return ""
	}
	return name
}
