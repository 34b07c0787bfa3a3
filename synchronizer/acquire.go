package synchronizer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/synchronizer/cache"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/synchronizer/tailor"
	"sealift.dev/verify"
)

// errand is a release to be had for a Delivery.
type errand struct {
	d        Delivery
	ref      artifact.Ref
	under    []verify.NamedPolicy
	registry *reach
	// before is the same release, verified earlier; nil: it is not known.
	before *loaded
	turn   *turn
}

// content is one environment of a release, packed. All who read it with the same access
// share it.
type content struct {
	objects *engine.Set
	// sealed is why it cannot be applied as it is: there is something to decrypt.
	sealed error
}

// acquire verifies, pulls and decodes a release. What the cache holds of it is
// verified, too, under today's policies; where that does not do, the registry is asked,
// and keep stores what it said; nil: there is nothing to be stored.
func (s *Synchronizer) acquire(ctx context.Context, e errand) (l *loaded, keep func(), err error) {
	e.turn = s.turn(e.d.Namespace)
	defer e.turn.rest()
	if l := s.recall(ctx, e); l != nil {
		return l, nil, nil
	}
	host := e.ref.Repository.Host
	if err := e.registry.free(host); err != nil {
		return nil, nil, acquiring(Verify, fmt.Errorf("verifying %s: %w", e.ref, err))
	}
	var from verify.Registry = patient{e.registry, e.turn}
	var recorder *cache.Recorder
	if s.cache != nil {
		recorder = s.cache.Record(e.d.Namespace, e.ref, from)
		from = recorder
	}
	verified, err := s.judge(ctx, e, from)
	s.verdict(err)
	e.registry.heed(host, err)
	if err != nil {
		return nil, nil, acquiring(Verify, err)
	}
	l, err = s.unpack(ctx, e, from, verified)
	e.registry.heed(host, err)
	if err == nil && recorder != nil {
		keep = func() { s.keep(recorder) }
	}
	return l, keep, err
}

// recall has a release from the cache; nil: it has to be asked for.
func (s *Synchronizer) recall(ctx context.Context, e errand) *loaded {
	if s.cache == nil {
		return nil
	}
	from, found := s.cache.Recall(e.d.Namespace, e.ref)
	if !found {
		return nil
	}
	verified, err := s.judge(ctx, e, from)
	if err != nil {
		return nil // the registry may know of another signature
	}
	s.verdict(nil)
	l, err := s.unpack(ctx, e, from, verified)
	if err != nil {
		return nil
	}
	return l
}

func (s *Synchronizer) judge(ctx context.Context, e errand, from verify.Registry) (verify.Verified, error) {
	s.step(e.d, Verify)
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, turnKey{}, e.turn), verifyTimeout)
	defer cancel()
	return s.verifier.Release(ctx, from, e.ref, e.under, verify.Claim{Namespace: e.d.Namespace})
}

// unpack pulls and decodes what was verified, unless somebody with the same access did.
func (s *Synchronizer) unpack(ctx context.Context, e errand, from artifact.Reader, verified verify.Verified) (*loaded, error) {
	l := &loaded{release: releaseOf(verified), environment: e.d.Environment, policies: fingerprint(e.under),
		until: verified.Until(), again: again(verified.Verdicts(), time.Now())}
	if e.before != nil {
		l.content = e.before.content
		return l, nil
	}
	e.turn.rest() // another one may be doing the same
	defer e.turn.resume()
	var err error
	l.content, err = s.contents.get(fingerprint(e.registry.key, e.ref, e.d.Environment), func() (*content, error) {
		e.turn.resume()
		defer e.turn.rest()
		files, err := s.pull(ctx, e, from, verified)
		if err != nil {
			return nil, acquiring(Pull, err)
		}
		s.step(e.d, Decode)
		decoded, err := decode(files, e.d.Environment)
		if err != nil {
			return nil, acquiring(Decode, fmt.Errorf("release %s: %w", e.ref, err))
		}
		return s.content(ctx, decoded)
	})
	return l, err
}

// content packs decoded objects, once for all who read them.
func (s *Synchronizer) content(ctx context.Context, decoded []*unstructured.Unstructured) (*content, error) {
	set, err := engine.NewSet(decoded)
	if err != nil {
		return nil, acquiring(Decode, err)
	}
	_, sealed := s.tailors.Apply(ctx, decoded, tailor.Options{})
	return &content{objects: set, sealed: sealed}, nil
}

// pull fetches and unpacks a release, once for all of its environments. It takes a
// Verified, so that nothing unverified is unpacked.
func (s *Synchronizer) pull(ctx context.Context, e errand, from artifact.Reader, v verify.Verified) ([]objects.File, error) {
	e.turn.rest()
	defer e.turn.resume()
	files, err := s.packages.get(fingerprint(e.registry.key, v.Ref()), func() (*[]objects.File, error) {
		e.turn.resume()
		defer e.turn.rest()
		s.step(e.d, Pull)
		ctx, cancel := context.WithTimeout(ctx, pullTimeout)
		defer cancel()
		release, err := artifact.FetchFrom(ctx, from, v.Ref(), artifact.DefaultLimits())
		if err != nil {
			return nil, err
		}
		files := release.Files
		return &files, nil
	})
	if err != nil {
		return nil, err
	}
	return *files, nil
}

// keep stores what was read of a verified release.
func (s *Synchronizer) keep(recorder *cache.Recorder) {
	if err := recorder.Keep(); err != nil {
		s.trouble(err)
	}
}

// pin has the cache hold what a Delivery runs, and what it is to run next.
func (s *Synchronizer) pin(d Delivery, memo *memo, state State, out Outcome) {
	if s.cache == nil {
		return
	}
	var refs []artifact.Ref
	if state.Applied.Digest != "" {
		refs = append(refs, state.Applied)
	}
	if out.Wanted != nil && out.Wanted.Ref != state.Applied {
		refs = append(refs, out.Wanted.Ref)
	}
	if !slices.Equal(refs, memo.pinned) {
		s.cache.Pin(d.Key(), d.Namespace, refs...)
		memo.pinned = refs
	}
}
