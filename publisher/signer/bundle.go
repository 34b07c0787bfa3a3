package signer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// maxBundleBytes is the size of the largest attestation that verification reads.
const maxBundleBytes = 1 << 20

// statement is an in-toto statement v1,
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     any       `json:"predicate"`
}

type subject struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations *struct{}         `json:"annotations,omitempty"`
}

func digestOf(ref artifact.Ref) map[string]string {
	return map[string]string{ref.Digest.Algorithm().String(): ref.Digest.Encoded()}
}

// writeBundle attaches a signature as a Sigstore bundle, as cosign 3 does.
func (s *Signer) writeBundle(ctx context.Context, ref artifact.Ref, p pen) error {
	return s.attach(ctx, ref, p, statement{
		Type:          verify.StatementType,
		Subject:       []subject{{Digest: digestOf(ref), Annotations: &struct{}{}}},
		PredicateType: verify.PredicateType,
		Predicate:     struct{}{},
	})
}

// attach signs a statement and attaches it as a Sigstore bundle.
func (s *Signer) attach(ctx context.Context, ref artifact.Ref, p pen, about statement) error {
	signed, err := json.Marshal(about)
	if err != nil {
		return err
	}
	made, err := p.bundle(ctx, &sign.DSSEData{Data: signed, PayloadType: verify.PayloadType})
	if err != nil {
		return err
	}
	wrapped, err := bundle.NewBundle(made)
	if err != nil {
		return fmt.Errorf("checking the bundle: %w", err)
	}
	data, err := wrapped.MarshalJSON()
	if err != nil {
		return err
	}
	if len(data) > maxBundleBytes {
		return fmt.Errorf("the bundle has %d bytes, more than the limit of %d that is read", len(data), maxBundleBytes)
	}
	_, err = s.registry.Attach(ctx, ref, verify.BundleType, artifact.Blob{MediaType: verify.BundleType, Data: data}, map[string]string{
		ocispec.AnnotationCreated:     time.Now().UTC().Format(time.RFC3339),
		"dev.sigstore.bundle.content": "dsse-envelope",
		verify.PredicateTypeNote:      about.PredicateType,
	})
	return err
}
