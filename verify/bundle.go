package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstoreverify "github.com/sigstore/sigstore-go/pkg/verify"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"sealift.dev/artifact"
	"sealift.dev/internal/strict"
	"sealift.dev/verify/policy"
)

// The parts of a signature in the bundle format, as cosign 3 writes it.
const (
	BundleType        = "application/vnd.dev.sigstore.bundle.v0.3+json"
	PredicateType     = "https://sigstore.dev/cosign/sign/v1"
	StatementType     = "https://in-toto.io/Statement/v1"
	PayloadType       = "application/vnd.in-toto+json"
	PredicateTypeNote = "dev.sigstore.bundle.predicateType" // annotation

	maxBundleBytes    = 256 << 10
	maxStatementBytes = 64 << 10
)

// listBundles names the referrers that may be bundles; those that say to hold a
// signature come first. All referrers are asked for: some registries give the
// config's media type where the artifact type belongs.
func listBundles(ctx context.Context, registry Registry, ref artifact.Ref) ([]candidate, error) {
	referrers, err := registry.Referrers(ctx, ref, "", maxReferrers)
	seen := map[digest.Digest]bool{}
	referrers = slices.DeleteFunc(referrers, func(d ocispec.Descriptor) bool {
		again := seen[d.Digest]
		seen[d.Digest] = true
		return again || d.ArtifactType != BundleType && d.ArtifactType != "" && d.ArtifactType != ocispec.MediaTypeEmptyJSON
	})
	slices.SortStableFunc(referrers, func(a, b ocispec.Descriptor) int { return rank(a.Annotations) - rank(b.Annotations) })
	candidates := make([]candidate, 0, min(len(referrers), MaxSignatures+1))
	for _, d := range referrers[:min(len(referrers), MaxSignatures+1)] {
		candidates = append(candidates, candidate{format: policy.Bundle, digest: d.Digest,
			read: func(ctx context.Context, b *budget) (*signature, error) {
				return fetchBundle(ctx, registry, ref, d.Digest, b)
			}})
	}
	return candidates, err
}

// rank orders by what annotations promise: a signature, nothing, something else.
func rank(annotations map[string]string) int {
	switch annotations[PredicateTypeNote] {
	case PredicateType:
		return 0
	case "":
		return 1
	}
	return 2
}

func fetchBundle(ctx context.Context, registry Registry, ref artifact.Ref, at digest.Digest, b *budget) (*signature, error) {
	manifest, err := registry.Manifest(ctx, ref.Repository.At(at))
	switch {
	case err != nil:
		return nil, err
	case manifest.ArtifactType != BundleType:
		return nil, fmt.Errorf("%w but %q", errForeign, clip(manifest.ArtifactType))
	case manifest.Subject == nil || manifest.Subject.Digest != ref.Digest:
		return nil, fmt.Errorf("%w of this artifact: its subject is another", errForeign)
	case rank(manifest.Annotations) > 1:
		return nil, fmt.Errorf("%w but an attestation, %q", errForeign, clip(manifest.Annotations[PredicateTypeNote]))
	case len(manifest.Layers) != 1:
		return nil, fmt.Errorf("has %d layers, not one", len(manifest.Layers))
	case manifest.Layers[0].MediaType != BundleType:
		return nil, fmt.Errorf("has a layer of type %q", clip(manifest.Layers[0].MediaType))
	case manifest.Layers[0].Size > maxBundleBytes:
		return nil, fmt.Errorf("has %d bytes, more than the limit of %d", manifest.Layers[0].Size, maxBundleBytes)
	}
	if err := b.spend(manifest.Layers[0].Size); err != nil {
		return nil, err
	}
	data, err := registry.Blob(ctx, ref.Repository, manifest.Layers[0], maxBundleBytes)
	if err != nil {
		return nil, err
	}
	s, err := readBundle(data, ref)
	if err != nil {
		return nil, err
	}
	s.digest = at
	return s, nil
}

// readBundle reads a bundle that holds a signature of ref by a key.
func readBundle(data []byte, ref artifact.Ref) (*signature, error) {
	if len(data) > maxBundleBytes {
		return nil, fmt.Errorf("has %d bytes, more than the limit of %d", len(data), maxBundleBytes)
	}
	var value any // sigstore-go takes the last of two keys
	if err := strict.Unmarshal(data, &value); err != nil {
		return nil, fmt.Errorf("is malformed: %w", err)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	envelope := b.GetDsseEnvelope()
	switch version, err := b.Version(); {
	case err != nil || version != "v0.3":
		return nil, fmt.Errorf("is a bundle of type %q, not v0.3", clip(b.GetMediaType()))
	case b.GetVerificationMaterial().GetPublicKey() == nil:
		return nil, errors.New("was made with a certificate, not with a key")
	case envelope == nil:
		return nil, errors.New("holds no DSSE envelope")
	case envelope.GetPayloadType() != PayloadType:
		return nil, fmt.Errorf("has a payload of type %q", clip(envelope.GetPayloadType()))
	case len(envelope.GetSignatures()) != 1:
		return nil, fmt.Errorf("has %d signatures in its envelope, not one", len(envelope.GetSignatures()))
	}
	if err := readSigned(envelope.GetPayload(), ref); err != nil {
		return nil, err
	}
	return &signature{format: policy.Bundle, check: func(key policy.PublicKey) error {
		return withAny(key, func(v sigstore.Verifier) error { return checkBundle(b, ref, v) })
	}}, nil
}

// statement is what a bundle signs; the predicate of a signature says nothing.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// readSigned checks that a statement says "signature", of ref and nothing else.
func readSigned(data []byte, ref artifact.Ref) error {
	if len(data) > maxStatementBytes {
		return fmt.Errorf("has a statement of %d bytes, more than the limit of %d", len(data), maxStatementBytes)
	}
	var signed statement
	if err := strict.Unmarshal(data, &signed); err != nil {
		return fmt.Errorf("has a malformed statement: %w", err)
	}
	switch {
	case signed.Type != StatementType:
		return fmt.Errorf("has a statement of type %q", clip(signed.Type))
	case signed.PredicateType != PredicateType:
		return fmt.Errorf("%w but an attestation, %q", errForeign, clip(signed.PredicateType))
	case len(signed.Subject) != 1:
		return fmt.Errorf("has %d subjects, not one", len(signed.Subject))
	case signed.Subject[0].Digest["sha256"] != ref.Digest.Encoded():
		return fmt.Errorf("signs another digest: %q", clip(signed.Subject[0].Digest["sha256"]))
	}
	return nil
}

// checkBundle verifies with sigstore-go, which needs no network and no log for it.
func checkBundle(b *bundle.Bundle, ref artifact.Ref, key sigstore.Verifier) error {
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(key, time.Time{}, time.Time{}), nil
	})
	verifier, err := sigstoreverify.NewVerifier(trusted, sigstoreverify.WithNoObserverTimestamps(), sigstoreverify.WithoutStatementPredicate())
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(strings.ToLower(ref.Digest.Encoded()))
	if err != nil {
		return err
	}
	result, err := verifier.Verify(b, sigstoreverify.NewPolicy(sigstoreverify.WithArtifactDigest("sha256", sum), sigstoreverify.WithKey()))
	if err != nil {
		return err
	}
	if result.Statement.GetPredicateType() != PredicateType {
		return errForeign
	}
	return nil
}
