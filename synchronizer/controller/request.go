package controller

import (
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/text"
)

// requested is the value of the annotation, ours or Flux's, that asked last for a pass.
// Where both are there, managedFields tell when each was set; in the same second, the
// greater value counts, so that there is one answer. A value of more than maxRequest bytes
// stands as its digest: the answer is kept in the status, and in ConfigMaps that
// Deliveries share.
func requested(d client.Object) string {
	return text.Short(lastRequest(d), maxRequest)
}

// maxRequest is how long a request may be to be answered in its own words, in bytes.
const maxRequest = 256

func lastRequest(d client.Object) string {
	annotations := d.GetAnnotations()
	ours, flux := annotations[v1alpha1.RequestedAtAnnotation], annotations[v1alpha1.FluxRequestedAtAnnotation]
	if ours == "" || flux == "" {
		return ours + flux
	}
	switch setAt(d, v1alpha1.RequestedAtAnnotation).Compare(setAt(d, v1alpha1.FluxRequestedAtAnnotation)) {
	case 1:
		return ours
	case -1:
		return flux
	}
	return max(ours, flux)
}

// setAt is when an annotation's manager last changed the object; zero: unknown.
func setAt(d client.Object, annotation string) time.Time {
	var at time.Time
	for _, entry := range d.GetManagedFields() {
		if entry.Time == nil || entry.FieldsV1 == nil || !strings.Contains(string(entry.FieldsV1.Raw), `"f:`+annotation+`"`) {
			continue
		}
		if entry.Time.After(at) {
			at = entry.Time.Time
		}
	}
	return at
}
