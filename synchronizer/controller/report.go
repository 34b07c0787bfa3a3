package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
)

// recorder writes Kubernetes Events.
type recorder interface {
	Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any)
}

// report writes what a pass came to: the status when it changed, Events for what
// a person wants to know, and one line in the log. It returns when a status that it
// holds back has to be written; zero: there is none.
func (r *reconciler) report(ctx context.Context, d *v1alpha1.Delivery, asked synchronizer.Delivery, out synchronizer.Outcome, err error, begun time.Time) (time.Duration, error) {
	before := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	status := after(d, asked, out, err)
	now := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	held, wait := r.holdsBack(ctx, d, out, status)
	if !held {
		if err := r.write(ctx, d, status); err != nil {
			return 0, fmt.Errorf("writing the status of %s/%s: %w", d.Namespace, d.Name, err)
		}
	}
	r.announce(d, out)
	if now == nil { // nothing is known yet
		return wait, nil
	}
	revoked := r.inform(d, out, before, now)
	if changed(before, now) && (revoked || now.Reason != reasonRevoked) {
		r.tell(d, now)
	}
	r.log(ctx, d, out, now, !held && changed(before, now), time.Since(begun))
	return wait, nil
}

// tell writes the Event of a condition that changed.
func (r *reconciler) tell(d *v1alpha1.Delivery, now *metav1.Condition) {
	switch {
	case now.Status == metav1.ConditionTrue, now.Reason == reasonDependency:
		r.events.Eventf(d, nil, corev1.EventTypeNormal, now.Reason, "Deliver", "%s", now.Message)
	case now.Status == metav1.ConditionFalse:
		r.events.Eventf(d, nil, corev1.EventTypeWarning, now.Reason, "Deliver", "%s", now.Message)
	}
}

func changed(before, now *metav1.Condition) bool {
	return before == nil || before.Status != now.Status || before.Reason != now.Reason || before.Message != now.Message
}

func (r *reconciler) log(ctx context.Context, d *v1alpha1.Delivery, out synchronizer.Outcome, now *metav1.Condition, changed bool, took time.Duration) {
	report := out.Report
	if !changed && len(report.Created)+len(report.Updated)+len(report.Healed)+len(report.Pruned) == 0 {
		return
	}
	level := slog.LevelInfo
	if now.Status == metav1.ConditionFalse && now.Reason != reasonDependency {
		level = slog.LevelWarn
	}
	attributes := []slog.Attr{
		slog.String("delivery", d.Namespace+"/"+d.Name),
		slog.String("ready", string(now.Status)),
		slog.String("reason", now.Reason),
		slog.String("message", now.Message),
		slog.Int("created", len(report.Created)),
		slog.Int("updated", len(report.Updated)),
		slog.Int("healed", len(report.Healed)),
		slog.Int("pruned", len(report.Pruned)),
		slog.Duration("took", took.Round(time.Millisecond)),
	}
	if len(out.Unchecked) > 0 {
		attributes = append(attributes, slog.String("unchecked", unchecked(out.Unchecked)))
	}
	r.options.Log.LogAttrs(ctx, level, "pass", attributes...)
}
