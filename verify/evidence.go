package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// MaxSignatures is how many signatures of each format are examined.
const MaxSignatures = 1024

const (
	maxReferrers  = 10_000   // listed
	maxTotalBytes = 16 << 20 // of all signatures examined
	batch         = 32       // examined between two looks at the rules
	parallel      = 8        // requests at once
)

// evidence is what the registry holds by way of signatures.
type evidence struct {
	signatures []*signature
	skipped    []Detail
	// seen counts what is meant as a signature, well-formed or not.
	seen map[policy.Format]int
	// other is a format that no rule lists, in which a signature exists.
	other policy.Format
	// limit names the bound at which the search ended early.
	limit string
	// unavailable is why something could not be read.
	unavailable error

	budget budget
}

// budget bounds the bytes of all signatures together.
type budget struct{ spent atomic.Int64 }

var errBudget = fmt.Errorf("the limit of %d bytes of signatures", maxTotalBytes)

func (b *budget) spend(n int64) error {
	if b.spent.Add(max(n, 0)) > maxTotalBytes {
		return errBudget
	}
	return nil
}

// signature is a well-formed signature over the digest that is verified.
type signature struct {
	format policy.Format
	digest digest.Digest
	// check verifies the signature itself with a key.
	check func(key policy.PublicKey) error

	checked map[string]bool // by key ID
}

// by says whether the signature was made with key.
func (s *signature) by(key policy.PublicKey) bool {
	good, known := s.checked[key.ID]
	if !known {
		good = guard(func() error { return s.check(key) }) == nil
		if s.checked == nil {
			s.checked = map[string]bool{}
		}
		s.checked[key.ID] = good
	}
	return good
}

// guard turns a panic, with which a library may meet hostile input, into an error.
func guard(call func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("is malformed: a library gave up on it")
		}
	}()
	return call()
}

// candidate may become a signature when it is read.
type candidate struct {
	format policy.Format
	digest digest.Digest
	read   func(ctx context.Context, b *budget) (*signature, error)
}

var errForeign = errors.New("is no signature")

// collect reads signatures until every rule is satisfied or nothing is left.
func collect(ctx context.Context, registry Registry, ref artifact.Ref, rules []rule) *evidence {
	found := &evidence{seen: map[policy.Format]int{}}
	for _, format := range []policy.Format{policy.Bundle, policy.Legacy} {
		if satisfied(rules, found) {
			return found
		}
		if !wanted(rules, format) {
			continue
		}
		for chunk := range slices.Chunk(found.list(ctx, registry, ref, format), batch) {
			if !found.read(ctx, chunk) || satisfied(rules, found) {
				break
			}
		}
	}
	if len(found.seen) == 0 && found.unavailable == nil {
		found.other = otherFormat(ctx, registry, ref, rules)
	}
	return found
}

func satisfied(rules []rule, found *evidence) bool {
	return !slices.ContainsFunc(rules, func(r rule) bool { return !r.satisfied(found) })
}

func wanted(rules []rule, format policy.Format) bool {
	return slices.ContainsFunc(rules, func(r rule) bool { return slices.Contains(r.formats, format) })
}

// list names the candidates in one format.
func (e *evidence) list(ctx context.Context, registry Registry, ref artifact.Ref, format policy.Format) []candidate {
	list := listBundles
	if format == policy.Legacy {
		list = listLegacy
	}
	candidates, err := list(ctx, registry, ref)
	switch {
	case err == nil, errors.Is(err, artifact.ErrNotFound):
	case errors.Is(err, artifact.ErrLimit):
		e.limit = "a limit: " + clean(err.Error())
	case permanent(err):
		e.seen[format]++
		e.skip(Detail{Format: format, Digest: ref.Digest, Problem: "cannot be listed: " + clean(err.Error())})
	default:
		e.unavailable = errors.Join(e.unavailable, err)
	}
	if len(candidates) > MaxSignatures {
		candidates = candidates[:MaxSignatures]
		e.limit = fmt.Sprintf("the limit of %d signatures in the format %s", MaxSignatures, format)
	}
	return candidates
}

// read reads candidates, and says whether there is room for more.
func (e *evidence) read(ctx context.Context, candidates []candidate) bool {
	signatures, problems := make([]*signature, len(candidates)), make([]error, len(candidates))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, c := range candidates {
		group.Go(func() error {
			problems[i] = guard(func() (err error) {
				signatures[i], err = c.read(ctx, &e.budget)
				return err
			})
			return nil
		})
	}
	_ = group.Wait() // the functions give no errors
	for i, c := range candidates {
		e.add(c, signatures[i], problems[i])
	}
	return !slices.ContainsFunc(problems, func(err error) bool { return errors.Is(err, errBudget) })
}

func (e *evidence) add(c candidate, s *signature, err error) {
	switch {
	case errors.Is(err, errForeign):
		e.skip(Detail{Format: c.format, Digest: c.digest, Problem: clean(err.Error())})
	case errors.Is(err, errBudget):
		e.seen[c.format]++
		e.limit = err.Error()
	case err != nil && !permanent(err):
		e.unavailable = errors.Join(e.unavailable, err)
	case err != nil:
		e.seen[c.format]++
		e.skip(Detail{Format: c.format, Digest: c.digest, Problem: clean(err.Error())})
	default:
		e.seen[c.format]++
		e.signatures = append(e.signatures, s)
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
func otherFormat(ctx context.Context, registry Registry, ref artifact.Ref, rules []rule) policy.Format {
	for format, list := range map[policy.Format]func(context.Context, Registry, artifact.Ref) ([]candidate, error){
		policy.Bundle: listBundles, policy.Legacy: listLegacy,
	} {
		if wanted(rules, format) {
			continue
		}
		if candidates, err := list(ctx, registry, ref); err == nil && len(candidates) > 0 {
			return format
		}
	}
	return ""
}
