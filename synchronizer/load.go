package synchronizer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/verify"
)

// loaded is a release that was verified, pulled and decoded.
type loaded struct {
	release     Release
	environment string
	policies    [sha256.Size]byte
	until       time.Time // when it has to be verified again; zero: never
	again       time.Time // when it is, though it holds till then; zero: never
	// content may be of use to others as well: it is never changed.
	content *content
	// older says that it is accepted nevertheless, because its digest is pinned.
	older bool
}

// want loads the release that the source names, and the watermark it raises.
func (s *Synchronizer) want(d Delivery, memo *memo, state State) (*loaded, Watermark, error) {
	if d.Unreachable != nil {
		return nil, Watermark{}, at(Resolve, d.Unreachable)
	}
	ref, err := s.resolve(d, memo)
	if err != nil {
		return nil, Watermark{}, err
	}
	if before := memo.refused; before.err != nil && before.ref == ref && time.Now().Before(memo.retry) {
		return before.wanted, Watermark{}, before.err
	}
	l, err := s.load(d, ref, memo)
	if err != nil {
		return nil, Watermark{}, err
	}
	if memo.wanted != nil && memo.wanted.release.Ref == state.Applied {
		memo.good = memo.wanted // so that the way back asks nobody
	}
	memo.wanted = l
	s.step(d, Accept)
	watermark, err := admit(d, l, state)
	return l, watermark, err
}

// admit decides whether l may follow what was accepted before, and notes on it what
// is to be said; the watermark is what it raises.
func admit(d Delivery, l *loaded, state State) (Watermark, error) {
	ref := l.release.Ref
	repository := publishedAt(d, ref, l.release.Statement, state.Accepted)
	highest, next := state.Accepted[repository], watermarkOf(repository, ref, l.release.Statement)
	watermark, err := accept(highest, next, d.Source.Digest != "")
	if err != nil {
		return watermark, at(Accept, err)
	}
	if len(l.release.SignedBy) == 0 {
		watermark = highest // a policy in Audit mode let it in, and nobody vouches for its count
	}
	l.older = next.Below(highest)
	if state.Quarantined == ref.Digest {
		return watermark, at(Accept, &QuarantineError{Release: l.release, Cause: state.Cause})
	}
	return watermark, nil
}

// QuarantineError is a release that failed before and is not tried again.
type QuarantineError struct {
	Release Release
	Cause   string
}

func (e *QuarantineError) Error() string {
	return fmt.Sprintf("release %s failed and is not tried again: %s; hint: publish a newer release, or set the annotation sealift.dev/requestedAt to try again", e.Release.Ref.Digest, e.Cause)
}

// lastGood loads the release that was applied last, by its digest; it is
// verified like any other. It is nil when there is none, or when it is wanted.
func (s *Synchronizer) lastGood(d Delivery, memo *memo, state State, wanted *loaded) (*loaded, error) {
	if state.Applied.Digest == "" || wanted != nil && wanted.release.Ref == state.Applied {
		memo.good = nil
		return nil, nil
	}
	l, err := s.load(d, state.Applied, memo)
	if err != nil {
		return nil, err
	}
	memo.good = l
	return l, nil
}

// load is the release at ref, verified, pulled and decoded in the background, unless
// the same was done before under the same policies.
func (s *Synchronizer) load(d Delivery, ref artifact.Ref, memo *memo) (*loaded, error) {
	under, err := d.under(ref.Repository)
	if err != nil {
		return nil, at(Verify, err)
	}
	now, policies := time.Now(), fingerprint(under)
	before := memo.known(ref, d.Environment)
	holds := before != nil && before.policies == policies && before.holds(now)
	if holds && before.fresh(now) {
		return before, nil
	}
	registry, err := s.registry(d.Source)
	if err != nil {
		return nil, at(Verify, err)
	}
	var keep func()
	l, err := consult(s, memo.errand(registry, ref, d, policies), d, memo, func(l *loaded) bool { return l.fresh(now) },
		func(ctx context.Context) (l *loaded, err error) {
			l, keep, err = s.acquire(ctx, errand{d: d, ref: ref, under: under, before: before, registry: registry})
			return l, err
		},
		func() {
			if keep != nil {
				keep()
			}
		})
	switch {
	case err == nil && l.holds(now):
		return l, nil
	case err == nil:
		return nil, errPending // its trust has ended, and is asked for again
	case holds && errors.Is(err, errPending):
		return before, nil
	case holds && undecided(err):
		before.again = now.Add(jitter(againRetry))
		return before, nil
	}
	var step *Error
	if errors.As(err, &step) {
		return nil, err
	}
	return nil, acquiring(Verify, err)
}

// known is the release at ref, where it is loaded.
func (memo *memo) known(ref artifact.Ref, environment string) *loaded {
	for _, l := range []*loaded{memo.wanted, memo.good} {
		if l != nil && l.release.Ref == ref && l.environment == environment {
			return l
		}
	}
	return nil
}

// errand is the question for a release, which only this Delivery asks: who must have
// signed it, and who may read it, is its own matter.
func (memo *memo) errand(registry *reach, ref artifact.Ref, d Delivery, policies [sha256.Size]byte) *question[*loaded] {
	key := fingerprint(registry.key, ref, d.Environment, policies)
	memo.wants = append(memo.wants, key)
	if memo.errands[key] == nil {
		memo.errands[key] = newQuestion(ref.Repository.Host, func(a, b *loaded) bool { return false })
	}
	return memo.errands[key]
}

const (
	// againAfter is when a verdict that rests on a certificate is asked for again: the
	// root that it was held against may have been fetched anew by then.
	againAfter = 24 * time.Hour
	// againRetry is the time to the next question, where the registry could not answer.
	againRetry = 10 * time.Minute
)

// again is when these verdicts have to be asked for again although they hold; zero: never.
func again(verdicts []verify.Verdict, now time.Time) time.Time {
	for _, v := range verdicts {
		certified := slices.ContainsFunc(v.Signers, func(s verify.Signer) bool { return s.Certificate != verify.Certificate{} })
		certified = certified || slices.ContainsFunc(v.Attestations, func(a verify.Attested) bool { return a.Certificate != verify.Certificate{} })
		if certified {
			return now.Add(jitter(againAfter))
		}
	}
	return time.Time{}
}

// holds says that nothing has ended that the verdict on l rests on.
func (l *loaded) holds(now time.Time) bool { return l.until.IsZero() || now.Before(l.until) }

// fresh says that it need not be verified again, either.
func (l *loaded) fresh(now time.Time) bool {
	return l.holds(now) && (l.again.IsZero() || now.Before(l.again))
}

// decode reads the objects in one folder of a release.
func decode(files []objects.File, environment string) ([]*unstructured.Unstructured, error) {
	folder := path.Clean(environment)
	var chosen []objects.File
	for _, f := range files {
		if inside(folder, f.Path) && isManifest(f.Path) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: %q holds no YAML; hint: set spec.environment to a folder of the release", ErrNoEnvironment, environment)
	}
	decoded, err := objects.Decode(chosen, objects.DefaultLimits())
	if err == nil && len(decoded) == 0 {
		return nil, fmt.Errorf("%w: %q holds no objects", ErrNoEnvironment, environment)
	}
	return decoded, err
}

func inside(folder, file string) bool {
	return folder == "." || strings.HasPrefix(file, folder+"/")
}

func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func releaseOf(v verify.Verified) Release {
	r := Release{Ref: v.Ref(), Statement: v.Statement(), Findings: v.Findings()}
	for _, signer := range v.Signers() {
		r.SignedBy = append(r.SignedBy, signer.Authority)
	}
	return r
}

// fingerprint tells one set of plain values from another.
func fingerprint(values ...any) [sha256.Size]byte {
	encoded, _ := json.Marshal(values) // plain data: it always encodes
	return sha256.Sum256(encoded)
}
