package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	status, message string
}

// Health looks at the objects of t, which must have been planned before. It
// never waits for them, and reads only those that changed since it last did.
func (e *Engine) Health(ctx context.Context, t Target) (Health, error) {
	items, err := e.kinds.lookup(t.Objects).resolve(ctx, t)
	if err != nil {
		return Health{}, err
	}
	records := e.tracker.records(t.Owner, refsOf(items))
	items = slices.DeleteFunc(items, func(it item) bool { return absent(it, records[it.ref]) })
	verdicts := make([]verdict, len(items))
	steps := make([]*Step, len(items))
	at := make(map[ObjectRef]int, len(items))
	for i, it := range items {
		steps[i] = &Step{Ref: it.ref, resource: it.resource}
		at[it.ref] = i
	}
	errs := each(ctx, steps, func(s *Step) error {
		i := at[s.Ref]
		v, err := e.diagnose(ctx, t, items[i], records[s.Ref])
		verdicts[i] = v
		return err
	})
	if err := failed("reading", steps, errs, ""); err != nil {
		return Health{}, err
	}
	return summary(items, verdicts), nil
}

func summary(items []item, verdicts []verdict) Health {
	h := Health{Total: len(items)}
	for i, v := range verdicts {
		if v.status == string(status.CurrentStatus) {
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
// version of it, or by reading it.
func (e *Engine) diagnose(ctx context.Context, t Target, it item, r record) (verdict, error) {
	current := verdict{status: string(status.CurrentStatus)}
	switch {
	case spentJob(t, it, r), leftAlone(it, r):
		return current, nil
	case r.rv == 0:
		return verdict{status: string(status.NotFoundStatus), message: "not there, or without its ownership label"}, nil
	case r.deleting:
		return verdict{status: string(status.TerminatingStatus), message: "being deleted"}, nil
	case !speaks(it):
		return current, nil
	case r.verdict.uid == r.uid && r.verdict.rv >= r.rv:
		return r.verdict, nil
	}
	live, err := e.dynamic.Resource(it.resource.gvr).Namespace(it.ref.Namespace).Get(ctx, it.ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return verdict{status: string(status.NotFoundStatus), message: "not there"}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	v, err := judgeHealth(live)
	if err != nil {
		return verdict{}, err
	}
	e.tracker.judged(it.ref, v)
	return v, nil
}

func (t *tracker) judged(ref ObjectRef, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.objects[ref]; r != nil {
		r.verdict = v
	}
}

// judgeHealth applies kstatus; a Job is ready only when complete or suspended.
func judgeHealth(live *unstructured.Unstructured) (verdict, error) {
	v := verdict{uid: live.GetUID(), rv: version(live)}
	result, err := status.Compute(live)
	if err != nil {
		return v, fmt.Errorf("computing its status: %w", err)
	}
	v.status, v.message = string(result.Status), result.Message
	if isJob(live.GroupVersionKind().GroupKind()) && result.Status != status.FailedStatus {
		suspended, _, _ := unstructured.NestedBool(live.Object, "spec", "suspend")
		v.status = string(status.InProgressStatus)
		if suspended || condition(live, "Complete") == "True" {
			v.status = string(status.CurrentStatus)
		}
	}
	return v, nil
}

func isJob(gk schema.GroupKind) bool { return gk.Group == "batch" && gk.Kind == "Job" }

// jobSpent is why a Job that is gone is not created again.
const jobSpent = "finished, and removed after its time to live"

// spentJob says that a Job completed and was removed by its time to live: as
// this process saw it, or as one has to suppose that never saw the Job of a
// set which was applied in full before.
func spentJob(t Target, it item, r record) bool {
	if !isJob(it.ref.GroupKind()) {
		return false
	}
	limit, _, _ := unstructured.NestedFieldNoCopy(it.object.Object, "spec", "ttlSecondsAfterFinished")
	if limit == nil {
		return false
	}
	if r.appliedFor(t.Owner) {
		return r.lost != nil && r.verdict.status == string(status.CurrentStatus)
	}
	return t.Settled && r.rv == 0
}

// speaks says that the object's health shows in its status; others are healthy
// by being there.
func speaks(it item) bool {
	if it.ref.Group == coreGroup && it.ref.Kind == "Service" {
		kind, _, _ := unstructured.NestedString(it.object.Object, "spec", "type")
		return kind == "LoadBalancer"
	}
	return hasStatus(it.ref.GroupKind())
}

// hasStatus says that news about a kind may be news about health.
func hasStatus(gk schema.GroupKind) bool {
	switch gk.Group {
	case coreGroup:
		switch gk.Kind {
		case "ConfigMap", "Secret", "ServiceAccount", "LimitRange", "ResourceQuota", "Endpoints", "PodTemplate", "PersistentVolume":
			return false
		}
	case "networking.k8s.io":
		return gk.Kind != "Ingress" && gk.Kind != "IngressClass" && gk.Kind != "NetworkPolicy"
	case "rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io", "node.k8s.io",
		"coordination.k8s.io", "discovery.k8s.io", "admissionregistration.k8s.io":
		return false
	case "batch":
		return gk.Kind != "CronJob"
	}
	return true
}
