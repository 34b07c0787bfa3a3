// Package signer signs releases with a key, as cosign 3 and cosign 2 do.
package signer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"

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

// Signer signs releases in a registry with one key.
type Signer struct {
	key      *Key
	registry Registry
}

// New returns a Signer.
func New(key *Key, registry Registry) *Signer { return &Signer{key: key, registry: registry} }

// Sign signs ref in both formats, the bundle first. A format in which the key has
// signed already is left as it is, so that signing again changes nothing; wrote says
// whether one was missing.
func (s *Signer) Sign(ctx context.Context, ref artifact.Ref) (wrote bool, err error) {
	for _, format := range []struct {
		name  policy.Format
		write func(context.Context, artifact.Ref) error
	}{{policy.Bundle, s.writeBundle}, {policy.Legacy, s.writeLegacy}} {
		done, err := verify.SignedBy(ctx, s.registry, ref, s.key.public, format.name)
		if err != nil {
			return wrote, fmt.Errorf("signing %s: %w", ref, err)
		}
		if done {
			continue
		}
		if err := format.write(ctx, ref); err != nil {
			return wrote, fmt.Errorf("signing %s in the format %s: %w", ref, format.name, err)
		}
		wrote = true
	}
	return wrote, nil
}

type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     struct{}  `json:"predicate"`
}

type subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations struct{}          `json:"annotations"`
}

// writeBundle attaches a Sigstore bundle as a referrer, as cosign 3 does.
func (s *Signer) writeBundle(ctx context.Context, ref artifact.Ref) error {
	signed, err := json.Marshal(statement{
		Type:          verify.StatementType,
		Subject:       []subject{{Digest: map[string]string{ref.Digest.Algorithm().String(): ref.Digest.Encoded()}}},
		PredicateType: verify.PredicateType,
	})
	if err != nil {
		return err
	}
	content := &sign.DSSEData{Data: signed, PayloadType: verify.PayloadType}
	made, err := sign.Bundle(content, keypair{s.key}, sign.BundleOptions{Context: ctx})
	if err != nil {
		return err
	}
	wrapped, err := bundle.NewBundle(made)
	if err != nil {
		return err
	}
	data, err := wrapped.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = s.registry.Attach(ctx, ref, verify.BundleType, artifact.Blob{MediaType: verify.BundleType, Data: data}, map[string]string{
		ocispec.AnnotationCreated:     time.Now().UTC().Format(time.RFC3339),
		"dev.sigstore.bundle.content": "dsse-envelope",
		verify.PredicateTypeNote:      verify.PredicateType,
	})
	return err
}

// writeLegacy adds a layer to the signature manifest, as cosign 2 does. The
// signatures of others stay.
func (s *Signer) writeLegacy(ctx context.Context, ref artifact.Ref) error {
	layers, err := s.signatures(ctx, ref)
	if err != nil {
		return err
	}
	layer, err := s.signPayload(ctx, ref)
	if err != nil {
		return err
	}
	layers = append(layers, layer)
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
	tag := verify.LegacyTag(ref.Digest)
	if len(manifest.Layers) == 0 {
		return nil, fmt.Errorf("the tag %s holds something else than signatures; hint: delete the tag", tag)
	}
	if len(manifest.Layers) >= verify.MaxSignatures {
		return nil, fmt.Errorf("the tag %s holds %d signatures, and the limit is %d; hint: delete the tag, or have its signers sign in the format bundle",
			tag, len(manifest.Layers), verify.MaxSignatures)
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
func (s *Signer) signPayload(ctx context.Context, ref artifact.Ref) (ocispec.Descriptor, error) {
	var p payload
	p.Critical.Identity.Reference = ref.Repository.String()
	p.Critical.Image.Digest = ref.Digest
	p.Critical.Type = verify.ClaimType
	data, err := json.Marshal(p)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	signature, err := s.key.sign(ctx, data)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := s.registry.PutBlob(ctx, ref.Repository, artifact.Blob{MediaType: verify.SimpleSigningType, Data: data})
	layer.Annotations = map[string]string{verify.SignatureNote: base64.StdEncoding.EncodeToString(signature)}
	return layer, err
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
