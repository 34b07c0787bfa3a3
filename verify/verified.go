package verify

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// Verified is a release that every policy that applies lets in. Only Release
// makes one; the zero Verified is of no release.
type Verified struct {
	ref       artifact.Ref
	statement artifact.Statement
	verdicts  []Verdict
}

// Signer is a signature that counts.
type Signer struct {
	Authority string        `json:"authority"`
	Format    policy.Format `json:"format"`
	// KeyID is the hex-encoded SHA-256 of the public key in PKIX form.
	KeyID string `json:"keyID"`
}

// Verdict is what one policy says of a release.
type Verdict struct {
	Policy  string      `json:"name"`
	Mode    policy.Mode `json:"mode"`
	Passed  bool        `json:"passed"`
	Signers []Signer    `json:"signers"`
	// Reason and Problem are empty where the policy passed.
	Reason  Reason `json:"reason,omitempty"`
	Problem string `json:"problem,omitempty"`

	hint    string
	details []Detail
	cause   error
}

// IsZero says that v is of no release: it was not made by Release.
func (v Verified) IsZero() bool { return v.ref.Digest == "" }

// Ref is the release that was verified.
func (v Verified) Ref() artifact.Ref { return v.ref }

// Statement is what the release says of itself. It is covered by the signatures;
// its strings are the publisher's, and may hold any character.
func (v Verified) Statement() artifact.Statement { return v.statement }

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

// MarshalJSON writes who signed what, from which commit.
func (v Verified) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Reference string             `json:"reference"`
		Digest    digest.Digest      `json:"digest"`
		Statement artifact.Statement `json:"statement"`
		Policies  []Verdict          `json:"policies"`
		Findings  []string           `json:"findings,omitempty"`
	}{v.ref.String(), v.ref.Digest, v.statement, v.verdicts, v.Findings()})
}
