package engine

import (
	"context"
	"slices"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxUnhealthy bounds how many objects a Health names.
const maxUnhealthy = 20

// Health is how the wanted objects are, at the moment of asking.
type Health struct {
	Total, Ready int
	// Unhealthy names at most 20 objects that are not ready.
	Unhealthy []ObjectHealth
	// Failed says that at least one object will not become ready by itself.
	Failed bool
	// Degraded says that at least one object is not ready although nobody changed what
	// is wanted of it since it was.
	Degraded bool
}

// ObjectHealth is one object's status in the words of kstatus: InProgress,
// Failed, Terminating, NotFound, Unknown.
type ObjectHealth struct {
	Ref             ObjectRef
	Status, Message string
}

// verdict is the health of an object at one version.
type verdict struct {
	uid             types.UID
	rv              uint64
	generation      int64
	status, message string
	// by gave it; nil is kstatus.
	by Judge
	// done says that a Job ran to its end.
	done bool
}

func (v verdict) current() bool { return v.status == string(status.CurrentStatus) }

// sound is the object and its generation that were ready last.
type sound struct {
	uid        types.UID
	generation int64
}

// degraded says that an object which is not ready is no rollout on its way: nothing
// new is wanted of it since it was ready, or it failed. What was never ready while
// this process looked counts as not changed.
func (v verdict) degraded(last sound) bool {
	rolling := v.status == string(status.InProgressStatus) && last != sound{} &&
		(v.uid != last.uid || v.generation != last.generation)
	return !v.current() && !rolling
}

// Health looks at the objects of t, which must have been planned before. It
// never waits for them, and reads only those that changed since it last did.
func (e *Engine) Health(ctx context.Context, t Target) (Health, error) {
	items, err := e.items(ctx, e.kinds.lookup(t.Objects), t)
	if err != nil {
		return Health{}, err
	}
	items = slices.DeleteFunc(items, func(it item) bool { return it.course.hook() || it.course.skipped != "" })
	places, records := e.tracker.unwell(t, items)
	well := len(items) - len(places)
	items = itemsAt(items, places)
	items = slices.DeleteFunc(items, func(it item) bool { return absent(it, records[it.ref]) })
	verdicts := make([]verdict, len(items))
	var unread []*Step
	at := map[ObjectRef]int{}
	for i, it := range items {
		v, known := e.known(t, it, records[it.ref])
		if verdicts[i] = v; !known {
			at[it.ref] = i
			unread = append(unread, &Step{Ref: it.ref, resource: it.resource})
		}
	}
	errs := each(ctx, unread, func(s *Step) (err error) {
		i := at[s.Ref]
		verdicts[i], err = e.read(ctx, t, items[i])
		return err
	})
	if err := failed("reading", unread, errs, ""); err != nil {
		return Health{}, err
	}
	h := summary(items, verdicts)
	h.Total, h.Ready = h.Total+well, h.Ready+well
	for i, v := range verdicts {
		h.Degraded = h.Degraded || v.degraded(records[items[i].ref].sound)
	}
	return h, nil
}

func itemsAt(items []item, places []int) []item {
	chosen := make([]item, len(places))
	for i, place := range places {
		chosen[i] = items[place]
	}
	return chosen
}

func summary(items []item, verdicts []verdict) Health {
	h := Health{Total: len(items)}
	for i, v := range verdicts {
		if v.current() {
			h.Ready++
			continue
		}
		h.Failed = h.Failed || v.status == string(status.FailedStatus)
		h.Unhealthy = append(h.Unhealthy, ObjectHealth{Ref: items[i].ref, Status: v.status, Message: v.message})
	}
	slices.SortFunc(h.Unhealthy, func(a, b ObjectHealth) int { return compareRefs(a.Ref, b.Ref) })
	h.Unhealthy = h.Unhealthy[:min(len(h.Unhealthy), maxUnhealthy)]
	return h
}

// diagnose judges one object: by its being there, by what is known of this
// version of it, or by reading it. One that changes all the time is read no more
// often than its pace allows; news of it comes again then.
func (e *Engine) diagnose(ctx context.Context, t Target, it item, r record) (verdict, error) {
	if v, known := e.known(t, it, r); known {
		return v, nil
	}
	return e.read(ctx, t, it)
}

// known is the verdict where nothing has to be read for it.
func (e *Engine) known(t Target, it item, r record) (verdict, bool) {
	current := verdict{status: string(status.CurrentStatus)}
	known := r.verdict.uid == r.uid && r.verdict.by == t.judgeOf(it.ref.GroupKind())
	switch {
	case spentJob(t, it, r), leftAlone(it, r):
		return current, true
	case r.rv == 0:
		return verdict{status: string(status.NotFoundStatus), message: "not there, or without its ownership label"}, true
	case r.deleting:
		return verdict{uid: r.uid, status: string(status.TerminatingStatus), message: "being deleted"}, true
	case !it.manifest.speaks && t.judgeOf(it.ref.GroupKind()) == nil:
		return current, true
	case known && r.verdict.rv >= r.rv, known && !r.rewritten() && e.tracker.hurried(it.ref, t.Owner):
		return r.verdict, true
	case r.verdict.by == nil && t.judgeOf(it.ref.GroupKind()) == nil && hasStatus(it.ref.GroupKind()):
		return e.tracker.await(it.ref, r.rv), true
	}
	return verdict{}, false
}

// read judges an object as it is now.
func (e *Engine) read(ctx context.Context, t Target, it item) (verdict, error) {
	live, err := e.dynamic.Resource(it.resource.gvr).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return verdict{status: string(status.NotFoundStatus), message: "not there"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	v := t.judge(ctx, live)
	e.tracker.judged(it.ref, v)
	return v, nil
}

// rewritten says that the engine wrote the object after it was judged: a verdict
// from before is none.
func (r record) rewritten() bool { return r.applied != nil && r.verdict.rv < r.applied.rv }

// judged remembers what a reading gave.
func (t *tracker) judged(ref ObjectRef, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.objects[ref]
	if r == nil {
		return
	}
	r.verdict, r.pace = v, r.pace.step(t.now(), paceEvery)
	if v.current() {
		r.sound = sound{uid: v.uid, generation: v.generation}
	}
}
