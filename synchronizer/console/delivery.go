package console

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/api/v1alpha1"
)

// Delivery is a Delivery as a person looks at it. Its texts are foreign: they may
// hold anything.
type Delivery struct {
	// Document is the object as the API server has it, without managedFields.
	Document *unstructured.Unstructured
	Summary
}

// Summary is the state of a Delivery in a few words. Its JSON is what commands that
// act on Deliveries print.
type Summary struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Ready is True, False or Unknown; Reason and Message say why.
	Ready   string `json:"ready"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Suspended is what the spec asks for.
	Suspended bool `json:"suspended,omitempty"`
	// Source is what the spec names: OCI URL and tag, range or digest.
	Source string `json:"source"`
	// Release is the last one that was applied in full and became healthy.
	Repository string   `json:"repository,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Revision   string   `json:"revision,omitempty"`
	Version    string   `json:"version,omitempty"`
	SignedBy   []string `json:"signedBy,omitempty"`
	// Delivered is when that was.
	Delivered *time.Time `json:"delivered,omitempty"`
	// Attempted is the digest of a release that is on its way, refused or failed.
	Attempted string `json:"attempted,omitempty"`
	// Quarantined is the digest of a release that failed and was rolled back, Cause why.
	Quarantined string `json:"quarantined,omitempty"`
	Cause       string `json:"cause,omitempty"`
	// Objects counts those of the release, ObjectsReady the healthy ones.
	Objects      int `json:"objects"`
	ObjectsReady int `json:"objectsReady"`
	// Drifted names what differs from the release and is left so.
	Drifted []string `json:"drifted,omitempty"`
	// Awaiting is the digest of what waits for sealift confirm.
	Awaiting string `json:"awaiting,omitempty"`
}

// IsReady says that the Delivery is as its newest spec asks for.
func (s Summary) IsReady() bool { return s.Ready == string(metav1.ConditionTrue) }

// view is the Delivery that u is.
func view(u *unstructured.Unstructured) (Delivery, error) {
	d, err := decode(u)
	if err != nil {
		return Delivery{}, err
	}
	u = u.DeepCopy()
	u.SetManagedFields(nil)
	return Delivery{Document: u, Summary: summarize(d)}, nil
}

func summarize(d *v1alpha1.Delivery) Summary {
	s := Summary{Namespace: d.Namespace, Name: d.Name, Suspended: d.Spec.Suspend, Source: sourceOf(d.Spec.Source), Drifted: d.Status.Drifted}
	s.Ready, s.Reason, s.Message = string(metav1.ConditionUnknown), "Unseen", "no synchronizer has looked at it yet"
	if ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		s.Ready, s.Reason, s.Message = string(ready.Status), ready.Reason, ready.Message
		if ready.ObservedGeneration < d.Generation {
			s.Ready, s.Reason, s.Message = string(metav1.ConditionUnknown), "Unseen", "the spec changed, and the status does not answer it yet; before: "+ready.Reason
		}
	}
	if r := d.Status.Applied; r != nil {
		s.Repository, s.Digest, s.Revision, s.Version, s.SignedBy = r.Repository, r.Digest, r.Revision, r.Version, r.SignedBy
		if r.Since != nil {
			s.Delivered = &r.Since.Time
		}
	}
	if r := d.Status.Attempted; r != nil {
		s.Attempted = r.Digest
	}
	if q := d.Status.Quarantined; q != nil {
		s.Quarantined, s.Cause = q.Digest, q.Cause
	}
	if o := d.Status.Objects; o != nil {
		s.Objects, s.ObjectsReady = o.Total, o.Ready
	}
	if a := d.Status.Awaiting; a != nil {
		s.Awaiting = a.Digest
	}
	return s
}

// sourceOf is the source as one would write it: oci://HOST/REPOSITORY:TAG.
func sourceOf(s v1alpha1.Source) string {
	switch {
	case s.Tag != "":
		return s.URL + ":" + s.Tag
	case s.Digest != "":
		return s.URL + "@" + s.Digest
	}
	return s.URL + " " + s.Semver
}

// ShortRevision is a Git revision with the first eight digits of its commit.
func ShortRevision(revision string) string {
	const digits = 8
	branch, commit, found := strings.Cut(revision, "@sha1:")
	if !found || len(commit) <= digits {
		return revision
	}
	return branch + "@" + commit[:digits]
}
