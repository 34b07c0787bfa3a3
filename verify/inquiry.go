package verify

import (
	"context"
	"slices"
	"time"

	"sealift.dev/verify/policy"
)

// inquiry is one verification: the rules that apply, and the evidence so far.
type inquiry struct {
	question
	evidence
	now     time.Time
	told    told
	tallies []*tally

	roots  *roots
	public *trustedRoot // the public root, once it is at hand
	// publicProblem is why it is not, although a signature wanted it.
	publicProblem error
}

func (v *Verifier) inquire(q question, rules []*rule, t told) *inquiry {
	made := &inquiry{question: q, evidence: evidence{seen: map[policy.Format]int{}}, now: v.now(), told: t,
		roots: v.roots, public: v.roots.current()}
	for _, r := range rules {
		made.tallies = append(made.tallies, &tally{inquiry: made, rule: r})
	}
	return made
}

// decide looks for evidence, and judges it.
func (q *inquiry) decide(ctx context.Context, registry Registry) (Verified, error) {
	q.collect(ctx, registry)
	q.settle(ctx)
	verdicts := q.judge(ctx)
	rules := make([]*rule, 0, len(q.tallies))
	for _, t := range q.tallies {
		rules = append(rules, t.rule)
	}
	mirror, refusal := refuse(q.ref, rules, verdicts, q.told)
	if refusal != nil {
		return Verified{}, refusal
	}
	return Verified{ref: q.ref, statement: q.told.statement, mirror: mirror, verdicts: verdicts, until: q.until()}, nil
}

// rootID is that of the root which keyless signatures were held against where
// policies hold none; empty: of none.
func (q *inquiry) rootID() string {
	switch {
	case q.roots.own != nil:
		return q.roots.own.id
	case q.public != nil:
		return q.public.id
	}
	return ""
}

// wants says that a rule lets signatures in format count.
func (q *inquiry) wants(format policy.Format) bool {
	return slices.ContainsFunc(q.tallies, func(t *tally) bool { return slices.Contains(t.formats, format) })
}

// predicateTypes are those of the attestations that rules ask for.
func (q *inquiry) predicateTypes() []string {
	var types []string
	for _, t := range q.tallies {
		for _, d := range t.demands {
			if !slices.Contains(types, d.predicateType) {
				types = append(types, d.predicateType)
			}
		}
	}
	return types
}

// signed says that the signatures satisfy every rule, so that no more need be read.
func (q *inquiry) signed() bool {
	return !slices.ContainsFunc(q.tallies, func(t *tally) bool { return !t.signed() })
}

// attested says the same of attestations.
func (q *inquiry) attested(ctx context.Context) bool {
	return !slices.ContainsFunc(q.tallies, func(t *tally) bool { return !t.attested(ctx) })
}

func (q *inquiry) satisfied(ctx context.Context) bool { return q.signed() && q.attested(ctx) }

// settle fetches the public root where only that may help: keyed signers never wait
// for it.
func (q *inquiry) settle(ctx context.Context) {
	if q.satisfied(ctx) || q.public != nil || !slices.ContainsFunc(q.tallies, func(t *tally) bool { return t.rootless }) {
		return
	}
	if q.public, q.publicProblem = q.roots.fetch(ctx); q.public == nil {
		return
	}
	for i, t := range q.tallies {
		q.tallies[i] = &tally{inquiry: q, rule: t.rule}
	}
}

// judge gives the verdict of every rule.
func (q *inquiry) judge(ctx context.Context) []Verdict {
	verdicts := make([]Verdict, 0, len(q.tallies))
	for _, t := range q.tallies {
		verdicts = append(verdicts, t.judge(ctx))
	}
	return verdicts
}

// until is when the first of what counts ceases to; zero: never.
func (q *inquiry) until() time.Time {
	var first time.Time
	for _, t := range q.tallies {
		first = earlier(first, t.until())
	}
	return first
}

// earlier is the first of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
