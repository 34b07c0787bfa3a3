package verify

import (
	"context"
	"fmt"
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
	// when a signature is met that only such a root can judge. Nil: such signatures
	// are not judged.
	Public *PublicRoot
	// Now is the clock that key validity and ages are held against. Nil: time.Now.
	Now func() time.Time
	// Waiting is called before a verification waits for that root, and what it returns
	// after; it is given the verification's context. Nil: nobody wants to know.
	Waiting func(ctx context.Context) (over func())
	// Verdicts is how many passes are remembered. Zero: 1,024; negative: none.
	Verdicts int
}

// PublicRoot says how the root of the public instance, or of another one with a TUF
// repository, is fetched.
type PublicRoot struct {
	Mirror    string            // URL of the TUF repository; empty: the public instance's
	Root      []byte            // the repository's root.json; empty: the public instance's
	Cache     string            // folder that keeps what was fetched; empty: nothing is kept
	Transport http.RoundTripper // nil: one with time-outs
}

// Verifier decides about releases and images. It is safe for concurrent use; one
// is enough for a process.
type Verifier struct {
	now      func() time.Time
	roots    *roots
	compiled *compiler
	verdicts *verdicts
}

// New makes a verifier. It fails where o.TrustedRoot cannot be read.
func New(o Options) (*Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	roots, err := newRoots(o)
	if err != nil {
		return nil, fmt.Errorf("reading the trusted root: %w", err)
	}
	return &Verifier{now: o.Now, roots: roots, compiled: newCompiler(roots), verdicts: newVerdicts(o.Verdicts)}, nil
}

// Release verifies the release at ref under every one of policies that matches
// the claim, and the repository that it is read from or says to be of. Its errors
// are *Refusal.
func (v *Verifier) Release(ctx context.Context, registry Registry, ref artifact.Ref, policies []NamedPolicy, as Claim) (Verified, error) {
	q := question{kind: release, ref: ref, policies: policies, as: as}
	return v.answer(ctx, registry, q)
}

// Image verifies the container image at ref, an index or a manifest, under every one
// of policies that matches its repository. No release statement is asked for, so the
// policies' source says nothing of it. Its errors are *Refusal.
func (v *Verifier) Image(ctx context.Context, registry Registry, ref artifact.Ref, policies []NamedPolicy) (Verified, error) {
	q := question{kind: image, ref: ref, policies: policies}
	return v.answer(ctx, registry, q)
}

// question is what is asked of a verifier.
type question struct {
	kind     kind
	ref      artifact.Ref
	policies []NamedPolicy
	as       Claim
}

type kind string

const (
	release kind = "release"
	image   kind = "image"
)

func (v *Verifier) answer(ctx context.Context, registry Registry, q question) (Verified, error) {
	all, err := v.compiled.rules(q)
	if err != nil {
		return Verified{}, err
	}
	if known, ok := v.verdicts.get(v.verdicts.key(q, all, v.roots.id()), v.now()); ok {
		return known, nil
	}
	var t told
	if q.kind == release {
		if t, err = readStatement(ctx, registry, q.ref); err != nil {
			return Verified{}, err
		}
	}
	rules, err := applicable(all, q, t)
	if err != nil {
		return Verified{}, err
	}
	c := v.inquire(q, rules, t)
	verified, err := c.decide(ctx, registry)
	if err == nil && !verified.audited() { // under the root that was used, which may have come meanwhile
		v.verdicts.add(v.verdicts.key(q, all, c.rootID()), verified)
	}
	return verified, err
}

// SignedBy says whether ref has a signature by who in one format. It is for
// signers, and says nothing of trust.
func (v *Verifier) SignedBy(ctx context.Context, registry Registry, ref artifact.Ref, who policy.Authority, format policy.Format) (bool, error) {
	named := NamedPolicy{Name: who.Name, Policy: policy.Policy{Trust: policy.Trust{
		Formats: []policy.Format{format}, Authorities: []policy.Authority{who}}}}
	return v.has(ctx, registry, ref, named)
}

// AttestedBy says whether ref has an attestation of one predicate type by who. It is
// for those who attest, and says nothing of trust.
func (v *Verifier) AttestedBy(ctx context.Context, registry Registry, ref artifact.Ref, who policy.Authority, predicateType string) (bool, error) {
	named := NamedPolicy{Name: who.Name, Policy: policy.Policy{
		Trust:        policy.Trust{Authorities: []policy.Authority{who}},
		Attestations: []policy.Attestation{{PredicateType: predicateType, Authorities: []policy.Attestor{{Name: who.Name}}}},
	}}
	return v.has(ctx, registry, ref, named)
}

// has says whether the evidence satisfies what a policy of one authority asks for:
// its attestation if it names one, else its signature.
func (v *Verifier) has(ctx context.Context, registry Registry, ref artifact.Ref, named NamedPolicy) (bool, error) {
	q := question{kind: image, ref: ref, policies: []NamedPolicy{named}}
	rules, err := v.compiled.rules(q)
	if err != nil {
		return false, err
	}
	one := *rules[0]
	if len(one.demands) > 0 {
		one.atLeast = 0
	}
	c := v.inquire(q, []*rule{&one}, told{})
	c.collect(ctx, registry)
	c.settle(ctx)
	switch {
	case c.satisfied(ctx):
		return true, nil
	case c.unavailable != nil:
		return false, fmt.Errorf("looking for signatures of %s: %w", ref, c.unavailable)
	case c.publicProblem != nil:
		return false, fmt.Errorf("looking for signatures of %s: %w; hint: %s", ref, c.publicProblem, hintRoot)
	}
	return false, nil
}
