package verify

import (
	"context"
	"net/http"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// Options say what a Verifier trusts besides policies. The zero value knows no
// trusted root: keyed authorities count, keyless ones only where they name a root.
type Options struct {
	// TrustedRoot is the content of a trusted_root.json, for keyless authorities
	// that name none.
	TrustedRoot []byte
	// Public is where the root of the public Sigstore instance comes from, for
	// keyless authorities that name no root while TrustedRoot is empty. It is asked
	// when the first of them is met. Nil: such authorities are refused.
	Public *PublicRoot
	// Now is the clock that key validity and ages are held against. Nil: time.Now.
	Now func() time.Time
	// Verdicts is how many passes are remembered. Zero: 1,024; negative: none.
	Verdicts int
}

// PublicRoot says how the root of the public instance, or of another one with a TUF
// repository, is fetched.
type PublicRoot struct {
	Mirror    string            // URL of the TUF repository; empty: the public instance's
	Root      []byte            // the repository's root.json; empty: the public instance's
	Cache     string            // folder that keeps what was fetched; empty: nothing is kept
	Transport http.RoundTripper // nil: http.DefaultTransport
}

// Verifier decides about releases and images. It is safe for concurrent use; one
// is enough for a process.
type Verifier struct {
	options Options
}

// New makes a verifier. It fails where o.TrustedRoot cannot be read.
func New(o Options) (*Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{options: o}, nil
}

// Release verifies the release at ref under every one of policies that matches
// the claim and the repository. Its errors are *Refusal.
func (v *Verifier) Release(ctx context.Context, registry Registry, ref artifact.Ref, policies []NamedPolicy, as Claim) (Verified, error) {
	rules, err := applicable(policies, ref, as)
	if err != nil {
		return Verified{}, err
	}
	told, err := readStatement(ctx, registry, ref)
	if err != nil {
		return Verified{}, err
	}
	return decide(ctx, registry, ref, rules, told)
}

// Image verifies the container image at ref, an index or a manifest, under every one
// of policies that matches its repository. No release statement is asked for. Its
// errors are *Refusal.
func (v *Verifier) Image(ctx context.Context, registry Registry, ref artifact.Ref, policies []NamedPolicy) (Verified, error) {
	rules, err := applicable(policies, ref, Claim{})
	if err != nil {
		return Verified{}, err
	}
	return decide(ctx, registry, ref, rules, told{})
}

func decide(ctx context.Context, registry Registry, ref artifact.Ref, rules []rule, told told) (Verified, error) {
	found := collect(ctx, registry, ref, rules)
	verdicts := judge(rules, found, told)
	if refusal := refuse(ref, verdicts, told); refusal != nil {
		return Verified{}, refusal
	}
	return Verified{ref: ref, statement: told.statement, verdicts: verdicts}, nil
}

// SignedBy says whether ref has a signature by who in one format. It is for
// signers, and says nothing of trust.
func (v *Verifier) SignedBy(ctx context.Context, registry Registry, ref artifact.Ref, who policy.Authority, format policy.Format) (bool, error) {
	named := NamedPolicy{Name: who.Name, Policy: policy.Policy{Trust: policy.Trust{
		Formats: []policy.Format{format}, Authorities: []policy.Authority{who}}}}
	rules, err := applicable([]NamedPolicy{named}, ref, Claim{})
	if err != nil {
		return false, err
	}
	return signedBy(ctx, registry, ref, rules[0])
}
