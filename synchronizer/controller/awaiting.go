package controller

import (
	"fmt"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer/engine"
)

// maxAwaiting is the CRD's bound on the list of what is to be confirmed.
const maxAwaiting = 50

// awaitingOf is what a person has to confirm; nil where there is nothing.
func awaitingOf(c *engine.Confirm) *v1alpha1.Awaiting {
	if c == nil {
		return nil
	}
	awaiting := &v1alpha1.Awaiting{Digest: c.Digest, Reason: c.Reason, Of: c.Of, Total: len(c.Objects)}
	for _, ref := range c.Objects[:min(maxAwaiting, len(c.Objects))] {
		awaiting.Objects = append(awaiting.Objects, plain(ref.String()))
	}
	return awaiting
}

func awaitingMessage(c *engine.Confirm, delivered string) string {
	return fmt.Sprintf("%s; hint: sealift confirm shows and confirms the list (or set the annotation %s to status.awaiting.digest), or publish a release that has them; %s",
		c.Reason, v1alpha1.ConfirmAnnotation, delivered)
}
