package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

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

const (
	// RequestedAtAnnotation asks for a pass now whenever its value changes.
	RequestedAtAnnotation = "sealift.dev/requestedAt"
	// FluxRequestedAtAnnotation does the same, for tools that know Flux.
	FluxRequestedAtAnnotation = "reconcile.fluxcd.io/requestedAt"
	// ConfirmAnnotation confirms what status.awaiting lists; its value is that list's digest.
	ConfirmAnnotation = "sealift.dev/confirm"
)

// Delivery keeps one environment of a release in a cluster.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=sealift
// +kubebuilder:validation:XValidation:rule="!has(self.spec.dependsOn) || self.spec.dependsOn.all(d, d.name != self.metadata.name)",message="spec.dependsOn names the Delivery itself"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.applied.revision`
// +kubebuilder:printcolumn:name="Objects",type=string,JSONPath=`.status.objects.summary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Version",type=string,priority=1,JSONPath=`.status.applied.version`
// +kubebuilder:printcolumn:name="Digest",type=string,priority=1,JSONPath=`.status.applied.digest`
// +kubebuilder:printcolumn:name="Signed by",type=string,priority=1,JSONPath=`.status.applied.signedBy`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Delivery struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DeliverySpec   `json:"spec"`
	Status DeliveryStatus `json:"status,omitempty"`

	// Unreadable says why Spec could not be read; empty: it was.
	Unreadable string `json:"-"`
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
	// write. Default: what the synchronizer was started with, or default.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="serviceAccountName is the name of a service account, without its namespace"
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Interval is how often the registry is asked for a new release.
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms|us|ns))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="interval is between 1s and 24h, written as 30s, 5m or 1.5h"
	// +optional
	Interval metav1.Duration `json:"interval,omitempty"`

	// Timeout is how long the objects of a release may take to become healthy.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}([.][0-9]{1,6})?(h|m|s|ms|us|ns))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="timeout is between 1s and 24h, written as 30s, 5m or 1.5h"
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

	// MaxPrune is how many objects may be deleted at once without being confirmed: a
	// number, or a share of the objects there are ("50%"). Default: half of them, when
	// there are more than ten.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 1000000 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="maxPrune is a number of objects, or a share of them from 0% to 100%"
	// +optional
	MaxPrune *intstr.IntOrString `json:"maxPrune,omitempty"`

	// Drift is Correct (re-apply what was changed) or Report.
	// +kubebuilder:validation:Enum=Correct;Report
	// +kubebuilder:default=Correct
	// +optional
	Drift string `json:"drift,omitempty"`

	// IgnoreFields are given up once somebody else sets them: they are applied when
	// an object is created, and taken from nobody.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	IgnoreFields []IgnoreFields `json:"ignoreFields,omitempty"`

	// OnFailure is Rollback (go back to the last good release when a new one
	// cannot be applied in full or does not become healthy) or Hold.
	// +kubebuilder:validation:Enum=Rollback;Hold
	// +kubebuilder:default=Rollback
	// +optional
	OnFailure string `json:"onFailure,omitempty"`

	// Irreversible says what becomes of a failed release that did what applying the
	// last good one cannot undo (ran a Job, re-created an object, ...): Hold stays
	// where it failed, Rollback goes back nevertheless.
	// +kubebuilder:validation:Enum=Hold;Rollback
	// +kubebuilder:default=Hold
	// +optional
	Irreversible string `json:"irreversible,omitempty"`

	// Health says of kinds whose status kstatus does not understand when their
	// objects are healthy.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Health []HealthRule `json:"health,omitempty"`

	// DependsOn are Deliveries of the same namespace that must be ready before a new
	// release is applied.
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	// +optional
	DependsOn []Dependency `json:"dependsOn,omitempty"`

	// Decryption of values that SOPS encrypted.
	// +optional
	Decryption *Decryption `json:"decryption,omitempty"`

	// Patches change objects before they are applied, as kustomize's do.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Patches []Patch `json:"patches,omitempty"`

	// TargetNamespace replaces the namespace of all namespaced objects.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="targetNamespace is a namespace: lower-case letters, digits and '-'"
	// +kubebuilder:validation:MaxLength=63
	// +optional
	TargetNamespace string `json:"targetNamespace,omitempty"`

	// Substitute gives values to variables: ${name} in any text of an object. They
	// come before those of SubstituteFrom.
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",message="a variable's name has letters, digits and underscores, and begins with no digit"
	// +optional
	Substitute map[string]SubstituteValue `json:"substitute,omitempty"`

	// SubstituteFrom are ConfigMaps and Secrets of the same namespace with more
	// values; later ones come before earlier ones.
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	SubstituteFrom []SubstituteSource `json:"substituteFrom,omitempty"`

	// DeletionPolicy is what becomes of the objects when the Delivery is deleted:
	// Prune deletes them, WaitForTermination keeps the Delivery until they are gone,
	// Orphan leaves them. Default: Prune, or Orphan where prune is false.
	// +kubebuilder:validation:Enum=Prune;Orphan;WaitForTermination
	// +optional
	DeletionPolicy string `json:"deletionPolicy,omitempty"`

	// Suspend stops deliveries and drift correction until it is false again.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// IgnoreFields are fields of the objects of one kind.
type IgnoreFields struct {
	// Group of the kind; empty is the core group.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Group string `json:"group,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// Name of one object; empty: all.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// Paths are JSON pointers (RFC 6901): /spec/replicas.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(p, p.matches('^(/([^~/]|~[01])+)+$'))",message="ignoreFields.paths are JSON pointers, as /spec/replicas; '~' is written ~0, and '/' in a name ~1"
	// +listType=atomic
	Paths []string `json:"paths"`
}

// HealthRule is CEL over the live object, as self. The first that is true counts, in
// this order: inProgress, failed, current; when none is, the object is in progress.
type HealthRule struct {
	// Group of the kind; empty is the core group.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Group string `json:"group,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	InProgress string `json:"inProgress,omitempty"`
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Failed string `json:"failed,omitempty"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Current string `json:"current"`
}

// Dependency is another Delivery of the same namespace.
type Dependency struct {
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="a name has lower-case letters, digits, '-' and '.', and is of the Delivery's own namespace"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Ready is CEL over the other Delivery, as self; default: its Ready condition is
	// True for its newest generation.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Ready string `json:"ready,omitempty"`
}

// Decryption names the keys for what SOPS encrypted.
type Decryption struct {
	// SecretRef names a Secret of the same namespace: entries NAME.agekey hold age
	// identities, NAME.asc OpenPGP private keys without a passphrase.
	SecretRef SecretRef `json:"secretRef"`
}

// Patch is a kustomize patch: a strategic merge patch, or a list of operations of a
// JSON patch (RFC 6902).
// +kubebuilder:validation:XValidation:rule="has(self.target) || !(self.patch.startsWith('- ') || self.patch.startsWith('['))",message="a patch that is a list of operations needs a target"
type Patch struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Patch string `json:"patch"`
	// Target selects objects; default: the one that a strategic merge patch names.
	// +optional
	Target *PatchTarget `json:"target,omitempty"`
}

// PatchTarget selects objects; kind, name and namespace are anchored regular
// expressions, and what is empty selects all.
type PatchTarget struct {
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Group string `json:"group,omitempty"`
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Version string `json:"version,omitempty"`
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Kind string `json:"kind,omitempty"`
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	LabelSelector string `json:"labelSelector,omitempty"`
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// SubstituteValue is the text that a variable stands for.
// +kubebuilder:validation:MaxLength=65536
type SubstituteValue string

// SubstituteSource is a ConfigMap or Secret whose entries are variables.
type SubstituteSource struct {
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="a name has lower-case letters, digits, '-' and '.', and is of the Delivery's own namespace"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Optional: it may be missing.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// Source names a release in a registry.
// +kubebuilder:validation:XValidation:rule="[has(self.tag), has(self.semver), has(self.digest)].filter(x, x).size() == 1",message="source needs exactly one of tag, semver and digest"
type Source struct {
	// URL is oci://HOST/REPOSITORY.
	// +kubebuilder:validation:XValidation:rule="self.matches('^oci://[^/@[:space:]]+/[^@:[:space:]]+$')",message="source.url is oci://HOST/REPOSITORY, without a tag, a digest or a user"
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url"`

	// Tag is followed as it moves.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="source.tag has letters, digits, '_', '.' and '-', and begins with none of the last two"
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Tag string `json:"tag,omitempty"`

	// Semver follows the highest version tag in a range: ">=1.2.0 <2.0.0".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Semver string `json:"semver,omitempty"`

	// Digest pins one release: sha256:<64 hex digits>.
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[0-9a-f]{64}$')",message="source.digest is sha256: and 64 hexadecimal digits, in lower case"
	// +kubebuilder:validation:MaxLength=128
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
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="a name has lower-case letters, digits, '-' and '.', and is of the Delivery's own namespace"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
