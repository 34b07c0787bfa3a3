package policy

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/internal/condition"
)

const (
	maxAttestations   = 16
	maxConditions     = 16
	maxPredicateBytes = 512
	maxMessageBytes   = 512

	// SignaturePredicate is the predicate type of a signature, which is no attestation.
	SignaturePredicate = "https://sigstore.dev/cosign/sign/v1"
)

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

// validate checks a against the policy's own authorities.
func (a Attestation) validate(authorities []Authority) error {
	switch {
	case a.PredicateType == "":
		return errors.New("predicateType is missing; hint: write one such as https://slsa.dev/provenance/v1")
	case len(a.PredicateType) > maxPredicateBytes:
		return fmt.Errorf("predicateType has more than %d bytes", maxPredicateBytes)
	case !printable(a.PredicateType):
		return fmt.Errorf("predicateType %q holds control characters", a.PredicateType)
	case a.PredicateType == SignaturePredicate:
		return fmt.Errorf("predicateType %s is that of signatures; hint: require.atLeast says how many of those are wanted", a.PredicateType)
	case len(a.Authorities) == 0:
		return errors.New("no authorities are listed, so nobody could attest; hint: name one of the policy's")
	case len(a.Authorities) > maxAuthorities:
		return fmt.Errorf("%d authorities are more than the limit of %d", len(a.Authorities), maxAuthorities)
	case a.MaxAge != nil && a.MaxAge.Duration <= 0:
		return fmt.Errorf("maxAge is %s, and must be more than 0s", a.MaxAge.Duration)
	case len(a.Conditions) > maxConditions:
		return fmt.Errorf("%d conditions are more than the limit of %d", len(a.Conditions), maxConditions)
	}
	taken := map[string]bool{}
	for _, attestor := range a.Authorities {
		if err := attestor.validate(taken, authorities); err != nil {
			return err
		}
		taken[attestor.Name] = true
	}
	for _, c := range a.Conditions {
		if err := c.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (a Attestor) validate(taken map[string]bool, authorities []Authority) error {
	if err := validateName(a.Name); err != nil {
		return err
	}
	named := Authority{Name: a.Name}.in(authorities)
	switch alone := a.Key == nil && a.Keyless == nil; {
	case taken[a.Name]:
		return fmt.Errorf("authority %q is listed twice", a.Name)
	case alone && named == nil:
		return fmt.Errorf("authority %q is none of the policy's; hint: give it a key or keyless here", a.Name)
	case alone:
		return nil
	case named != nil:
		return fmt.Errorf("authority %q has the name of one of the policy's; hint: leave its key and keyless out, or give it another name", a.Name)
	}
	return Authority(a).validate(nil)
}

// in finds the authority of a's name; nil means that there is none.
func (a Authority) in(authorities []Authority) *Authority {
	for i := range authorities {
		if authorities[i].Name == a.Name {
			return &authorities[i]
		}
	}
	return nil
}

// Attestors are the authorities of a in p, where a name alone stands for one of
// p's own.
func (p Policy) Attestors(a Attestation) []Authority {
	attestors := make([]Authority, 0, len(a.Authorities))
	for _, attestor := range a.Authorities {
		if own := Authority(attestor).in(p.Authorities); own != nil {
			attestors = append(attestors, *own)
			continue
		}
		attestors = append(attestors, Authority(attestor))
	}
	return attestors
}

func (c Condition) validate() error {
	if len(c.Message) > maxMessageBytes || !printable(c.Message) {
		return fmt.Errorf("the message %.80q of a condition has more than %d bytes, or control characters", c.Message, maxMessageBytes)
	}
	_, err := condition.Compile(c.Expression, condition.Attestation())
	return err
}
