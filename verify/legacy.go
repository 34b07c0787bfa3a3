package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"sealift.dev/artifact"
	"sealift.dev/internal/strict"
	"sealift.dev/verify/policy"
)

// The parts of a signature in the legacy format, as cosign 2 writes it.
const (
	SimpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
	SignatureNote     = "dev.cosignproject.cosign/signature" // annotation of a layer
	ClaimType         = "cosign container image signature"

	maxPayloadBytes = 64 << 10
	maxEncodedBytes = 8 << 10 // a signature in base64
)

// LegacyTag is the tag under which d has its signatures in the legacy format.
func LegacyTag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded() + ".sig"
}

// listLegacy names the layers of the signature manifest; each is a signature.
func listLegacy(ctx context.Context, registry Registry, ref artifact.Ref) ([]candidate, error) {
	at, err := registry.Resolve(ctx, ref.Repository, LegacyTag(ref.Digest))
	if err != nil {
		return nil, err
	}
	manifest, err := registry.Manifest(ctx, at)
	if err != nil {
		return nil, err
	}
	layers := manifest.Layers[:min(len(manifest.Layers), MaxSignatures+1)]
	candidates := make([]candidate, 0, len(layers))
	for _, layer := range layers {
		candidates = append(candidates, candidate{format: policy.Legacy, digest: layer.Digest,
			read: func(ctx context.Context, b *budget) (*signature, error) {
				return fetchLegacy(ctx, registry, ref, layer, b)
			}})
	}
	return candidates, nil
}

func fetchLegacy(ctx context.Context, registry Registry, ref artifact.Ref, layer ocispec.Descriptor, b *budget) (*signature, error) {
	encoded := layer.Annotations[SignatureNote]
	switch {
	case layer.MediaType != SimpleSigningType:
		return nil, fmt.Errorf("has a payload of type %q", clip(layer.MediaType))
	case encoded == "":
		return nil, errors.New("has no annotation " + SignatureNote)
	case len(encoded) > maxEncodedBytes:
		return nil, fmt.Errorf("has a signature of %d bytes, more than the limit of %d", len(encoded), maxEncodedBytes)
	case layer.Size > maxPayloadBytes:
		return nil, fmt.Errorf("has a payload of %d bytes, more than the limit of %d", layer.Size, maxPayloadBytes)
	}
	if err := b.spend(layer.Size); err != nil {
		return nil, err
	}
	payload, err := registry.Blob(ctx, ref.Repository, layer, maxPayloadBytes)
	if err != nil {
		return nil, err
	}
	s, err := readLegacy(payload, encoded, ref)
	if err != nil {
		return nil, err
	}
	s.digest = layer.Digest
	s.logged, s.unlogged = readNotes(payload, encoded, layer.Annotations)
	return s, nil
}

// claim is the payload that a legacy signature signs.
type claim struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// readLegacy reads a payload that claims ref, and its signature in base64.
func readLegacy(payload []byte, encoded string, ref artifact.Ref) (*signature, error) {
	if len(payload) > maxPayloadBytes {
		return nil, fmt.Errorf("has a payload of %d bytes, more than the limit of %d", len(payload), maxPayloadBytes)
	}
	var signed claim
	if err := strict.Unmarshal(payload, &signed); err != nil {
		return nil, fmt.Errorf("has a malformed payload: %w", err)
	}
	if kind := signed.Critical.Type; kind != ClaimType {
		return nil, fmt.Errorf("has a payload that claims to be %q", clip(kind))
	}
	if named := signed.Critical.Image.Digest; named != ref.Digest.String() {
		return nil, fmt.Errorf("signs another digest: %q", clip(named))
	}
	// Only the signature goes along: certificates and log entries have no part in
	// verifying with a key.
	single, err := static.NewSignature(payload, strings.TrimSpace(encoded))
	if err != nil {
		return nil, fmt.Errorf("is malformed: %w", err)
	}
	hash := struct{ Algorithm, Hex string }{ref.Digest.Algorithm().String(), ref.Digest.Encoded()}
	return &signature{format: policy.Legacy, keyed: func(way sigstore.Verifier) error {
		_, err := cosign.VerifyImageSignature(context.Background(), single, hash, &cosign.CheckOpts{
			SigVerifier: way, IgnoreTlog: true, Offline: true, ClaimVerifier: cosign.SimpleClaimVerifier,
		})
		return err
	}}, nil
}
