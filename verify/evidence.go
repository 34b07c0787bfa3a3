package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// MaxSignatures is how many signatures of each format are examined, and how many
// attestations.
const MaxSignatures = 1024

const (
	maxReferrers  = 10_000   // listed
	maxTotalBytes = 16 << 20 // of all signatures examined; as much again for attestations
	batch         = 32       // examined between two looks at the rules
	parallel      = 8        // requests at once
)

// evidence is what the registry holds by way of signatures and attestations.
type evidence struct {
	signatures   []*signature
	attestations []*signature
	skipped      []Detail
	// seen counts what is meant as a signature, well-formed or not.
	seen map[policy.Format]int
	// other is a format that no rule lists, in which a signature exists.
	other policy.Format
	// limit names the bound at which the search ended early.
	limit string
	// unavailable is why something could not be read.
	unavailable error
}

// budget bounds the bytes of all that is read of one sort.
type budget struct{ spent atomic.Int64 }

var errBudget = fmt.Errorf("the limit of %d bytes of signatures", maxTotalBytes)

func (b *budget) spend(n int64) error {
	if b.spent.Add(max(n, 0)) > maxTotalBytes {
		return errBudget
	}
	return nil
}

// collect reads signatures and attestations until every rule is satisfied or nothing
// is left.
func (q *inquiry) collect(ctx context.Context, registry Registry) {
	if q.wants(policy.Bundle) || len(q.predicateTypes()) > 0 {
		q.collectBundles(ctx, registry)
	}
	if q.wants(policy.Legacy) && !q.signed() {
		candidates, err := listLegacy(ctx, registry, q.ref)
		q.note(policy.Legacy, err)
		q.readAll(ctx, candidates, &budget{}, q.signed)
	}
	if len(q.seen) == 0 && q.unavailable == nil && !q.satisfied(ctx) {
		q.other = q.otherFormat(ctx, registry)
	}
}

// collectBundles reads what is marked as a signature, then what is marked as an
// attestation that is wanted, then what is not marked.
func (q *inquiry) collectBundles(ctx context.Context, registry Registry) {
	var signing, attesting budget
	wanted := q.predicateTypes()
	marked, err := listBundles(ctx, registry, q.ref, wanted)
	q.note(policy.Bundle, err)
	if q.wants(policy.Bundle) && !q.signed() {
		q.readAll(ctx, marked.signatures, &signing, q.signed)
	}
	if !q.attested(ctx) {
		q.readAll(ctx, marked.attestations, &attesting, func() bool { return q.attested(ctx) })
	}
	if !q.satisfied(ctx) {
		q.readAll(ctx, marked.unmarked, &signing, func() bool { return q.satisfied(ctx) })
	}
	for _, d := range marked.foreign {
		q.skip(Detail{Format: policy.Bundle, Digest: d.Digest,
			Problem: fmt.Sprintf("%v but an attestation, %q", errForeign, clip(d.Annotations[PredicateTypeNote])), near: foreign})
	}
}

// note keeps what listing the candidates in one format ended with.
func (q *inquiry) note(format policy.Format, err error) {
	switch {
	case err == nil, errors.Is(err, artifact.ErrNotFound):
	case errors.Is(err, artifact.ErrLimit):
		q.limit = "a limit: " + clean(err.Error())
	case permanent(err):
		q.seen[format]++
		q.skip(Detail{Format: format, Digest: q.ref.Digest, Problem: "cannot be listed: " + clean(err.Error())})
	default:
		q.unavailable = errors.Join(q.unavailable, err)
	}
}

// readAll reads candidates until enough says so, a limit is met, or none is left.
func (q *inquiry) readAll(ctx context.Context, candidates []candidate, b *budget, enough func() bool) {
	most := candidates[:min(len(candidates), MaxSignatures)]
	for chunk := range slices.Chunk(most, batch) {
		if !q.read(ctx, chunk, b) || enough() {
			return
		}
	}
	if len(candidates) > len(most) {
		q.limit = fmt.Sprintf("the limit of %d %s", MaxSignatures, most[0].kind())
	}
}

// read reads candidates, and says whether there is room for more.
func (q *inquiry) read(ctx context.Context, candidates []candidate, b *budget) bool {
	signatures, problems := make([]*signature, len(candidates)), make([]error, len(candidates))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, c := range candidates {
		group.Go(func() error {
			problems[i] = guard(func() (err error) {
				signatures[i], err = c.read(ctx, b)
				return err
			})
			return nil
		})
	}
	_ = group.Wait() // the functions give no errors
	for i, c := range candidates {
		q.add(c, signatures[i], problems[i])
	}
	return !slices.ContainsFunc(problems, func(err error) bool { return errors.Is(err, errBudget) })
}

func (e *evidence) add(c candidate, s *signature, err error) {
	switch {
	case errors.Is(err, errForeign):
		e.skip(Detail{Format: c.format, Digest: c.digest, Problem: clean(err.Error()), near: foreign})
	case errors.Is(err, errBudget):
		e.see(c)
		e.limit = err.Error()
	case err != nil && !permanent(err):
		e.unavailable = errors.Join(e.unavailable, err)
	case err != nil:
		e.see(c)
		e.skip(Detail{Format: c.format, Digest: c.digest, Problem: clean(err.Error())})
	case s.format == policy.Bundle && s.predicateType != PredicateType:
		e.attestations = append(e.attestations, s)
	default:
		e.see(c)
		e.signatures = append(e.signatures, s)
	}
}

// see counts what is not marked as something else than a signature.
func (e *evidence) see(c candidate) {
	if !c.attestation {
		e.seen[c.format]++
	}
}

// skip remembers the first problems only.
func (e *evidence) skip(d Detail) {
	if len(e.skipped) < maxDetails {
		e.skipped = append(e.skipped, d)
	}
}

// otherThan is a format beside those wanted in which a signature exists.
func (e *evidence) otherThan(wanted []policy.Format) policy.Format {
	for format := range e.seen {
		if !slices.Contains(wanted, format) {
			return format
		}
	}
	return e.other
}

// otherFormat looks for a signature in a format that no rule lists, so that the
// refusal can say so; it is empty where there is none, or none can be had.
func (q *inquiry) otherFormat(ctx context.Context, registry Registry) policy.Format {
	if !q.wants(policy.Bundle) {
		if marked, err := listBundles(ctx, registry, q.ref, nil); err == nil && len(marked.signatures)+len(marked.unmarked) > 0 {
			return policy.Bundle
		}
	}
	if !q.wants(policy.Legacy) {
		if candidates, err := listLegacy(ctx, registry, q.ref); err == nil && len(candidates) > 0 {
			return policy.Legacy
		}
	}
	return ""
}
