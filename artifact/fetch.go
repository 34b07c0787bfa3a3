package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/internal/objects"
)

// Release is a release, or another's artifact, read from a registry.
type Release struct {
	Ref       Ref
	Statement Statement
	Config    Config         // empty for an artifact of another tool
	Files     []objects.File // sorted by path
}

// Fetch reads and unpacks the release at ref, which the caller has verified. It
// reads what Flux, ORAS and crane push as well: any one layer of tar+gzip.
func (r *Registry) Fetch(ctx context.Context, ref Ref, limits Limits) (*Release, error) {
	return FetchFrom(ctx, r, ref, limits)
}

// Reader gives manifests and blobs whose bytes have the digest that is asked for.
type Reader interface {
	Manifest(ctx context.Context, ref Ref) (Manifest, error)
	Blob(ctx context.Context, repository Repository, desc ocispec.Descriptor, limit int64) ([]byte, error)
}

// FetchFrom is Fetch from wherever r reads.
func FetchFrom(ctx context.Context, r Reader, ref Ref, limits Limits) (*Release, error) {
	m, err := r.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	release := &Release{Ref: ref}
	act := "reading the release " + ref.String()
	layer, err := onlyLayer(m.Layers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	if release.Statement, err = ParseStatement(m.Annotations); err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	if m.Config.MediaType == TypeConfig {
		config, err := r.Blob(ctx, ref.Repository, m.Config, limits.Config)
		if err != nil {
			return nil, err
		}
		if err := unmarshal(config, &release.Config); err != nil {
			return nil, fmt.Errorf("%s: its config: %w", act, err)
		}
	}
	packed, err := r.Blob(ctx, ref.Repository, layer, limits.Layer)
	if err != nil {
		return nil, err
	}
	if release.Files, err = Unpack(bytes.NewReader(packed), limits); err != nil {
		return nil, fmt.Errorf("%s: unpacking its layer: %w", act, err)
	}
	return release, nil
}

// onlyLayer is the one layer of an artifact. With two, readers would disagree
// about which one counts.
func onlyLayer(layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	if len(layers) == 0 {
		return ocispec.Descriptor{}, errors.New("it has no layer")
	}
	if len(layers) > 1 {
		return ocispec.Descriptor{}, fmt.Errorf("it has %d layers, not one", len(layers))
	}
	switch layers[0].MediaType {
	case ocispec.MediaTypeImageLayerGzip,
		"application/vnd.cncf.flux.content.v1.tar+gzip",
		"application/vnd.docker.image.rootfs.diff.tar.gzip":
		return layers[0], nil
	}
	return ocispec.Descriptor{}, fmt.Errorf("its layer has the media type %q, not %q", clip(layers[0].MediaType), ocispec.MediaTypeImageLayerGzip)
}
