// Package signer signs releases and attests to them, with a key or with an identity,
// as cosign 3 and cosign 2 do.
package signer

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// Registry is what signing reads and writes.
type Registry interface {
	verify.Registry
	Attach(ctx context.Context, subject artifact.Ref, artifactType string, layer artifact.Blob, annotations map[string]string) (ocispec.Descriptor, error)
	PutBlob(ctx context.Context, repository artifact.Repository, blob artifact.Blob) (ocispec.Descriptor, error)
	PutManifest(ctx context.Context, repository artifact.Repository, tag, mediaType string, manifest []byte) (artifact.Ref, error)
}

// Signer signs releases in a registry as one author, attests to them, and reads back
// what it wrote. It is safe for concurrent use.
type Signer struct {
	author   author
	registry Registry
	verifier *verify.Verifier
}

// author is who signs: a key, or an identity with short-lived certificates.
type author interface {
	// formats are those that the author signs in, the first one first.
	formats(ctx context.Context) ([]policy.Format, error)
	// known is as whom verify knows the author, as far as it can be told by now.
	known(ctx context.Context) (policy.Authority, error)
	// suits says why verification would not let the author sign for a release.
	suits(ctx context.Context, told func() (artifact.Statement, error)) error
	// pick gives what signs. As whom may be known better from then on: renamed says so.
	pick(ctx context.Context) (p pen, renamed bool, err error)
}

// New returns a Signer with a key. Its signatures carry no timestamps, and are in no log.
func New(key *Key, registry Registry) *Signer {
	verifier, err := verify.New(verify.Options{Verdicts: -1})
	if err != nil {
		panic(err) // it fails for a broken trusted root only, and there is none
	}
	return NewWitnessed(key, nil, verifier, registry)
}

// NewWitnessed returns a Signer with a key whose bundles carry what the instance's
// services vouch for: timestamps and log entries. Nil: nothing.
func NewWitnessed(key *Key, instance *Instance, verifier *verify.Verifier, registry Registry) *Signer {
	return &Signer{author: keyed{key, instance}, registry: registry, verifier: verifier}
}

// Sign signs ref in all formats of its author, the bundle first. A format in which the
// author has signed already is left as it is, so that signing again changes nothing;
// wrote says whether one was missing.
func (s *Signer) Sign(ctx context.Context, ref artifact.Ref) (wrote bool, err error) {
	missing, err := s.missing(ctx, ref)
	if err != nil || len(missing) == 0 {
		return false, wrap("signing", ref, err)
	}
	if err := s.author.suits(ctx, func() (artifact.Statement, error) { return s.statement(ctx, ref) }); err != nil {
		return false, wrap("signing", ref, err)
	}
	p, renamed, err := s.author.pick(ctx)
	if err == nil && renamed {
		missing, err = s.missing(ctx, ref)
	}
	if err != nil {
		return false, wrap("signing", ref, err)
	}
	for _, format := range missing {
		write := s.writeBundle
		if format == policy.Legacy {
			write = s.writeLegacy
		}
		if err := write(ctx, ref, p); err != nil {
			return wrote, fmt.Errorf("signing %s in the format %s: %w", ref, format, err)
		}
		wrote = true
	}
	return wrote, nil
}

// statement is what the release says of itself. One that cannot be read is for
// verification to judge.
func (s *Signer) statement(ctx context.Context, ref artifact.Ref) (artifact.Statement, error) {
	manifest, err := s.registry.Manifest(ctx, ref)
	if err != nil {
		return artifact.Statement{}, err
	}
	told, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil {
		return artifact.Statement{}, nil
	}
	return told, nil
}

// missing are the formats in which the author has not signed yet.
func (s *Signer) missing(ctx context.Context, ref artifact.Ref) ([]policy.Format, error) {
	who, err := s.author.known(ctx)
	if err != nil {
		return nil, err
	}
	formats, err := s.author.formats(ctx)
	if err != nil {
		return nil, err
	}
	var missing []policy.Format
	for _, format := range formats {
		done, err := s.verifier.SignedBy(ctx, s.registry, ref, who, format)
		if err != nil {
			return nil, err
		}
		if !done {
			missing = append(missing, format)
		}
	}
	return missing, nil
}

// Attest attaches an in-toto statement about ref, as a bundle. An attestation of that
// predicate type by the same author is left as it is; wrote says whether there was none.
func (s *Signer) Attest(ctx context.Context, ref artifact.Ref, predicateType string, predicate any) (wrote bool, err error) {
	attested, err := s.attested(ctx, ref, predicateType)
	if err != nil || attested {
		return false, wrap("attesting", ref, err)
	}
	p, renamed, err := s.author.pick(ctx)
	if err == nil && renamed {
		attested, err = s.attested(ctx, ref, predicateType)
	}
	if err != nil || attested {
		return false, wrap("attesting", ref, err)
	}
	about := statement{
		Type:          verify.StatementType,
		Subject:       []subject{{Name: ref.Repository.String(), Digest: digestOf(ref)}},
		PredicateType: predicateType,
		Predicate:     predicate,
	}
	if err := s.attach(ctx, ref, p, about); err != nil {
		return false, fmt.Errorf("attesting %s, %s: %w", ref, predicateType, err)
	}
	return true, nil
}

func (s *Signer) attested(ctx context.Context, ref artifact.Ref, predicateType string) (bool, error) {
	who, err := s.author.known(ctx)
	if err != nil {
		return false, err
	}
	return s.verifier.AttestedBy(ctx, s.registry, ref, who, predicateType)
}

func wrap(act string, ref artifact.Ref, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", act, ref, err)
}

// Verify reads back a signature of ref, in any format, by the author.
func (s *Signer) Verify(ctx context.Context, ref artifact.Ref) error {
	who, err := s.author.known(ctx)
	if err != nil {
		return fmt.Errorf("verifying %s: %w", ref, err)
	}
	own := policy.Named{Name: "own", Policy: policy.Policy{Trust: policy.Trust{
		Formats:     []policy.Format{policy.Bundle, policy.Legacy},
		Authorities: []policy.Authority{who},
	}}}
	_, err = s.verifier.Release(ctx, s.registry, ref, []verify.NamedPolicy{own}, verify.Claim{})
	return err
}
