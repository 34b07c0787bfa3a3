package controller

import "sealift.dev/api/v1alpha1"

// maxHistory is the CRD's bound on the history.
const maxHistory = 10

// chronicle puts a release first in the history.
func chronicle(status *v1alpha1.DeliveryStatus, release v1alpha1.Release) {
	if len(status.History) > 0 && status.History[0].Digest == release.Digest && status.History[0].Repository == release.Repository {
		return
	}
	status.History = append([]v1alpha1.Release{release}, status.History...)
	status.History = status.History[:min(len(status.History), maxHistory)]
}
