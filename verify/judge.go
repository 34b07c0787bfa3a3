package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// told is what a release says of itself, or why that cannot be believed.
type told struct {
	statement artifact.Statement
	problem   string // empty: it can be read
	cause     error
}

// judge gives the verdict of the rule on what was found.
func (t *tally) judge(ctx context.Context) Verdict {
	v := Verdict{Policy: t.name, Mode: t.mode, Signers: t.signers(), Attestations: t.attestors()}
	source, stated := t.policy.Source, t.inquiry.told
	isRelease := t.inquiry.kind == release
	switch unmet := t.unmet(ctx); {
	case t.revoked.digests[t.inquiry.ref.Digest.String()]:
		v.Reason, v.Rule = Revoked, "revoked.digests"
		v.Problem = "revoked.digests lists its digest"
	case len(v.Signers) < t.atLeast:
		v.Rule = "require.atLeast"
		v.details = t.details()
		t.explain(&v)
	case stated.problem != "":
		// The release is refused whatever its source; see refuse.
		v.Passed = true
	case isRelease && !source.AllowsRepository(stated.statement.Source):
		v.Reason, v.Rule = StatementMismatch, "source.repositories"
		v.Problem = fmt.Sprintf("it says to come from the repository %q, which source.repositories does not list", clip(stated.statement.Source))
		v.hint = "source.repositories lists " + quoted(source.Repositories)
	case isRelease && !source.AllowsRef(stated.statement.Ref):
		v.Reason, v.Rule = StatementMismatch, "source.refs"
		v.Problem = fmt.Sprintf("it says to come from the ref %q, which source.refs does not list", clip(stated.statement.Ref))
		v.hint = "source.refs lists " + quoted(source.Refs)
	case unmet >= 0:
		t.explainAttestation(unmet, &v)
	default:
		v.Passed = true
	}
	return v
}

func quoted(values []string) string { return clip(fmt.Sprintf("%q", values)) }

func (t *tally) attestors() []Attested {
	var all []Attested
	for i, v := range t.met {
		if v != nil {
			all = append(all, Attested{PredicateType: t.demands[i].predicateType, Signer: v.signer})
		}
	}
	return all
}

// explain says why too few signatures count.
func (t *tally) explain(v *Verdict) {
	found, seen := t.inquiry.evidence, 0
	for _, format := range t.formats {
		seen += found.seen[format]
	}
	switch {
	case found.unavailable != nil:
		v.Reason, v.cause = Unavailable, found.unavailable
		v.Problem = "not all signatures could be read: " + clean(found.unavailable.Error())
	case t.rootless:
		t.explainRoot(v)
	case seen == 0 && found.limit == "":
		t.explainNotSigned(v)
	case len(v.Signers) > 0:
		v.Reason = Untrusted
		v.Problem = fmt.Sprintf("%d of the %d authorities wanted signed it (%s)", len(v.Signers), t.atLeast, v.Signers[0].Authority)
		if len(v.Signers) < t.authoritiesWithVotes() {
			v.hint = "a key, or an identity, counts once, however many authorities it matches"
		}
	default:
		v.Reason = Untrusted
		v.Problem = "none of its signatures counts: " + firstProblem(v.details)
		v.hint = "check that it was signed by one of " + names(t.authorities)
	}
	if found.limit != "" && found.unavailable == nil {
		v.Problem += "; the search ended at " + found.limit
	}
}

func (t *tally) authoritiesWithVotes() int {
	with := map[int]bool{}
	for _, v := range t.votes {
		with[v.authority] = true
	}
	return len(with)
}

func (t *tally) explainNotSigned(v *Verdict) {
	v.Reason = NotSigned
	v.Problem = fmt.Sprintf("it is not signed: there is no signature in the format %s", list(t.formats))
	v.hint = "sign it with sealift publish, or cosign sign"
	if other := t.inquiry.otherThan(t.formats); other != "" {
		v.Problem += fmt.Sprintf(", only one in the format %s, which the policy does not list", other)
		v.hint = fmt.Sprintf("sign it in the format %s, or add %s to the policy's formats", list(t.formats), other)
	}
}

// explainRoot says that a keyless signature could not be judged.
func (t *tally) explainRoot(v *Verdict) {
	v.Reason, v.cause = Unavailable, t.inquiry.publicProblem
	v.Problem = "a keyless signature cannot be judged: " + clean(t.inquiry.publicProblem.Error())
	v.hint = hintRoot
}

// maxDetails bounds what a report says of single signatures.
const maxDetails = 64

// details says of every signature that the rule looked at why it does not count.
func (t *tally) details() []Detail {
	details := slices.Concat(t.misses, t.skipped(t.formats...))
	slices.SortStableFunc(details, func(a, b Detail) int { return b.near - a.near })
	return details[:min(len(details), maxDetails)]
}

// skipped are what could not be read as signatures in one of the formats.
func (t *tally) skipped(formats ...policy.Format) []Detail {
	var details []Detail
	for _, d := range t.inquiry.skipped {
		if slices.Contains(formats, d.Format) {
			details = append(details, d)
		}
	}
	return details
}

// firstProblem is that of the signature which came nearest, and how many more there
// are; what is no signature is not counted.
func firstProblem(details []Detail) string {
	if len(details) == 0 {
		return "none was read"
	}
	first, more := nearest(details), -1
	for _, d := range details {
		if d.near != foreign || d == first {
			more++
		}
	}
	text := fmt.Sprintf("the %s signature %s %s", first.Format, first.Digest, first.Problem)
	if more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

func nearest(details []Detail) Detail {
	return slices.MaxFunc(details, func(a, b Detail) int { return a.near - b.near })
}

func names(authorities []authority) string {
	all := make([]string, 0, len(authorities))
	for _, a := range authorities {
		all = append(all, fmt.Sprintf("%q", a.name))
	}
	return clip(strings.Join(all, ", "))
}

func list(formats []policy.Format) string {
	all := make([]string, 0, len(formats))
	for _, f := range formats {
		all = append(all, string(f))
	}
	return strings.Join(all, " or ")
}

// refuse is nil where every policy in Enforce mode has passed and the release may
// be believed; that is no matter of policy, and so of no mode. The mirror is the one
// that makes the place that is read the release's own.
func refuse(ref artifact.Ref, rules []*rule, verdicts []Verdict, t told) (policy.Mirror, *Refusal) {
	for _, v := range verdicts {
		if !v.Passed && v.Mode != policy.Audit {
			return policy.Mirror{}, &Refusal{Reason: v.Reason, Ref: ref, Policy: v.Policy, Rule: v.Rule, problem: v.Problem, hint: v.hint,
				verdicts: verdicts, details: v.details, cause: v.cause}
		}
	}
	if t.problem != "" {
		return policy.Mirror{}, &Refusal{Reason: Malformed, Ref: ref, problem: t.problem, verdicts: verdicts, cause: t.cause}
	}
	return place(ref, rules, verdicts, t.statement)
}

// place holds where the release was published against where it is read. A mirror
// counts if a policy that applies, and lets the release in, declares it.
func place(ref artifact.Ref, rules []*rule, verdicts []Verdict, s artifact.Statement) (policy.Mirror, *Refusal) {
	here := ref.Repository.String()
	if s.Repository == "" || s.Repository == here {
		return policy.Mirror{}, nil
	}
	for i, r := range rules {
		for _, m := range r.policy.Mirrors {
			if at, ok := m.Place(s.Repository); ok && at == here && verdicts[i].Passed {
				return m, nil
			}
		}
	}
	return policy.Mirror{}, &Refusal{Reason: StatementMismatch, Ref: ref, Rule: "dev.sealift.repository", verdicts: verdicts,
		problem: fmt.Sprintf("it was published to %q, and is read from %q", clip(s.Repository), here),
		hint:    "read it where it was published, or declare the copy in a policy's mirrors"}
}
