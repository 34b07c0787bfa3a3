package verify

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// Reason says why a release was refused.
type Reason string

const (
	// NoPolicy means that no policy matches, so nobody is trusted.
	NoPolicy Reason = "NoPolicy"
	// InvalidPolicy means that a policy cannot be applied as it is written.
	InvalidPolicy Reason = "InvalidPolicy"
	// NotFound means that the registry has no such manifest.
	NotFound Reason = "NotFound"
	// Unavailable means that the registry could not answer: nothing is known.
	Unavailable Reason = "Unavailable"
	// Malformed means that the release's manifest or statement cannot be read.
	Malformed Reason = "Malformed"
	// NotSigned means that no signature exists in a format that the policy lists.
	NotSigned Reason = "NotSigned"
	// Untrusted means that signatures exist, and too few of them count.
	Untrusted Reason = "Untrusted"
	// StatementMismatch means that the release is signed, but made for another
	// repository, or from a source that the policy does not allow.
	StatementMismatch Reason = "StatementMismatch"
	// AttestationMissing means that the release is signed, and that an attestation
	// which the policy asks for is missing, or does not count.
	AttestationMissing Reason = "AttestationMissing"
	// Revoked means that the policy revokes the digest, whoever signed it.
	Revoked Reason = "Revoked"
)

// Refusal is the error of a release that is not let in.
type Refusal struct {
	Reason Reason
	Ref    artifact.Ref
	// Policy is the name of the policy that refused; empty where it was none.
	Policy string
	// Rule is the field of the policy, or the annotation, that was not met: one of
	// require.atLeast, attestations[N], source.repositories, source.refs,
	// revoked.digests, dev.sealift.repository; empty where it was none of them.
	Rule string

	problem  string
	hint     string
	verdicts []Verdict
	details  []Detail
	cause    error
}

// Detail says why one signature does not count.
type Detail struct {
	Format policy.Format `json:"format"`
	// Digest is that of the referrer's manifest (bundle) or of the layer (legacy).
	Digest  digest.Digest `json:"digest"`
	Problem string        `json:"problem"`
	// Authority is the one that the signature came nearest to; Field is what it did not
	// meet there, with what was wanted and what was there. Each may be empty.
	Authority string `json:"authority,omitempty"`
	Field     string `json:"field,omitempty"`
	Want      string `json:"want,omitempty"`
	Got       string `json:"got,omitempty"`

	near int // see miss
}

// Error is one line: the release, the policy, the rule, and a hint.
func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "verifying %s: ", r.Ref)
	if r.Policy != "" {
		fmt.Fprintf(&b, "policy %q: ", r.Policy)
	}
	b.WriteString(r.problem)
	if r.hint != "" {
		b.WriteString("; hint: " + r.hint)
	}
	return b.String()
}

// Unwrap gives what the registry or the parser said, where one of them did.
func (r *Refusal) Unwrap() error { return r.cause }

// Details says of every signature examined why it does not count, 64 at most.
func (r *Refusal) Details() []Detail { return r.details }

// Verdicts are those of all policies that apply.
func (r *Refusal) Verdicts() []Verdict { return r.verdicts }

// MarshalJSON writes the refusal for programs.
func (r *Refusal) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Reference string        `json:"reference"`
		Digest    digest.Digest `json:"digest"`
		Reason    Reason        `json:"reason"`
		Policy    string        `json:"policy,omitempty"`
		Rule      string        `json:"rule,omitempty"`
		Message   string        `json:"message"`
		Hint      string        `json:"hint,omitempty"`
		Policies  []Verdict     `json:"policies,omitempty"`
		Details   []Detail      `json:"signatures,omitempty"`
	}{r.Ref.String(), r.Ref.Digest, r.Reason, r.Policy, r.Rule, r.problem, r.hint, r.verdicts, r.details})
}
