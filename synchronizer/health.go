package synchronizer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/artifact"
	"sealift.dev/internal/condition"
	"sealift.dev/internal/text"
	"sealift.dev/synchronizer/engine"
)

// ErrInvalidHealth is a rule of health that cannot be used.
var ErrInvalidHealth = errors.New("invalid rule of health")

const (
	// judgeTimeout bounds what one rule may take.
	judgeTimeout = time.Second
	// maxHealthMessage bounds what a rule's failure says, in bytes.
	maxHealthMessage = 300
)

// rules judge the kinds that a Delivery's health rules name.
type rules struct{ byKind map[schema.GroupKind]rule }

// rule is one compiled HealthRule; inProgress and failed may be nil.
type rule struct{ inProgress, failed, current *condition.Program }

// NewJudge makes a judge of health rules, as a pass has it; nil where there are none.
// The error is one that is ErrInvalidHealth.
func NewJudge(wanted []HealthRule) (engine.Judge, error) { return compileHealth(wanted) }

// compileHealth makes a judge of the rules; nil where there are none.
func compileHealth(wanted []HealthRule) (engine.Judge, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	byKind := map[schema.GroupKind]rule{}
	for i, w := range wanted {
		gk := schema.GroupKind{Group: w.Group, Kind: w.Kind}
		if _, twice := byKind[gk]; twice {
			return nil, fmt.Errorf("%w: health[%d]: there is another rule for %s", ErrInvalidHealth, i, gk)
		}
		compiled, err := compileRule(w)
		if err != nil {
			return nil, fmt.Errorf("%w: health[%d] for %s: %w", ErrInvalidHealth, i, gk, err)
		}
		byKind[gk] = compiled
	}
	return &rules{byKind: byKind}, nil
}

func compileRule(w HealthRule) (rule, error) {
	var r rule
	for _, part := range []struct {
		name, expression string
		into             **condition.Program
	}{{"inProgress", w.InProgress, &r.inProgress}, {"failed", w.Failed, &r.failed}, {"current", w.Current, &r.current}} {
		if part.expression == "" && part.name != "current" {
			continue
		}
		program, err := condition.Compile(part.expression, condition.Object())
		if err != nil {
			return rule{}, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.into = program
	}
	return r, nil
}

// Knows says that there is a rule for a kind.
func (r *rules) Knows(kind schema.GroupKind) bool {
	_, known := r.byKind[kind]
	return known
}

// Judge evaluates a kind's rule. One that cannot be evaluated, because a field is
// not there yet, leaves the object in progress.
func (r *rules) Judge(ctx context.Context, live *unstructured.Unstructured) (string, string) {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	one := r.byKind[live.GroupVersionKind().GroupKind()]
	in := condition.Input{"self": withoutManagers(live.Object)}
	for _, part := range []struct {
		name    string
		program *condition.Program
		status  status.Status
	}{{"inProgress", one.inProgress, status.InProgressStatus}, {"failed", one.failed, status.FailedStatus}, {"current", one.current, status.CurrentStatus}} {
		if part.program == nil {
			continue
		}
		switch holds, err := part.program.Eval(ctx, in); {
		case err != nil:
			return string(status.InProgressStatus), text.Line(fmt.Sprintf("%s: %v", part.name, err), maxHealthMessage)
		case holds && part.status == status.CurrentStatus:
			return string(status.CurrentStatus), ""
		case holds:
			return string(part.status), "by the Delivery's rule " + part.name
		}
	}
	return string(status.InProgressStatus), "the Delivery's rule current is not true"
}

// withoutManagers is an object without what only field managers look at.
func withoutManagers(object map[string]any) map[string]any {
	meta, ok := object["metadata"].(map[string]any)
	if !ok {
		return object
	}
	object, meta = maps.Clone(object), maps.Clone(meta)
	delete(meta, "managedFields")
	object["metadata"] = meta
	return object
}

// vitals is what a Delivery's rules and objects were when they were looked at last.
type vitals struct {
	rules [sha256.Size]byte
	judge engine.Judge
	err   error
	told  told
}

// learn compiles the rules of d unless they are the same as before.
func (v *vitals) learn(d Delivery) error {
	if now := fingerprint(d.Health); now != v.rules {
		v.rules = now
		v.judge, v.err = compileHealth(d.Health)
	}
	return v.err
}

const (
	// What flaps is told toldBurst times at once, and then once a toldEvery.
	toldBurst = 4
	toldEvery = time.Second
)

// told is the health that was told last.
type told struct {
	release artifact.Ref
	health  engine.Health
	due     time.Time
}

// look is the health to tell of now, and how long it takes until a newer one is.
// Bad news is told at once. Good news is, too, where a rollout waits for it;
// everything else when too much was not told lately.
func (t *told) look(release artifact.Ref, found engine.Health, rollout bool, now time.Time) (engine.Health, time.Duration) {
	before, same := t.health, t.release == release
	if same && equalHealth(before, found) {
		return before, 0
	}
	allowed := t.due.Add(-(toldBurst - 1) * toldEvery)
	well := func(h engine.Health) bool { return h.Ready == h.Total }
	if wait := allowed.Sub(now); same && wait > 0 && !(well(before) && !well(found)) && !(rollout && well(found)) {
		return before, wait
	}
	if t.due.Before(now) {
		t.due = now
	}
	t.release, t.health, t.due = release, found, t.due.Add(toldEvery)
	return found, 0
}

func equalHealth(a, b engine.Health) bool {
	return a.Total == b.Total && a.Ready == b.Ready && a.Failed == b.Failed && a.Degraded == b.Degraded && slices.Equal(a.Unhealthy, b.Unhealthy)
}
