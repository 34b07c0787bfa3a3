package controller

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/text"
	"sealift.dev/synchronizer"
)

// degraded is a release that was healthy, and is not now.
func degraded(status *v1alpha1.DeliveryStatus, generation int64, out synchronizer.Outcome) {
	status.Objects = counted(out.Health)
	conclude(status, generation, metav1.ConditionFalse, "Degraded", describe(*out.Running)+": "+degradedMessage(out), false)
}

func degradedMessage(out synchronizer.Outcome) string {
	return fmt.Sprintf("%d of %s no longer healthy: %s", out.Health.Total-out.Health.Ready, text.Count(out.Health.Total, "object", "objects"), synchronizer.Unhealthy(out.Health))
}

// stays says that a release which is Ready is not called anything else while its
// objects roll out for the first seconds, and nobody asked for anything.
func stays(d *v1alpha1.Delivery, out synchronizer.Outcome) bool {
	applied := d.Status.Applied
	return out.Running != nil && out.Waited < patience && applied != nil && applied.Digest == out.Running.Ref.Digest.String() &&
		d.Status.ObservedGeneration == d.Generation && meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionReady)
}

// unhealthyOf lists what is not ready; not while the status stays as it is.
func unhealthyOf(d *v1alpha1.Delivery, out synchronizer.Outcome, err error) []v1alpha1.ObjectHealth {
	if err == nil && !out.Degraded && stays(d, out) {
		return nil
	}
	var list []v1alpha1.ObjectHealth
	for _, o := range out.Health.Unhealthy {
		list = append(list, v1alpha1.ObjectHealth{Group: o.Ref.Group, Kind: o.Ref.Kind, Namespace: o.Ref.Namespace, Name: o.Ref.Name,
			Status: o.Status, Message: plain(o.Message)})
	}
	return list
}
