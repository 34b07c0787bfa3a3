// Package policy holds the trust policy: the one document that says whose
// signature counts, for which repositories, from which source. It reads and
// judges policies and keys, and verifies no signature, so that the API types can
// embed it.
// +kubebuilder:object:generate=true
package policy

// Mode says what a policy that does not pass does.
// +kubebuilder:validation:Enum=Enforce;Audit
type Mode string

const (
	// Enforce refuses what does not pass. It is the default.
	Enforce Mode = "Enforce"
	// Audit decides and reports, and lets pass.
	Audit Mode = "Audit"
)

// Format is the form in which a signature is stored in the registry.
// +kubebuilder:validation:Enum=bundle;legacy
type Format string

const (
	// Bundle is the Sigstore bundle v0.3, stored as an OCI 1.1 referrer.
	Bundle Format = "bundle"
	// Legacy is cosign 2's signature manifest under the tag sha256-<digest>.sig.
	Legacy Format = "legacy"
)

// Policy is the spec of a TrustPolicy.
// +kubebuilder:validation:XValidation:rule="!has(self.attestations) || self.attestations.all(a, a.authorities.all(x, has(x.key) || has(x.keyless) || self.authorities.exists(y, y.name == x.name)))",message="an authority of an attestation has neither key nor keyless, and is none of the policy's"
type Policy struct {
	// Mode is Enforce (default) or Audit.
	// +kubebuilder:default=Enforce
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// Match says what the policy applies to. Empty matches everything.
	// +optional
	Match Match `json:"match,omitempty"`

	Trust `json:",inline"`

	// Source restricts where a release was built from.
	// +optional
	Source Source `json:"source,omitempty"`

	// Attestations are statements about the release that must be there as well:
	// every one of them.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Attestations []Attestation `json:"attestations,omitempty"`

	// Mirrors are other names under which releases may be read.
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Mirrors []Mirror `json:"mirrors,omitempty"`

	// Revoked names what no longer counts, whoever signed.
	// +optional
	Revoked Revoked `json:"revoked,omitempty"`
}

// Trust says who must have signed.
// +kubebuilder:validation:XValidation:rule="!has(self.require) || !has(self.require.atLeast) || self.require.atLeast <= self.authorities.size()",message="require.atLeast is more than there are authorities"
type Trust struct {
	// Formats lists the signature formats that count. Default: [bundle].
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	Formats []Format `json:"formats,omitempty"`

	// Authorities are the signers that count.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	Authorities []Authority `json:"authorities"`

	// Require says how many authorities must have signed.
	// +optional
	Require Require `json:"require,omitempty"`
}

// Match selects Deliveries by namespace and repository.
type Match struct {
	// Namespaces of Deliveries; empty is all of them. Ignored outside a cluster.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`

	// Repositories are patterns HOST/PATH without a scheme; "*" stands for one
	// path element or a part of it, "**" for any number of them. Empty is all.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(r, !r.contains('://'))",message="a repository is HOST/PATH, without a scheme"
	// +kubebuilder:validation:XValidation:rule="self.all(r, r == '**' || r.contains('/'))",message="a host alone matches nothing; write HOST/** for all of it"
	// +optional
	Repositories []string `json:"repositories,omitempty"`
}

// Require is a threshold.
type Require struct {
	// AtLeast is how many different authorities, with different keys, must have
	// signed. Default: 1.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	// +optional
	AtLeast int `json:"atLeast,omitempty"`
}

// Source is checked against the release statement.
type Source struct {
	// Repositories are the Git URLs a release may come from; empty is any.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +optional
	Repositories []string `json:"repositories,omitempty"`

	// Refs are the Git refs a release may come from, such as refs/heads/main;
	// empty is any.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.all(r, r.startsWith('refs/'))",message="a ref is a full Git ref, such as refs/heads/main"
	// +optional
	Refs []string `json:"refs,omitempty"`
}
