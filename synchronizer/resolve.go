package synchronizer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"sealift.dev/artifact"
)

const (
	// maxTags bounds the tag list that a semver source may need.
	maxTags = 20_000

	// What a slow registry is waited for.
	resolveTimeout = 20 * time.Second
	verifyTimeout  = 30 * time.Second
	pullTimeout    = 2 * time.Minute
)

// resolve names the digest that the source stands for: what the registry said last. It
// is asked again once an interval, whoever of those who follow the tag asks first.
func (s *Synchronizer) resolve(d Delivery, memo *memo) (artifact.Ref, error) {
	source := d.Source
	if source.Digest != "" {
		memo.due = sooner(memo.due, time.Now().Add(jitter(d.Interval)))
		return source.Repository.At(source.Digest), nil
	}
	registry, err := s.registry(source)
	if err != nil {
		return artifact.Ref{}, at(Resolve, err)
	}
	tag := source.Tag
	if source.Semver != "" {
		tags, err := s.listed(d, memo, registry)
		if err != nil {
			return artifact.Ref{}, acquiring(Resolve, err)
		}
		if tag, err = highest(tags, source.Semver); err != nil {
			return artifact.Ref{}, at(Resolve, fmt.Errorf("choosing a version of %s: %w", source.Repository, err))
		}
	}
	key := fingerprint(registry.key, source.Repository, tag)
	q := follow(s, s.tags, key, d, source.Repository.Host, func(a, b artifact.Ref) bool { return a == b })
	ref, err := consult(s, q, d, memo, nil, func(ctx context.Context) (artifact.Ref, error) {
		s.step(d, Resolve)
		return asking(ctx, registry, source.Repository, func(ctx context.Context) (artifact.Ref, error) {
			return registry.Resolve(ctx, source.Repository, tag)
		})
	})
	return ref, acquiring(Resolve, err)
}

// listed are the tags of the source's repository that are versions. One list serves
// all ranges, and no tag's manifest is read for it.
func (s *Synchronizer) listed(d Delivery, memo *memo, registry *reach) ([]string, error) {
	place := d.Source.Repository
	q := follow(s, s.lists, fingerprint(registry.key, place), d, place.Host, slices.Equal[[]string])
	return consult(s, q, d, memo, nil, func(ctx context.Context) ([]string, error) {
		return asking(ctx, registry, place, func(ctx context.Context) ([]string, error) {
			tags, err := registry.Tags(ctx, place, maxTags)
			return slices.DeleteFunc(tags, func(tag string) bool { return versionOf(tag) == nil }), err
		})
	})
}

// asking asks a registry that may be slow, or may want to be left alone.
func asking[T any](ctx context.Context, registry *reach, place artifact.Repository, ask func(context.Context) (T, error)) (answer T, err error) {
	if err := registry.free(place.Host); err != nil {
		return answer, fmt.Errorf("asking for %s: %w", place, err)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	answer, err = ask(ctx)
	registry.heed(place.Host, err)
	return answer, err
}

// follow is the question with a key, which d wants to know the answer of.
func follow[T any](s *Synchronizer, all map[[sha256.Size]byte]*question[T], key [sha256.Size]byte, d Delivery, host string, same func(a, b T) bool) *question[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all[key] == nil {
		all[key] = newQuestion(host, same)
	}
	q := all[key]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.followers[d.Key()] = d.Owner()
	return q
}

// versionOf is the version that a tag names; nil: it names none.
func versionOf(tag string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return nil
	}
	return v
}

// highest is the tag with the highest version in a range. Tags that are no
// versions are passed over.
func highest(tags []string, rng string) (string, error) {
	constraint, err := semver.NewConstraint(rng)
	if err != nil {
		return "", fmt.Errorf("range %q: %w", rng, err)
	}
	var best *semver.Version
	for _, tag := range tags {
		v := versionOf(tag)
		if v == nil || !constraint.Check(v) {
			continue
		}
		if best == nil || best.LessThan(v) {
			best = v
			rng = tag
		}
	}
	if best == nil {
		return "", fmt.Errorf("none of %d tags is in the range %q: %w", len(tags), rng, artifact.ErrNotFound)
	}
	return rng, nil
}
