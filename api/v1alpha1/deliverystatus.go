package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DeliveryStatus is what the synchronizer knows of a Delivery.
type DeliveryStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions are Ready, and while they are true Reconciling and Stalled.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Applied is the last release that was applied in full and became healthy.
	// +optional
	Applied *Release `json:"applied,omitempty"`

	// Attempted is the release that was seen last, when it is not the applied one:
	// on its way, refused, or failed.
	// +optional
	Attempted *Release `json:"attempted,omitempty"`

	// Quarantined failed and was rolled back; it is not tried again until a newer
	// release comes or a pass is requested.
	// +optional
	Quarantined *Quarantine `json:"quarantined,omitempty"`

	// Accepted is the highest release ever accepted; nothing lower is accepted again.
	// +optional
	Accepted *Watermark `json:"accepted,omitempty"`

	// Kinds are the kinds of which this Delivery may own objects. A kind is
	// added before its first object is written.
	// +listType=atomic
	// +optional
	Kinds []Kind `json:"kinds,omitempty"`

	// Objects counts the objects of the release.
	// +optional
	Objects *ObjectCount `json:"objects,omitempty"`

	// Unhealthy names objects that are not ready, and why.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Unhealthy []ObjectHealth `json:"unhealthy,omitempty"`

	// Awaiting is what is not done until a person confirms it.
	// +optional
	Awaiting *Awaiting `json:"awaiting,omitempty"`

	// History are the last releases that were applied in full and became healthy, the
	// newest first.
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	History []Release `json:"history,omitempty"`

	// Confirmed stands for all objects as they were applied last: a process that
	// finds them so needs no request to know it.
	// +optional
	Confirmed string `json:"confirmed,omitempty"`

	// Drifted lists what differs from the release while drift is only reported.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Drifted []string `json:"drifted,omitempty"`

	// LastHandledReconcileAt is the requestedAt annotation that was answered last.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// Release identifies a release in the status.
type Release struct {
	// Repository that the release was read from: HOST/PATH.
	// +optional
	Repository string `json:"repository,omitempty"`
	// Digest of the manifest in the registry.
	Digest string `json:"digest"`
	// Revision is the Git revision: main@sha1:<commit>.
	// +optional
	Revision string `json:"revision,omitempty"`
	// +optional
	Version string `json:"version,omitempty"`
	// SignedBy names the authorities whose signatures counted.
	// +listType=atomic
	// +optional
	SignedBy []string `json:"signedBy,omitempty"`
	// Irreversible says what an attempt at the release did, or was about to do, that
	// applying another one does not undo.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	// +optional
	Irreversible []string `json:"irreversible,omitempty"`
	// Since is when the first object was written; absent when none was.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// Tailored stands for what differed from the release: patches, namespace, variables
	// and keys.
	// +optional
	Tailored string `json:"tailored,omitempty"`
}

// ObjectHealth is an object that is not ready.
type ObjectHealth struct {
	// +optional
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Status in the words of kstatus: InProgress, Failed, Terminating, NotFound, Unknown.
	Status string `json:"status"`
	// +optional
	Message string `json:"message,omitempty"`
}

// Awaiting is a deletion of more objects than maxPrune, or of such that ask for it.
type Awaiting struct {
	// Digest stands for exactly this list; the annotation sealift.dev/confirm with
	// this value confirms it.
	Digest string `json:"digest"`
	// Reason says in words why it has to be confirmed.
	Reason string `json:"reason"`
	// Total is how many objects there are in the list.
	Total int `json:"total"`
	// Of is how many objects there were when they were found to be too many of them.
	// +optional
	Of int `json:"of,omitempty"`
	// Objects are the first of them: KIND[.GROUP] [NAMESPACE/]NAME.
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	Objects []string `json:"objects"`
}

// Quarantine is a release that failed.
type Quarantine struct {
	// Digest of the manifest in the registry.
	Digest string `json:"digest"`
	// Cause is why it failed.
	Cause string `json:"cause"`
	// Tailored stands for what differed from the release then; it is tried again when
	// something else does.
	// +optional
	Tailored string `json:"tailored,omitempty"`
}

// Watermark is the highest release that a Delivery has accepted from a repository.
type Watermark struct {
	Repository string `json:"repository"`
	Epoch      int64  `json:"epoch"`
	Sequence   int64  `json:"sequence"`
	Digest     string `json:"digest"`
	// +optional
	Revision string `json:"revision,omitempty"`
}

// Kind is a group and kind. An empty group is the core group.
type Kind struct {
	// +optional
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
}

// ObjectCount counts the objects of a release by state.
type ObjectCount struct {
	Total int `json:"total"`
	Ready int `json:"ready"`
	// Summary is READY/TOTAL.
	// +optional
	Summary string `json:"summary,omitempty"`
}
