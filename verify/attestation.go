package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"sealift.dev/internal/condition"
	"sealift.dev/verify/policy"
)

// skew is how far ahead the clock of who vouches for a time may be.
const skew = 5 * time.Minute

// hearAttestations holds the attestations that came since against every demand.
func (t *tally) hearAttestations(ctx context.Context) {
	if t.met == nil {
		t.met, t.failures = make([]*vote, len(t.demands)), make([]failures, len(t.demands))
	}
	for _, s := range t.inquiry.attestations[t.heardAttestations:] {
		for i, d := range t.demands {
			if t.met[i] != nil || d.predicateType != s.predicateType {
				continue
			}
			v, m := t.meets(ctx, d, s)
			if m == nil {
				t.met[i] = &v
			} else if len(t.failures[i]) < maxDetails {
				t.failures[i] = append(t.failures[i], m.detail(s))
			}
		}
	}
	t.heardAttestations = len(t.inquiry.attestations)
}

// meets says whether an attestation is by one of those whose statement counts, young
// enough, and true to the conditions.
func (t *tally) meets(ctx context.Context, d demand, s *signature) (vote, *miss) {
	var nearest *miss
	for i, a := range d.authorities {
		v, m := t.counts(d.authorities, a, s)
		if m == nil {
			v.authority = i
			v.until, m = t.young(d, v)
		}
		if m == nil {
			m = t.holds(ctx, d, s, v.signer)
		}
		if m == nil {
			return v, nil
		}
		if nearest == nil || m.near > nearest.near {
			nearest = m
		}
	}
	return vote{}, nearest
}

// young holds the time that others vouch for against maxAge.
func (t *tally) young(d demand, v vote) (time.Time, *miss) {
	if d.maxAge == 0 {
		return v.until, nil
	}
	at, limit := v.signer.Time, fmt.Sprintf("maxAge is %s", d.maxAge)
	m := &miss{authority: v.signer.Authority, near: nearSigner, field: "maxAge", want: d.maxAge.String()}
	switch {
	case at.IsZero():
		m.problem = "has no time that a log or a timestamp authority vouches for, so it is too old: " + limit
		return v.until, m
	case at.After(t.inquiry.now.Add(skew)):
		m.problem, m.got = fmt.Sprintf("is from the future, %s, and now is %s", utc(at), utc(t.inquiry.now)), utc(at)
		return v.until, m
	case !t.inquiry.now.Before(at.Add(d.maxAge)):
		m.problem, m.got = fmt.Sprintf("is too old: it was made at %s by its %s, and %s", utc(at), v.signer.TimeFrom, limit), utc(at)
		return v.until, m
	}
	return earlier(v.until, at.Add(d.maxAge)), nil
}

// holds evaluates the conditions.
func (t *tally) holds(ctx context.Context, d demand, s *signature, by Signer) *miss {
	if len(d.conditions) == 0 {
		return nil
	}
	var predicate any
	numbers := json.NewDecoder(bytes.NewReader(s.predicate))
	numbers.UseNumber() // a float64 makes one of two neighbouring large integers
	if err := numbers.Decode(&predicate); err != nil && len(s.predicate) > 0 {
		return &miss{authority: by.Authority, near: nearSigner, problem: "has a predicate that cannot be read: " + clean(err.Error())}
	}
	in := condition.Input{"predicate": predicate, "release": t.releaseFacts(), "signer": map[string]any{
		"authority": by.Authority, "issuer": by.Certificate.Issuer, "subject": by.Certificate.Subject,
	}}
	for i, c := range d.conditions {
		field := fmt.Sprintf("conditions[%d]", i)
		switch ok, err := c.program.Eval(ctx, in); {
		case err != nil:
			return &miss{authority: by.Authority, near: nearSigner + i, field: field, problem: "does not hold, " + clean(err.Error())}
		case !ok:
			return &miss{authority: by.Authority, near: nearSigner + i, field: field, want: "true", got: "false",
				problem: fmt.Sprintf("does not hold: %s", clean(c.message))}
		}
	}
	return nil
}

func (t *tally) releaseFacts() map[string]any {
	s := t.inquiry.told.statement
	repository := s.Repository
	if repository == "" {
		repository = t.inquiry.ref.Repository.String()
	}
	return map[string]any{
		"repository": repository, "digest": t.inquiry.ref.Digest.String(),
		"source": s.Source, "revision": s.Revision, "ref": s.Ref, "version": s.Version,
		"sequence": s.Sequence, "epoch": s.Epoch,
	}
}

// unmet is the first demand that nothing meets, or -1.
func (t *tally) unmet(ctx context.Context) int {
	t.hearAttestations(ctx)
	return slices.Index(t.met, nil)
}

// explainAttestation says why the demand of this number is not met.
func (t *tally) explainAttestation(i int, v *Verdict) {
	d, found := t.demands[i], t.inquiry.evidence
	v.Reason, v.Rule = AttestationMissing, fmt.Sprintf("attestations[%d]", i)
	v.details = append(slices.Clone(t.failures[i]), t.skipped(policy.Bundle)...)
	v.details = v.details[:min(len(v.details), maxDetails)]
	switch {
	case found.unavailable != nil:
		v.Reason, v.cause = Unavailable, found.unavailable
		v.Problem = "not all attestations could be read: " + clean(found.unavailable.Error())
	case t.rootless:
		t.explainRoot(v)
	case len(t.failures[i]) == 0:
		v.Problem = fmt.Sprintf("no attestation of the type %q is there", clip(d.predicateType))
		v.hint = "have it attested by one of " + names(d.authorities) + ", as a bundle"
	default:
		first := nearest(t.failures[i])
		v.Problem = fmt.Sprintf("no attestation of the type %q counts: %s %s", clip(d.predicateType), first.Digest, first.Problem)
		if more := len(t.failures[i]) - 1; more > 0 {
			v.Problem += fmt.Sprintf(" (and %d more)", more)
		}
	}
	if found.limit != "" && found.unavailable == nil {
		v.Problem += "; the search ended at " + found.limit
	}
}
