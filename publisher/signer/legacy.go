package signer

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	pb "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// maxAppends is how often a signature is added before others' writes end the signing.
const maxAppends = 10

// writeLegacy adds a layer to the signature manifest, as cosign 2 does. The
// signatures of others stay: registries have no comparing write, so what was written
// is read again, and added again where another's write took it away.
func (s *Signer) writeLegacy(ctx context.Context, ref artifact.Ref, p pen) error {
	layer, err := s.signPayload(ctx, ref, p)
	if err != nil {
		return err
	}
	for range maxAppends {
		layers, err := s.signatures(ctx, ref)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(layers, func(d ocispec.Descriptor) bool { return same(d, layer) }) {
			return nil
		}
		if len(layers) >= verify.MaxSignatures {
			return fmt.Errorf("the tag %s holds %d signatures, and the limit is %d; hint: delete the tag, or have its signers sign in the format bundle",
				verify.LegacyTag(ref.Digest), len(layers), verify.MaxSignatures)
		}
		if err := s.putSignatures(ctx, ref, append(layers, layer)); err != nil {
			return err
		}
	}
	return fmt.Errorf("others replaced the tag %s %d times; hint: sign one after the other", verify.LegacyTag(ref.Digest), maxAppends)
}

func same(a, b ocispec.Descriptor) bool {
	return a.Digest == b.Digest && maps.Equal(a.Annotations, b.Annotations)
}

func (s *Signer) putSignatures(ctx context.Context, ref artifact.Ref, layers []ocispec.Descriptor) error {
	config, err := s.registry.PutBlob(ctx, ref.Repository, artifact.Blob{MediaType: ocispec.MediaTypeImageConfig, Data: configOf(layers)})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers,
	})
	if err != nil {
		return err
	}
	_, err = s.registry.PutManifest(ctx, ref.Repository, verify.LegacyTag(ref.Digest), ocispec.MediaTypeImageManifest, manifest)
	return err
}

// signatures are the layers of the signature manifest, none where there is no manifest.
func (s *Signer) signatures(ctx context.Context, ref artifact.Ref) ([]ocispec.Descriptor, error) {
	at, err := s.registry.Resolve(ctx, ref.Repository, verify.LegacyTag(ref.Digest))
	if errors.Is(err, artifact.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	manifest, err := s.registry.Manifest(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(manifest.Layers) == 0 {
		return nil, fmt.Errorf("the tag %s holds something else than signatures; hint: delete the tag", verify.LegacyTag(ref.Digest))
	}
	return manifest.Layers, nil
}

type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest digest.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// signPayload stores the payload that names ref; its descriptor carries the signature.
func (s *Signer) signPayload(ctx context.Context, ref artifact.Ref, p pen) (ocispec.Descriptor, error) {
	var claim payload
	claim.Critical.Identity.Reference = ref.Repository.String()
	claim.Critical.Image.Digest = ref.Digest
	claim.Critical.Type = verify.ClaimType
	data, err := json.Marshal(claim)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	notes, err := p.notes(ctx, data)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := s.registry.PutBlob(ctx, ref.Repository, artifact.Blob{MediaType: verify.SimpleSigningType, Data: data})
	layer.Annotations = notes
	return layer, err
}

// notes are the annotations with which cosign 2 finds a signature, and, where there is
// a certificate, what the services say to it. A key signs without services.
func (p pen) notes(ctx context.Context, data []byte) (map[string]string, error) {
	if p.certificate == nil {
		signature, _, err := p.pair.SignData(ctx, data)
		if err != nil {
			return nil, err
		}
		return map[string]string{verify.SignatureNote: base64.StdEncoding.EncodeToString(signature)}, nil
	}
	made, err := p.bundle(ctx, &sign.PlainData{Data: data})
	if err != nil {
		return nil, err
	}
	notes := map[string]string{
		verify.SignatureNote:            base64.StdEncoding.EncodeToString(made.GetMessageSignature().GetSignature()),
		static.CertificateAnnotationKey: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate})),
	}
	return notes, addEvidence(notes, made.GetVerificationMaterial())
}

// addEvidence puts a log entry of Rekor v1 and a timestamp in cosign 2's words.
func addEvidence(notes map[string]string, material *pb.VerificationMaterial) error {
	add := func(key string, value any) error {
		data, err := json.Marshal(value)
		notes[key] = string(data)
		return err
	}
	for _, entry := range material.GetTlogEntries() {
		if err := add(static.BundleAnnotationKey, cosignbundle.RekorBundle{
			SignedEntryTimestamp: entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			Payload: cosignbundle.RekorPayload{
				Body:           entry.GetCanonicalizedBody(),
				IntegratedTime: entry.GetIntegratedTime(),
				LogIndex:       entry.GetLogIndex(),
				LogID:          hex.EncodeToString(entry.GetLogId().GetKeyId()),
			},
		}); err != nil {
			return err
		}
	}
	for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		if err := add(static.RFC3161TimestampAnnotationKey, cosignbundle.RFC3161Timestamp{SignedRFC3161Timestamp: stamp.GetSignedTimestamp()}); err != nil {
			return err
		}
	}
	return nil
}

// configOf is the image config that cosign 2 writes beside signatures: layers are
// not compressed, so they are their own diff IDs.
func configOf(layers []ocispec.Descriptor) []byte {
	type history struct {
		Created time.Time `json:"created"`
	}
	config := struct {
		Architecture string    `json:"architecture"`
		Created      time.Time `json:"created"`
		History      []history `json:"history"`
		OS           string    `json:"os"`
		RootFS       struct {
			Type    string          `json:"type"`
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
		Config struct{} `json:"config"`
	}{History: make([]history, len(layers))}
	config.RootFS.Type = "layers"
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	data, _ := json.Marshal(config) // plain data: it always encodes
	return data
}
