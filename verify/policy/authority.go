package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	maxAuthorities   = 32
	maxAuthorityName = 63
	maxIdentityBytes = 1024
	// maxRegexpSteps bounds a compiled regular expression: repetitions multiply.
	maxRegexpSteps = 10_000
	// MaxTrustedRootBytes is the size of the largest trusted_root.json in a policy.
	MaxTrustedRootBytes = 256 << 10

	trustedRootType = "application/vnd.dev.sigstore.trustedroot"
)

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
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +optional
	ValidFrom *metav1.Time `json:"validFrom,omitempty"`

	// ValidUntil is when they cease to; empty: never.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
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

// errSecret is a reference that nobody has resolved.
var errSecret = errors.New("only the synchronizer reads the cluster's Secrets; hint: for the command line write the content as data")

func (a Authority) validate(taken map[string]bool) error {
	if err := validateName(a.Name); err != nil {
		return err
	}
	switch {
	case taken[a.Name]:
		return fmt.Errorf("authority %q is listed twice", a.Name)
	case a.Key == nil && a.Keyless == nil:
		return fmt.Errorf("authority %q has neither key nor keyless", a.Name)
	case a.Key != nil && a.Keyless != nil:
		return fmt.Errorf("authority %q has both key and keyless; hint: make two authorities of it", a.Name)
	}
	if err := validateSigner(a.Key, a.Keyless); err != nil {
		return fmt.Errorf("authority %q: %w", a.Name, err)
	}
	return nil
}

func validateName(name string) error {
	switch {
	case name == "":
		return errors.New("an authority has no name")
	case len(name) > maxAuthorityName:
		return fmt.Errorf("authority %q: the name has more than %d characters", name, maxAuthorityName)
	case !printable(name):
		return fmt.Errorf("authority %q: the name holds control characters", name)
	}
	return nil
}

func validateSigner(key *Key, keyless *Keyless) error {
	if key != nil {
		return key.validate()
	}
	if keyless != nil {
		return keyless.validate()
	}
	return nil
}

// validate leaves the content of a Secret alone; see Policy.Resolve.
func (k Key) validate() error {
	if k.ValidFrom != nil && k.ValidUntil != nil && !k.ValidFrom.Before(k.ValidUntil) {
		return fmt.Errorf("validFrom %s is not before validUntil %s", stamp(k.ValidFrom), stamp(k.ValidUntil))
	}
	if k.SecretRef != nil {
		return k.SecretRef.validate(k.Data)
	}
	_, err := k.Public()
	return err
}

func (s SecretKey) validate(data string) error {
	switch {
	case data != "":
		return errors.New("there are both data and secretRef; hint: keep one")
	case s.Name == "":
		return errors.New("secretRef has no name")
	}
	return nil
}

func (r TrustedRoot) validate() error {
	if r.SecretRef != nil {
		return r.SecretRef.validate(r.Data)
	}
	if len(r.Data) > MaxTrustedRootBytes {
		return fmt.Errorf("it has %d bytes, more than the limit of %d", len(r.Data), MaxTrustedRootBytes)
	}
	var root struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal([]byte(r.Data), &root); err != nil {
		return fmt.Errorf("it is no JSON: %w; hint: paste a trusted_root.json", err)
	}
	if !strings.HasPrefix(root.MediaType, trustedRootType) {
		return fmt.Errorf("its mediaType is %.80q; hint: paste a trusted_root.json, which says %s+json;version=0.1", root.MediaType, trustedRootType)
	}
	return nil
}

// claim is a field of Keyless in its two forms.
type claim struct {
	name, literal, regexp string
	required              bool
}

func (k Keyless) claims() []claim {
	return []claim{
		{"issuer", k.Issuer, k.IssuerRegexp, true},
		{"subject", k.Subject, k.SubjectRegexp, true},
		{"sourceRepository", k.SourceRepository, k.SourceRepositoryRegexp, false},
		{"sourceRef", k.SourceRef, k.SourceRefRegexp, false},
		{"buildTrigger", k.BuildTrigger, "", false},
		{"runnerEnvironment", k.RunnerEnvironment, "", false},
	}
}

func (k Keyless) validate() error {
	for _, c := range k.claims() {
		if err := c.validate(); err != nil {
			return fmt.Errorf("keyless: %w", err)
		}
	}
	if k.TrustedRoot == nil {
		return nil
	}
	if err := k.TrustedRoot.validate(); err != nil {
		return fmt.Errorf("keyless: trustedRoot: %w", err)
	}
	return nil
}

func (c claim) validate() error {
	switch {
	case c.literal != "" && c.regexp != "":
		return fmt.Errorf("there are both %s and %[1]sRegexp; hint: keep one", c.name)
	case c.literal == "" && c.regexp == "" && c.required:
		return fmt.Errorf("%s is missing; hint: write it, or %[1]sRegexp", c.name)
	case len(c.literal) > maxIdentityBytes:
		return fmt.Errorf("%s has more than %d bytes", c.name, maxIdentityBytes)
	case !printable(c.literal) || strings.TrimSpace(c.literal) != c.literal:
		return fmt.Errorf("%s %q holds blanks at an end, or control characters", c.name, c.literal)
	case strings.ContainsAny(c.literal, `*^$`):
		return fmt.Errorf("%s %q is compared as it is written, and looks like a pattern; hint: write an anchored regular expression as %[1]sRegexp", c.name, c.literal)
	case c.regexp == "":
		return nil
	}
	if _, err := Anchored(c.regexp); err != nil {
		return fmt.Errorf("%sRegexp %q: %w", c.name, c.regexp, err)
	}
	return nil
}

// Anchored compiles a regular expression (RE2) that begins with ^ and ends with $
// and so matches whole strings only: ^a|b$ does not, and is refused.
func Anchored(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxIdentityBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxIdentityBytes)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(pattern, "^") || !strings.HasSuffix(pattern, "$") || !anchored(parsed) {
		return nil, errors.New("it does not match whole strings only; hint: write ^…$, and ^(?:a|b)$ where there are alternatives")
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxRegexpSteps {
		return nil, fmt.Errorf("it compiles to %d steps, more than the limit of %d", len(program.Inst), maxRegexpSteps)
	}
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// anchored says that r is a sequence that begins and ends with the ends of the text.
func anchored(r *syntax.Regexp) bool {
	if r.Op != syntax.OpConcat || len(r.Sub) < 3 {
		return false
	}
	first, last := r.Sub[0], r.Sub[len(r.Sub)-1]
	return first.Op == syntax.OpBeginText && last.Op == syntax.OpEndText
}
