package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// Verified is a release, or an image, that every policy that applies lets in. Only a
// Verifier makes one; the zero Verified is of nothing.
type Verified struct {
	ref       artifact.Ref
	statement artifact.Statement
	mirror    policy.Mirror
	verdicts  []Verdict
	until     time.Time
}

// Signer is a signature that counts.
type Signer struct {
	Authority string        `json:"authority"`
	Format    policy.Format `json:"format"`
	// Signature is the digest of the referrer's manifest (bundle) or of the layer (legacy).
	Signature digest.Digest `json:"signature"`
	// KeyID is the hex-encoded SHA-256 of the public key in PKIX form; empty where it
	// was made with a certificate.
	KeyID string `json:"keyID,omitempty"`
	// Certificate is zero where it was made with a key.
	Certificate Certificate `json:"certificate,omitzero"`
	// Time is when it was there at the latest, as a timestamp authority ("timestamp")
	// or a log ("log") vouches; zero: none does.
	Time     time.Time `json:"time,omitzero"`
	TimeFrom string    `json:"timeFrom,omitempty"`
	// Log is the entry in a transparency log; zero: none was looked at.
	Log Log `json:"log,omitzero"`
}

// Attested is an attestation that counts.
type Attested struct {
	PredicateType string `json:"predicateType"`
	Signer
}

// Verdict is what one policy says of a release.
type Verdict struct {
	Policy  string      `json:"name"`
	Mode    policy.Mode `json:"mode"`
	Passed  bool        `json:"passed"`
	Signers []Signer    `json:"signers"`
	// Attestations are those that meet what the policy asks for.
	Attestations []Attested `json:"attestations,omitempty"`
	// Reason, Rule and Problem are empty where the policy passed; Rule is as in Refusal.
	Reason  Reason `json:"reason,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Problem string `json:"problem,omitempty"`

	hint    string
	details []Detail
	cause   error
}

// IsZero says that v is of nothing: it was not made by a Verifier.
func (v Verified) IsZero() bool { return v.ref.Digest == "" }

// Ref is what was verified.
func (v Verified) Ref() artifact.Ref { return v.ref }

// Statement is what the release says of itself. It is covered by the signatures;
// its strings are the publisher's, and may hold any character.
func (v Verified) Statement() artifact.Statement { return v.statement }

// Until is when the verdict has to be asked for again, because a key's validity or an
// attestation's age ends, those of policies in Audit mode included; zero: never.
func (v Verified) Until() time.Time { return v.until }

// Signers are the signatures that counted, each once, in the order of the policies.
func (v Verified) Signers() []Signer {
	var signers []Signer
	for _, verdict := range v.verdicts {
		for _, signer := range verdict.Signers {
			if !slices.Contains(signers, signer) {
				signers = append(signers, signer)
			}
		}
	}
	return signers
}

// Verdicts are those of all policies that apply.
func (v Verified) Verdicts() []Verdict { return v.verdicts }

// Mirror is the policy's mirror that the release is read from; zero: it is read where
// it was published, or is of no repository.
func (v Verified) Mirror() policy.Mirror { return v.mirror }

// Findings says, a line each, what policies in Audit mode would have refused.
func (v Verified) Findings() []string {
	var findings []string
	for _, verdict := range v.verdicts {
		if !verdict.Passed {
			findings = append(findings, fmt.Sprintf("policy %q (%s): %s", verdict.Policy, verdict.Mode, verdict.Problem))
		}
	}
	return findings
}

// audited says that there are findings.
func (v Verified) audited() bool {
	return slices.ContainsFunc(v.verdicts, func(verdict Verdict) bool { return !verdict.Passed })
}

// MarshalJSON writes who signed what, from which commit.
func (v Verified) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Reference string             `json:"reference"`
		Digest    digest.Digest      `json:"digest"`
		Statement artifact.Statement `json:"statement"`
		Mirror    policy.Mirror      `json:"mirror,omitzero"`
		Policies  []Verdict          `json:"policies"`
		Findings  []string           `json:"findings,omitempty"`
		Until     time.Time          `json:"until,omitzero"`
	}{v.ref.String(), v.ref.Digest, v.statement, v.mirror, v.verdicts, v.Findings(), v.until})
}

// MarshalJSON writes the verdict with the signatures that do not count.
func (v Verdict) MarshalJSON() ([]byte, error) {
	type plain Verdict
	return json.Marshal(struct {
		plain
		Hint    string   `json:"hint,omitempty"`
		Details []Detail `json:"signatures,omitempty"`
	}{plain(v), v.hint, v.details})
}
