package synchronizer

import (
	"context"
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
	// maxRegistries bounds the clients kept, one for each pull secret's content.
	maxRegistries = 1_000

	// A slow registry holds a worker no longer than this.
	resolveTimeout = 20 * time.Second
	verifyTimeout  = 30 * time.Second
)

// resolution is the last answer of the registry.
type resolution struct {
	source    string
	requested string
	ref       artifact.Ref
	next      time.Time
}

// resolve names the digest that the source stands for, asking the registry once
// an interval, when the source changes, or on request.
func (s *Synchronizer) resolve(ctx context.Context, d Delivery, memo *memo) (artifact.Ref, error) {
	if d.Source.Digest != "" {
		memo.resolved.next = time.Now().Add(jitter(d.Interval))
		return d.Source.Repository.At(d.Source.Digest), nil
	}
	last := memo.resolved
	source := fmt.Sprintf("%s %s %s", d.Source.Repository, d.Source.Tag, d.Source.Semver)
	fresh := last.source == source && last.requested == d.Requested && time.Now().Before(last.next)
	if fresh && last.ref.Digest != "" {
		return last.ref, nil
	}
	asking, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	begun := time.Now()
	ref, err := s.ask(asking, d.Source)
	if err != nil {
		return artifact.Ref{}, err
	}
	memo.resolved = resolution{source: source, requested: d.Requested, ref: ref, next: time.Now().Add(max(jitter(d.Interval), rest(begun)))}
	return ref, nil
}

func (s *Synchronizer) ask(ctx context.Context, source Source) (artifact.Ref, error) {
	registry, err := s.registry(source)
	if err != nil {
		return artifact.Ref{}, err
	}
	if source.Semver == "" {
		return registry.Resolve(ctx, source.Repository, source.Tag)
	}
	tags, err := registry.Tags(ctx, source.Repository, maxTags)
	if err != nil {
		return artifact.Ref{}, err
	}
	tag, err := highest(tags, source.Semver)
	if err != nil {
		return artifact.Ref{}, fmt.Errorf("choosing a version of %s: %w", source.Repository, err)
	}
	return registry.Resolve(ctx, source.Repository, tag)
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
		v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
		if err != nil || !constraint.Check(v) {
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

// registry is the client for a source; sources that are reached in the same way share one.
func (s *Synchronizer) registry(source Source) (*artifact.Registry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fingerprint(source.Insecure, source.DockerConfig, source.CA, source.ClientCert, source.ClientKey)
	if s.registries[key] != nil {
		return s.registries[key], nil
	}
	transport, err := s.networks.Transport(s.networkOf(source))
	if err != nil {
		return nil, fmt.Errorf("reaching the registry: %w", err)
	}
	options := artifact.Options{
		PlainHTTP:    source.Insecure,
		Transport:    s.tracing(transport),
		TokenServers: s.options.TokenServers,
		UserAgent:    s.options.UserAgent,
	}
	if source.DockerConfig != nil {
		credentials, err := artifact.DockerConfigCredentials(source.DockerConfig)
		if err != nil {
			return nil, fmt.Errorf("reading the pull secret: %w", err)
		}
		options.Credentials = credentials
	}
	if len(s.registries) >= maxRegistries {
		clear(s.registries)
	}
	s.registries[key] = artifact.NewRegistry(options)
	return s.registries[key], nil
}

// networkOf is the network with the source's own authorities and certificate.
func (s *Synchronizer) networkOf(source Source) artifact.Network {
	network := s.options.Network
	if len(source.CA) > 0 {
		network.CA = slices.Concat(network.CA, []byte("\n"), source.CA)
	}
	if len(source.ClientCert) > 0 {
		network.ClientCert, network.ClientKey = source.ClientCert, source.ClientKey
	}
	return network
}
