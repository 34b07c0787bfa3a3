package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Judge says how a live object is, in the words of kstatus. It must be comparable:
// another value is asked again about what the first one judged.
type Judge interface {
	// Knows says that Judge has something to say of a kind.
	Knows(kind schema.GroupKind) bool
	Judge(ctx context.Context, live *unstructured.Unstructured) (status, message string)
}

// judgeOf is who judges a kind; nil is kstatus.
func (t Target) judgeOf(gk schema.GroupKind) Judge {
	if t.Judge != nil && t.Judge.Knows(gk) {
		return t.Judge
	}
	return nil
}

// judge applies the target's own rules, or else kstatus; a Job is ready only when
// complete, and what is paused or suspended waits for nothing but a person.
func (t Target) judge(ctx context.Context, live *unstructured.Unstructured) verdict {
	by := t.judgeOf(live.GroupVersionKind().GroupKind())
	if by == nil {
		return kstatusOf(live)
	}
	v := verdict{uid: live.GetUID(), rv: version(live), generation: live.GetGeneration(), by: by, done: done(live)}
	v.status, v.message = by.Judge(ctx, live)
	v.message = brief(v.message)
	return v
}

// maxVerdict bounds what is remembered of what an object says of itself, in bytes.
const maxVerdict = 1024

// brief is the beginning of a message, which holds on to nothing of the rest.
func brief(message string) string {
	if len(message) <= maxVerdict {
		return message
	}
	return strings.ToValidUTF8(strings.Clone(message[:maxVerdict]), "") + "..."
}

// kstatusOf is the verdict where there are no rules. A status that kstatus cannot
// read is the object's own matter, and keeps nobody from looking at the others.
func kstatusOf(live *unstructured.Unstructured) verdict {
	v := verdict{uid: live.GetUID(), rv: version(live), generation: live.GetGeneration(), done: done(live)}
	v.computed(live)
	v.message = brief(v.message)
	return v
}

// computed adds what kstatus and the rules for Jobs and for what rests make of live.
func (v *verdict) computed(live *unstructured.Unstructured) {
	gk := live.GroupVersionKind().GroupKind()
	if runsOut(gk) && readRun(live.GetAnnotations()) != nil {
		v.status, v.message = judgeRun(live)
		return
	}
	result, err := status.Compute(live)
	if err != nil {
		v.status, v.message = string(status.UnknownStatus), fmt.Sprintf("computing its status: %v; hint: give its kind a rule in spec.health", err)
		return
	}
	v.status, v.message = string(result.Status), result.Message
	if result.Status == status.TerminatingStatus || result.Status == status.FailedStatus {
		return
	}
	if isJob(gk) {
		v.status = string(status.InProgressStatus)
		if v.done {
			v.status = string(status.CurrentStatus)
		}
	}
	if why := resting(gk, live); why != "" {
		v.status, v.message = string(status.CurrentStatus), why
	}
}

// observed kinds have a controller that writes the generation which it has seen.
func observed(gk schema.GroupKind) bool {
	return gk.Group == "apps" && (gk.Kind == "Deployment" || gk.Kind == "StatefulSet" || gk.Kind == "DaemonSet" || gk.Kind == "ReplicaSet")
}

// resting says that nothing happens to an object before a person goes on with it;
// empty when that is not so.
func resting(gk schema.GroupKind, live *unstructured.Unstructured) string {
	suspended, _, _ := unstructured.NestedBool(live.Object, "spec", "suspend")
	paused, _, _ := unstructured.NestedBool(live.Object, "spec", "paused")
	switch {
	case suspended:
		return "suspended"
	case !paused:
		return ""
	case gk.Group == "apps" && gk.Kind == "Deployment":
		return pausedRollout(live)
	}
	return "paused"
}

// pausedRollout is a Deployment's: what rolled out before the pause has to be
// available still.
func pausedRollout(live *unstructured.Unstructured) string {
	count := func(missing int64, path ...string) int64 {
		n, found, _ := unstructured.NestedInt64(live.Object, path...)
		if !found {
			return missing
		}
		return n
	}
	wanted, there := count(1, "spec", "replicas"), count(0, "status", "replicas")
	switch {
	case count(0, "status", "observedGeneration") < live.GetGeneration():
		return ""
	case there == 0:
		return "paused before its first rollout"
	case there == wanted && count(0, "status", "availableReplicas") >= wanted:
		return fmt.Sprintf("paused; %d of %d replicas are of the newest template", count(0, "status", "updatedReplicas"), wanted)
	}
	return ""
}

func isJob(gk schema.GroupKind) bool { return gk.Group == "batch" && gk.Kind == "Job" }

// done says that a Job ran to its end, also when it is being deleted since.
func done(live *unstructured.Unstructured) bool {
	return isJob(live.GroupVersionKind().GroupKind()) && condition(live, "Complete") == "True"
}

// jobSpent is why a Job that is gone is not created again.
const jobSpent = "finished, and removed after its time to live"

// spentJob says that a Job completed and was removed, or is being, by its time to live: as
// this process saw it, or as one has to suppose that never saw the Job of a
// set which was applied in full before.
func spentJob(t Target, it item, r record) bool {
	if !it.manifest.passes {
		return false
	}
	if r.appliedFor(t.Owner) {
		return (r.lost != nil || r.deleting) && r.verdict.done
	}
	return t.Settled && r.rv == 0
}

// passes says that o is a Job which goes some time after its end.
func passes(o *unstructured.Unstructured) bool {
	limit, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "ttlSecondsAfterFinished")
	return limit != nil && isJob(o.GroupVersionKind().GroupKind())
}

// speaks says that o's health shows in its status; others are healthy by being there.
func speaks(o *unstructured.Unstructured) bool {
	gk := o.GroupVersionKind().GroupKind()
	if gk.Group == coreGroup && gk.Kind == "Service" {
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "type")
		return kind == "LoadBalancer"
	}
	return hasStatus(gk)
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
