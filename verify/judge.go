package verify

import (
	"fmt"
	"slices"
	"strings"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// rule is a policy that applies, with its keys parsed.
type rule struct {
	name        string
	mode        policy.Mode
	formats     []policy.Format
	authorities []authority
	atLeast     int
	source      policy.Source
}

type authority struct {
	name string
	key  policy.PublicKey
}

// told is what a release says of itself, or why that cannot be believed.
type told struct {
	statement artifact.Statement
	reason    Reason
	problem   string
	hint      string
	cause     error
}

// applicable are the rules of the policies that match. An invalid policy is a
// refusal even in Audit mode: what it meant to say is not known.
func applicable(policies []NamedPolicy, ref artifact.Ref, as Claim) ([]rule, error) {
	var rules []rule
	for _, named := range policies {
		p := named.Policy.WithDefaults()
		if err := p.Validate(); err != nil {
			return nil, &Refusal{Reason: InvalidPolicy, Ref: ref, Policy: named.Name, problem: clean(err.Error()), cause: err}
		}
		if !p.Matches(as.Namespace, ref.Repository.String()) {
			continue
		}
		r := rule{name: named.Name, mode: p.Mode, formats: p.Formats, atLeast: p.Require.AtLeast, source: p.Source}
		for _, a := range p.Authorities {
			key, err := a.Key.Public()
			if err != nil {
				return nil, &Refusal{Reason: InvalidPolicy, Ref: ref, Policy: named.Name, problem: clean(err.Error()), cause: err}
			}
			r.authorities = append(r.authorities, authority{name: a.Name, key: key})
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, &Refusal{Reason: NoPolicy, Ref: ref, problem: "no trust policy applies to it",
			hint: "write a TrustPolicy that matches " + ref.Repository.String() + ", or name the authorities where the source is named"}
	}
	return rules, nil
}

// judge gives the verdict of every rule on what was found. It reads nothing else.
func judge(rules []rule, found *evidence, t told) []Verdict {
	verdicts := make([]Verdict, 0, len(rules))
	for _, r := range rules {
		verdicts = append(verdicts, r.judge(found, t))
	}
	return verdicts
}

func (r rule) judge(found *evidence, t told) Verdict {
	v := Verdict{Policy: r.name, Mode: r.mode, Signers: r.signers(found)}
	switch {
	case len(v.Signers) < r.atLeast:
		v.details = r.details(found)
		r.explain(found, &v)
	case t.problem != "":
		// The release is refused whatever its source; see refuse.
		v.Passed = true
	case !r.source.AllowsRepository(t.statement.Source):
		v.Reason = StatementMismatch
		v.Problem = fmt.Sprintf("it says to come from the repository %q, which source.repositories does not list", clip(t.statement.Source))
	case !r.source.AllowsRef(t.statement.Ref):
		v.Reason = StatementMismatch
		v.Problem = fmt.Sprintf("it says to come from the ref %q, which source.refs does not list", clip(t.statement.Ref))
	default:
		v.Passed = true
	}
	return v
}

// signers are the authorities that signed, each key counted once.
func (r rule) signers(found *evidence) []Signer {
	signers, counted := []Signer{}, map[string]bool{}
	for _, a := range r.authorities {
		if counted[a.key.ID] {
			continue
		}
		for _, s := range found.signatures {
			if slices.Contains(r.formats, s.format) && s.by(a.key) {
				counted[a.key.ID] = true
				signers = append(signers, Signer{Authority: a.name, Format: s.format, KeyID: a.key.ID})
				break
			}
		}
	}
	return signers
}

// satisfied says that the signatures suffice, so that no more need be read.
func (r rule) satisfied(found *evidence) bool { return len(r.signers(found)) >= r.atLeast }

// explain says why too few signatures count.
func (r rule) explain(found *evidence, v *Verdict) {
	seen := 0
	for _, format := range r.formats {
		seen += found.seen[format]
	}
	switch {
	case found.unavailable != nil:
		v.Reason, v.cause = Unavailable, found.unavailable
		v.Problem = "not all signatures could be read: " + clean(found.unavailable.Error())
	case seen == 0 && found.limit == "":
		v.Reason = NotSigned
		v.Problem = fmt.Sprintf("it is not signed: there is no signature in the format %s", list(r.formats))
		v.hint = "sign it with sealift publish --key, or cosign sign --key"
		if other := found.otherThan(r.formats); other != "" {
			v.Problem += fmt.Sprintf(", only one in the format %s, which the policy does not list", other)
			v.hint = fmt.Sprintf("sign it in the format %s, or add %s to the policy's formats", list(r.formats), other)
		}
	case len(v.Signers) > 0:
		v.Reason = Untrusted
		v.Problem = fmt.Sprintf("%d of the %d authorities wanted signed it (%s)", len(v.Signers), r.atLeast, v.Signers[0].Authority)
	default:
		v.Reason = Untrusted
		v.Problem = "none of its signatures counts: " + firstProblem(v.details)
		v.hint = "check that it was signed with the key of one of " + r.names()
	}
	if found.limit != "" && found.unavailable == nil {
		v.Problem += "; the search ended at " + found.limit
	}
}

// maxDetails bounds what a report says of single signatures.
const maxDetails = 64

// details says of every signature that the rule looked at why it does not count.
func (r rule) details(found *evidence) []Detail {
	var details []Detail
	for _, d := range found.skipped {
		if slices.Contains(r.formats, d.Format) {
			details = append(details, d)
		}
	}
	for _, s := range found.signatures {
		made := slices.ContainsFunc(r.authorities, func(a authority) bool { return s.by(a.key) })
		if !made && slices.Contains(r.formats, s.format) {
			details = append(details, Detail{Format: s.format, Digest: s.digest, Problem: "was made with another key than those of " + r.names()})
		}
	}
	return details[:min(len(details), maxDetails)]
}

// firstProblem is a signature's problem, and how many more there are.
func firstProblem(details []Detail) string {
	if len(details) == 0 {
		return "none was read"
	}
	text := fmt.Sprintf("the %s signature %s %s", details[0].Format, details[0].Digest, details[0].Problem)
	if more := len(details) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

func (r rule) names() string {
	names := make([]string, 0, len(r.authorities))
	for _, a := range r.authorities {
		names = append(names, fmt.Sprintf("%q", a.name))
	}
	return clip(strings.Join(names, ", "))
}

func list(formats []policy.Format) string {
	names := make([]string, 0, len(formats))
	for _, f := range formats {
		names = append(names, string(f))
	}
	return strings.Join(names, " or ")
}

// refuse is nil where every policy in Enforce mode has passed and the release may
// be believed; that is no matter of policy, and so of no mode.
func refuse(ref artifact.Ref, verdicts []Verdict, t told) *Refusal {
	for _, v := range verdicts {
		if !v.Passed && v.Mode != policy.Audit {
			return &Refusal{Reason: v.Reason, Ref: ref, Policy: v.Policy, problem: v.Problem, hint: v.hint,
				verdicts: verdicts, details: v.details, cause: v.cause}
		}
	}
	if t.problem != "" {
		return &Refusal{Reason: t.reason, Ref: ref, problem: t.problem, hint: t.hint, verdicts: verdicts, cause: t.cause}
	}
	return nil
}
