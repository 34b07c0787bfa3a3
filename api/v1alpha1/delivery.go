package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/verify/policy"
)

// Condition types of a Delivery; they follow kstatus.
const (
	// ConditionReady is True while the release that the source names runs and is healthy.
	ConditionReady = "Ready"
	// ConditionReconciling exists, and is True, while a release is on its way.
	ConditionReconciling = "Reconciling"
	// ConditionStalled exists, and is True, while only a person can help.
	ConditionStalled = "Stalled"
)

// RequestedAtAnnotation asks for a pass now whenever its value changes.
const RequestedAtAnnotation = "sealift.dev/requestedAt"

// Delivery keeps one environment of a release in a cluster.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=sealift
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.applied.version`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.applied.revision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Delivery struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DeliverySpec   `json:"spec"`
	Status DeliveryStatus `json:"status,omitempty"`
}

// DeliveryList is a list of Deliveries.
// +kubebuilder:object:root=true
type DeliveryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Delivery `json:"items"`
}

// DeliverySpec is what a Delivery asks for.
type DeliverySpec struct {
	// Source is where releases come from.
	Source Source `json:"source"`

	// Environment is the folder of the release that is delivered; "." is its root.
	// +kubebuilder:default="."
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="environment is a relative path inside the release, without '..'"
	// +optional
	Environment string `json:"environment,omitempty"`

	// Trust says who must have signed, beside the TrustPolicies that match.
	// +optional
	Trust *policy.Trust `json:"trust,omitempty"`

	// ServiceAccountName in the Delivery's namespace is impersonated for every
	// write. Default: default.
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Interval is how often the registry is asked for a new release.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="interval is between 1s and 24h"
	// +optional
	Interval metav1.Duration `json:"interval,omitempty"`

	// Timeout is how long the objects of a release may take to become healthy.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="timeout is between 1s and 24h"
	// +optional
	Timeout metav1.Duration `json:"timeout,omitempty"`

	// Prune deletes objects that the release no longer holds, once it is healthy.
	// +kubebuilder:default=true
	// +optional
	Prune *bool `json:"prune,omitempty"`

	// PruneProtected lets Prune delete Namespaces, CustomResourceDefinitions,
	// PersistentVolumes and PersistentVolumeClaims as well.
	// +optional
	PruneProtected bool `json:"pruneProtected,omitempty"`

	// Drift is Correct (re-apply what was changed) or Report.
	// +kubebuilder:validation:Enum=Correct;Report
	// +kubebuilder:default=Correct
	// +optional
	Drift string `json:"drift,omitempty"`

	// OnFailure is Rollback (go back to the last good release when a new one
	// cannot be applied in full or does not become healthy) or Hold.
	// +kubebuilder:validation:Enum=Rollback;Hold
	// +kubebuilder:default=Rollback
	// +optional
	OnFailure string `json:"onFailure,omitempty"`

	// Suspend stops deliveries and drift correction until it is false again.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Source names a release in a registry.
// +kubebuilder:validation:XValidation:rule="[has(self.tag), has(self.semver), has(self.digest)].filter(x, x).size() == 1",message="source needs exactly one of tag, semver and digest"
type Source struct {
	// URL is oci://HOST/REPOSITORY.
	// +kubebuilder:validation:Pattern=`^oci://[^/\s@]+/[^\s@:]+$`
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url"`

	// Tag is followed as it moves.
	// +kubebuilder:validation:Pattern=`^[\w][\w.-]{0,127}$`
	// +optional
	Tag string `json:"tag,omitempty"`

	// Semver follows the highest version tag in a range: ">=1.2.0 <2.0.0".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Semver string `json:"semver,omitempty"`

	// Digest pins one release: sha256:<64 hex digits>.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +optional
	Digest string `json:"digest,omitempty"`

	// SecretRef names a Secret of type kubernetes.io/dockerconfigjson in the
	// Delivery's namespace.
	// +optional
	SecretRef *SecretRef `json:"secretRef,omitempty"`

	// CertSecretRef names a Secret in the Delivery's namespace with ca.crt,
	// certificate authorities to trust beside the system's, and tls.crt and
	// tls.key, a client certificate; either or both.
	// +optional
	CertSecretRef *SecretRef `json:"certSecretRef,omitempty"`

	// Insecure speaks plain HTTP to the registry.
	// +optional
	Insecure bool `json:"insecure,omitempty"`
}

// SecretRef names a Secret in the same namespace.
type SecretRef struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

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
	// Since is when the first object was written; absent when none was.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// Quarantine is a release that failed.
type Quarantine struct {
	// Digest of the manifest in the registry.
	Digest string `json:"digest"`
	// Cause is why it failed.
	Cause string `json:"cause"`
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
}
