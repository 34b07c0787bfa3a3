// Package inspection tells what is in a release, and what refers to it. It
// verifies nothing: all of it are claims.
package inspection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

const (
	maxReferrers = 1000 // that are listed
	maxExamined  = 100  // signatures that are looked into
	maxBundle    = 256 << 10
)

// Report is what a release says of itself, and what others say of it. Every text
// in it is a stranger's: quote or escape it when printing.
type Report struct {
	Reference    string                 `json:"reference"`
	Digest       digest.Digest          `json:"digest"`
	Verified     bool                   `json:"verified"` // always false: ask verify
	MediaType    string                 `json:"mediaType"`
	ArtifactType string                 `json:"artifactType,omitempty"`
	Size         int64                  `json:"size"` // bytes of the layers as they are stored
	Statement    artifact.Statement     `json:"statement"`
	Environments []artifact.Environment `json:"environments,omitempty"`
	Images       []artifact.Image       `json:"images,omitempty"`
	Signatures   []Signature            `json:"signatures"`
	Referrers    []Referrer             `json:"referrers"` // signatures in the bundle format among them
	Problems     []string               `json:"problems,omitempty"`
}

// Signature is something that has a signature's form. Nobody held it against a key.
type Signature struct {
	Format   string        `json:"format"` // bundle or legacy
	Digest   digest.Digest `json:"digest"`
	KeyHint  string        `json:"keyHint,omitempty"`  // what the signer calls its key
	Identity string        `json:"identity,omitempty"` // that the certificate names
	Issuer   string        `json:"issuer,omitempty"`   // that the certificate names
	Problem  string        `json:"problem,omitempty"`  // why it cannot be read
}

// Referrer is a manifest that refers to the release.
type Referrer struct {
	Digest        digest.Digest `json:"digest"`
	ArtifactType  string        `json:"artifactType"`
	PredicateType string        `json:"predicateType,omitempty"` // of an attestation
	Size          int64         `json:"size"`                    // bytes of its manifest
}

// Release reads the release at ref. Only what keeps the manifest from being read
// is an error; all else goes into Problems.
func Release(ctx context.Context, registry *artifact.Registry, ref artifact.Ref) (Report, error) {
	m, err := registry.Manifest(ctx, ref)
	if err != nil {
		return Report{}, err
	}
	r := Report{Reference: ref.String(), Digest: ref.Digest, MediaType: m.MediaType, ArtifactType: m.ArtifactType,
		Signatures: []Signature{}, Referrers: []Referrer{}}
	for _, layer := range m.Layers {
		r.Size += layer.Size
	}
	if r.Statement, err = artifact.ParseStatement(m.Annotations); err != nil {
		r.problem("the release statement", err)
	}
	if m.Config.MediaType == artifact.TypeConfig {
		_, config, err := artifact.ReadConfig(ctx, registry.In(ref.Repository), ref.Digest.String())
		r.problem("the config", err)
		r.Environments, r.Images = config.Environments, config.Images
	}
	r.referrers(ctx, registry, ref)
	r.legacy(ctx, registry, ref)
	return r, ctx.Err()
}

func (r *Report) problem(what string, err error) {
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", what, err))
	}
}

func (r *Report) referrers(ctx context.Context, registry *artifact.Registry, ref artifact.Ref) {
	found, err := registry.Referrers(ctx, ref, "", maxReferrers)
	r.problem("the referrers", err)
	slices.SortFunc(found, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) }) // registries have no order
	for _, desc := range found {
		one := Referrer{Digest: desc.Digest, ArtifactType: desc.ArtifactType, PredicateType: desc.Annotations[verify.PredicateTypeNote], Size: desc.Size}
		if mayBeBundle(desc.ArtifactType) && len(r.Signatures) < maxExamined {
			claim, isBundle := readBundle(ctx, registry, ref, desc.Digest)
			if isBundle && (claim.predicate == verify.PredicateType || claim.Problem != "") {
				r.Signatures = append(r.Signatures, claim.Signature)
			}
			one.PredicateType = orElse(claim.predicate, one.PredicateType)
			one.ArtifactType = orElse(claim.artifactType, one.ArtifactType)
		}
		r.Referrers = append(r.Referrers, one)
	}
}

// mayBeBundle also takes what registries write that do not know the type, or give
// the config's.
func mayBeBundle(artifactType string) bool {
	return artifactType == verify.BundleType || artifactType == "" || artifactType == ocispec.MediaTypeEmptyJSON
}

// claim is a bundle as it describes itself.
type claim struct {
	Signature
	artifactType string
	predicate    string
}

func readBundle(ctx context.Context, registry *artifact.Registry, ref artifact.Ref, at digest.Digest) (claim, bool) {
	c := claim{Signature: Signature{Format: "bundle", Digest: at}}
	m, err := registry.Manifest(ctx, ref.Repository.At(at))
	c.artifactType = m.ArtifactType
	switch {
	case err != nil:
		c.Problem = err.Error()
		return c, true
	case m.ArtifactType != verify.BundleType:
		return c, false
	case m.Subject == nil || m.Subject.Digest != ref.Digest:
		c.Problem = "it refers to something else"
		return c, true
	case len(m.Layers) != 1:
		c.Problem = fmt.Sprintf("it has %d layers, not one", len(m.Layers))
		return c, true
	}
	data, err := registry.Blob(ctx, ref.Repository, m.Layers[0], maxBundle)
	if err == nil {
		err = c.read(data)
	}
	if err != nil {
		c.Problem = err.Error()
	}
	return c, true
}

// legacy lists the signatures under cosign 2's tag.
func (r *Report) legacy(ctx context.Context, registry *artifact.Registry, ref artifact.Ref) {
	at, err := registry.Resolve(ctx, ref.Repository, verify.LegacyTag(ref.Digest))
	if errors.Is(err, artifact.ErrNotFound) {
		return
	}
	var m artifact.Manifest
	if err == nil {
		m, err = registry.Manifest(ctx, at)
	}
	if err != nil {
		r.problem("the signatures of the legacy format", err)
		return
	}
	if len(m.Layers) > maxExamined {
		r.problem("the signatures of the legacy format", fmt.Errorf("of %d, the first %d are listed", len(m.Layers), maxExamined))
	}
	for _, layer := range slices.Clip(m.Layers[:min(len(m.Layers), maxExamined)]) {
		r.Signatures = append(r.Signatures, legacySignature(layer))
	}
}

func legacySignature(layer ocispec.Descriptor) Signature {
	s := Signature{Format: "legacy", Digest: layer.Digest}
	if layer.Annotations[verify.SignatureNote] == "" {
		s.Problem = "it has no annotation " + verify.SignatureNote
	}
	if chain := layer.Annotations["dev.sigstore.cosign/certificate"]; chain != "" {
		if err := s.certificatePEM([]byte(chain)); err != nil {
			s.Problem = err.Error()
		}
	}
	return s
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
