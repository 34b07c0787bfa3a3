// Package policy holds the trust policy: the one document that says whose
// signature counts, for which repositories, from which source. It reads and
// judges policies and keys, and verifies no signature, so that the API types can
// embed it.
// +kubebuilder:object:generate=true
package policy

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// +optional
	Repositories []string `json:"repositories,omitempty"`
}

// Authority is one signer: a key, or an identity that needs none.
// +kubebuilder:validation:XValidation:rule="has(self.key) != has(self.keyless)",message="an authority has exactly one of key and keyless"
type Authority struct {
	// Name is what reports and events call this signer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Key is the public key of a keyed signer.
	// +optional
	Key *Key `json:"key,omitempty"`

	// Keyless is the identity in a short-lived certificate.
	// +optional
	Keyless *Keyless `json:"keyless,omitempty"`
}

// Key is a public key: as data, or in a Secret.
// +kubebuilder:validation:XValidation:rule="has(self.data) != has(self.secretRef)",message="a key has exactly one of data and secretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.validFrom) || !has(self.validUntil) || timestamp(self.validFrom) < timestamp(self.validUntil)",message="validFrom must be before validUntil"
type Key struct {
	// Data is a PEM-encoded PKIX public key: ECDSA P-256 or P-384, RSA of at
	// least 3072 bits, or Ed25519.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Data string `json:"data,omitempty"`

	// SecretRef names a Secret that holds the key in PEM. In a TrustPolicy it is
	// in the synchronizer's namespace, in a Delivery in the Delivery's.
	// +optional
	SecretRef *SecretKey `json:"secretRef,omitempty"`

	// ValidFrom is when the key's signatures begin to count; empty: always did.
	// +optional
	ValidFrom *metav1.Time `json:"validFrom,omitempty"`

	// ValidUntil is when they cease to; empty: never.
	// +optional
	ValidUntil *metav1.Time `json:"validUntil,omitempty"`
}

// SecretKey is an entry of a Secret.
type SecretKey struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key in the Secret. Default: cosign.pub for a key, trusted_root.json for a
	// trusted root.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Key string `json:"key,omitempty"`
}

// Keyless is what the certificate of a signature must say. The issuer and the
// subject are always asked for; each is either literal or an anchored regular
// expression (RE2). The others follow Fulcio's certificate extensions,
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md.
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.issuerRegexp)",message="keyless needs exactly one of issuer and issuerRegexp"
// +kubebuilder:validation:XValidation:rule="has(self.subject) != has(self.subjectRegexp)",message="keyless needs exactly one of subject and subjectRegexp"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceRepository) || !has(self.sourceRepositoryRegexp)",message="keyless has at most one of sourceRepository and sourceRepositoryRegexp"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceRef) || !has(self.sourceRefRegexp)",message="keyless has at most one of sourceRef and sourceRefRegexp"
type Keyless struct {
	// Issuer is the OpenID Connect issuer, such as https://token.actions.githubusercontent.com.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[*^$]')",message="this is compared as it is written, and looks like a pattern; write the field that ends in Regexp instead"
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// IssuerRegexp matches the whole issuer: ^https://gitlab\.(example|acme)\.com$.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="a regular expression begins with ^ and ends with $"
	// +optional
	IssuerRegexp string `json:"issuerRegexp,omitempty"`

	// Subject is the certificate's subject alternative name: the workflow with its
	// ref, an e-mail address, a service account.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[*^$]')",message="this is compared as it is written, and looks like a pattern; write the field that ends in Regexp instead"
	// +optional
	Subject string `json:"subject,omitempty"`
	// SubjectRegexp matches the whole subject.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="a regular expression begins with ^ and ends with $"
	// +optional
	SubjectRegexp string `json:"subjectRegexp,omitempty"`

	// SourceRepository is the repository that the workflow ran for. It tells the
	// callers of a shared workflow apart.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[*^$]')",message="this is compared as it is written, and looks like a pattern; write the field that ends in Regexp instead"
	// +optional
	SourceRepository string `json:"sourceRepository,omitempty"`
	// SourceRepositoryRegexp matches the whole source repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="a regular expression begins with ^ and ends with $"
	// +optional
	SourceRepositoryRegexp string `json:"sourceRepositoryRegexp,omitempty"`

	// SourceRef is the Git ref that the workflow ran for, such as refs/heads/main.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.matches('[*^$]')",message="this is compared as it is written, and looks like a pattern; write the field that ends in Regexp instead"
	// +optional
	SourceRef string `json:"sourceRef,omitempty"`
	// SourceRefRegexp matches the whole source ref.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('^') && self.endsWith('$')",message="a regular expression begins with ^ and ends with $"
	// +optional
	SourceRefRegexp string `json:"sourceRefRegexp,omitempty"`

	// BuildTrigger is the event that started the workflow, such as push.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	BuildTrigger string `json:"buildTrigger,omitempty"`

	// RunnerEnvironment is where it ran, such as github-hosted.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RunnerEnvironment string `json:"runnerEnvironment,omitempty"`

	// TrustedRoot holds the certificate authority and the logs. Default: what the
	// synchronizer or the command was started with, else the public Sigstore instance.
	// +optional
	TrustedRoot *TrustedRoot `json:"trustedRoot,omitempty"`
}

// TrustedRoot is a Sigstore trusted_root.json: as data, or in a Secret.
// +kubebuilder:validation:XValidation:rule="has(self.data) != has(self.secretRef)",message="a trusted root has exactly one of data and secretRef"
type TrustedRoot struct {
	// Data is the content of a trusted_root.json.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	Data string `json:"data,omitempty"`

	// SecretRef names a Secret that holds it; see Key.
	// +optional
	SecretRef *SecretKey `json:"secretRef,omitempty"`
}

// Attestation is a statement about a release that a policy asks for.
type Attestation struct {
	// PredicateType is the kind of statement, such as https://slsa.dev/provenance/v1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self != 'https://sigstore.dev/cosign/sign/v1'",message="this predicate type is that of signatures; require.atLeast says how many of those are wanted"
	PredicateType string `json:"predicateType"`

	// Authorities are those whose statement counts; one of them is enough. An entry
	// with nothing but a name stands for the policy's authority of that name. Others
	// count for this attestation only, not for the release's signature.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	Authorities []Attestor `json:"authorities"`

	// MaxAge is how old a statement may be by a time that a log or a timestamp
	// authority vouches for: 720h. A statement without such a time is too old.
	// Empty: any age.
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="maxAge must be more than 0s"
	// +optional
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`

	// Conditions must all be true of one statement.
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
}

// Attestor is an authority for an attestation, or the name of one of the policy's.
// +kubebuilder:validation:XValidation:rule="!has(self.key) || !has(self.keyless)",message="an authority has at most one of key and keyless"
type Attestor struct {
	// Name is what reports call this signer, or the name of an authority of the policy.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Key is the public key of a keyed signer.
	// +optional
	Key *Key `json:"key,omitempty"`

	// Keyless is the identity in a short-lived certificate.
	// +optional
	Keyless *Keyless `json:"keyless,omitempty"`
}

// Condition is a CEL expression that must be true of a statement.
type Condition struct {
	// Expression in CEL, https://cel.dev, of type bool. It sees predicate (the
	// statement's predicate), release (repository, digest, source, revision, ref,
	// version, sequence, epoch) and signer (authority, issuer, subject).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Expression string `json:"expression"`

	// Message is what a refusal says. Default: the expression.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
}

// Mirror is another place where releases may be read.
// +kubebuilder:validation:XValidation:rule="self.of != self.at && !self.at.startsWith(self.of + '/') && !self.of.startsWith(self.at + '/')",message="of and at must not overlap"
// +kubebuilder:validation:XValidation:rule="!self.of.contains('*') && !self.at.contains('*')",message="of and at are HOST/PATH, not patterns: they stand for what is below them as well"
// +kubebuilder:validation:XValidation:rule="!self.of.contains('://') && !self.at.contains('://')",message="of and at are HOST/PATH, without a scheme"
type Mirror struct {
	// Of is where they were published: HOST/PATH, a repository or what it begins with.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Of string `json:"of"`

	// At is where they may be read: HOST/PATH in place of Of.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	At string `json:"at"`
}

// Revoked names what no longer counts.
type Revoked struct {
	// Digests of releases that are refused: sha256:HEX.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Pattern=`^sha256:[0-9a-f]{64}$`
	// +listType=set
	// +optional
	Digests []string `json:"digests,omitempty"`

	// Keys whose signatures do not count, by ID: the hex-encoded SHA-256 of the
	// public key in PKIX form, as reports show it.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Pattern=`^[0-9a-f]{64}$`
	// +listType=set
	// +optional
	Keys []string `json:"keys,omitempty"`
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
