package verify

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
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

	// oldStatementType is what cosign attest writes; no signature has it.
	oldStatementType = "https://in-toto.io/Statement/v0.1"

	maxBundleBytes      = 256 << 10
	maxStatementBytes   = 64 << 10
	maxAttestationBytes = 1 << 20 // a bundle with an attestation
)

// bundles are the referrers that may be bundles, by what they are marked as.
type bundles struct {
	signatures, attestations, unmarked []candidate
	foreign                            []ocispec.Descriptor
}

// listBundles sorts the referrers that may be bundles; wanted are the predicate types
// of attestations. All referrers are asked for: some registries give the config's
// media type where the artifact type belongs.
func listBundles(ctx context.Context, registry Registry, ref artifact.Ref, wanted []string) (bundles, error) {
	referrers, err := registry.Referrers(ctx, ref, "", maxReferrers)
	var all bundles
	seen := map[digest.Digest]bool{}
	for _, d := range referrers {
		if seen[d.Digest] || d.ArtifactType != BundleType && d.ArtifactType != "" && d.ArtifactType != ocispec.MediaTypeEmptyJSON {
			continue
		}
		seen[d.Digest] = true
		c := candidate{format: policy.Bundle, digest: d.Digest, read: func(ctx context.Context, b *budget) (*signature, error) {
			return fetchBundle(ctx, registry, ref, d.Digest, wanted, b)
		}}
		switch marked := d.Annotations[PredicateTypeNote]; {
		case marked == PredicateType:
			all.signatures = append(all.signatures, c)
		case marked == "":
			all.unmarked = append(all.unmarked, c)
		case slices.Contains(wanted, marked):
			c.attestation = true
			all.attestations = append(all.attestations, c)
		default:
			all.foreign = append(all.foreign, d)
		}
	}
	return all, err
}

func fetchBundle(ctx context.Context, registry Registry, ref artifact.Ref, at digest.Digest, wanted []string, b *budget) (*signature, error) {
	manifest, err := registry.Manifest(ctx, ref.Repository.At(at))
	if err != nil {
		return nil, err
	}
	marked, limit := manifest.Annotations[PredicateTypeNote], int64(maxBundleBytes)
	if len(wanted) > 0 && marked != PredicateType {
		limit = maxAttestationBytes
	}
	switch {
	case manifest.ArtifactType != BundleType:
		return nil, fmt.Errorf("%w but %q", errForeign, clip(manifest.ArtifactType))
	case manifest.Subject == nil || manifest.Subject.Digest != ref.Digest:
		return nil, fmt.Errorf("%w of this artifact: its subject is another", errForeign)
	case marked != "" && marked != PredicateType && !slices.Contains(wanted, marked):
		return nil, fmt.Errorf("%w but an attestation, %q", errForeign, clip(marked))
	case len(manifest.Layers) != 1:
		return nil, fmt.Errorf("has %d layers, not one", len(manifest.Layers))
	case manifest.Layers[0].MediaType != BundleType:
		return nil, fmt.Errorf("has a layer of type %q", clip(manifest.Layers[0].MediaType))
	case manifest.Layers[0].Size > limit:
		return nil, fmt.Errorf("has %d bytes, more than the limit of %d", manifest.Layers[0].Size, limit)
	}
	if err := b.spend(manifest.Layers[0].Size); err != nil {
		return nil, err
	}
	data, err := registry.Blob(ctx, ref.Repository, manifest.Layers[0], limit)
	if err != nil {
		return nil, err
	}
	s, err := readBundle(data, ref, wanted)
	if err != nil {
		return nil, err
	}
	s.digest = at
	return s, nil
}

// readBundle reads a bundle that holds a signature of ref, or an attestation about
// it of one of the predicate types.
func readBundle(data []byte, ref artifact.Ref, wanted []string) (*signature, error) {
	if len(data) > maxAttestationBytes {
		return nil, fmt.Errorf("has %d bytes, more than the limit of %d", len(data), maxAttestationBytes)
	}
	var nothing struct{} // sigstore-go takes the last of two keys
	if err := strict.Unmarshal(data, &nothing); err != nil {
		return nil, fmt.Errorf("is malformed: %w", err)
	}
	b := &bundle.Bundle{}
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("is no Sigstore bundle: %w", err)
	}
	envelope, material := b.GetDsseEnvelope(), b.GetVerificationMaterial()
	switch version, err := b.Version(); {
	case err != nil || version != "v0.3":
		return nil, fmt.Errorf("is a bundle of type %q, not v0.3", clip(b.GetMediaType()))
	case material.GetPublicKey() == nil && material.GetCertificate() == nil:
		return nil, errors.New("was made neither with a key nor with a certificate")
	case envelope == nil:
		return nil, errors.New("holds no DSSE envelope")
	case envelope.GetPayloadType() != PayloadType:
		return nil, fmt.Errorf("has a payload of type %q", clip(envelope.GetPayloadType()))
	case len(envelope.GetSignatures()) != 1:
		return nil, fmt.Errorf("has %d signatures in its envelope, not one", len(envelope.GetSignatures()))
	}
	signed, err := readSigned(envelope.GetPayload(), ref, wanted)
	if err != nil {
		return nil, err
	}
	return newBundled(b, ref, signed)
}

func newBundled(b *bundle.Bundle, ref artifact.Ref, signed statement) (*signature, error) {
	sum, err := hex.DecodeString(ref.Digest.Encoded())
	if err != nil {
		return nil, err
	}
	l := &logged{Bundle: b, artifact: func() sigstoreverify.ArtifactPolicyOption {
		return sigstoreverify.WithArtifactDigest("sha256", sum)
	}}
	s := &signature{format: policy.Bundle, predicateType: signed.PredicateType, predicate: signed.Predicate, logged: l}
	s.keyed = func(way sigstore.Verifier) error {
		if l.certified() {
			return errors.New("was made with a certificate, not with a key")
		}
		return checkBundle(l, way, signed.PredicateType)
	}
	return s, nil
}

// statement is what a bundle signs; the predicate of a signature says nothing.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// readSigned checks that a statement says "signature", or one of the predicate types,
// of ref and nothing else.
func readSigned(data []byte, ref artifact.Ref, wanted []string) (statement, error) {
	var signed statement
	if len(data) > maxAttestationBytes {
		return signed, fmt.Errorf("has a statement of %d bytes, more than the limit of %d", len(data), maxAttestationBytes)
	}
	if err := strict.Unmarshal(data, &signed); err != nil {
		return signed, fmt.Errorf("has a malformed statement: %w", err)
	}
	attests := slices.Contains(wanted, signed.PredicateType)
	switch {
	case signed.Type != StatementType && (!attests || signed.Type != oldStatementType):
		return signed, fmt.Errorf("has a statement of type %q", clip(signed.Type))
	case signed.PredicateType != PredicateType && !attests:
		return signed, fmt.Errorf("%w but an attestation, %q", errForeign, clip(signed.PredicateType))
	case signed.PredicateType == PredicateType && len(data) > maxStatementBytes:
		return signed, fmt.Errorf("has a statement of %d bytes, more than the limit of %d", len(data), maxStatementBytes)
	case len(signed.Subject) != 1:
		return signed, fmt.Errorf("has %d subjects, not one", len(signed.Subject))
	case signed.Subject[0].Digest["sha256"] != ref.Digest.Encoded():
		return signed, fmt.Errorf("signs another digest: %q", clip(signed.Subject[0].Digest["sha256"]))
	}
	return signed, nil
}

// checkBundle verifies with sigstore-go, which needs no network and no log for it.
func checkBundle(l *logged, way sigstore.Verifier, predicateType string) error {
	verifier, err := sigstoreverify.NewVerifier(keyMaterial(way), sigstoreverify.WithNoObserverTimestamps(), sigstoreverify.WithoutStatementPredicate())
	if err != nil {
		return err
	}
	result, err := verifier.Verify(l, sigstoreverify.NewPolicy(l.artifact(), sigstoreverify.WithKey()))
	if err == nil && result.Statement.GetPredicateType() != predicateType {
		return errForeign
	}
	return err
}
