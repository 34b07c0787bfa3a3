package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxPlatforms = 128 // of one image
	dockerHub    = "docker.io"
)

// ParseImage reads a container image reference as manifests have it: a name
// without a host is Docker Hub's, one without a path there is in library/. A
// name with neither tag nor digest has the tag latest.
func ParseImage(written string) (Address, error) {
	name := written
	first, rest, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" {
		first, rest = dockerHub, name
	}
	if strings.Contains(written, "://") {
		return Address{}, fmt.Errorf("image %q: a scheme has no place in it", clip(written))
	}
	if hostOf(first) == dockerHub {
		first = dockerHub
		if !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
	}
	a, err := ParseAddress(first + "/" + rest)
	if tagged, _, _ := strings.Cut(rest, "@"); err != nil || strings.HasSuffix(tagged, ":") {
		return Address{}, fmt.Errorf("image %q: it is no image reference", clip(written))
	}
	if a.Tag == "" && a.Digest == "" {
		a.Tag = "latest"
	}
	return a, nil
}

// Image resolves a container image, written as in a manifest, to its digest and
// platforms. Name, Tag and Digest stay as they are written; a digest that is
// written is asked for, whatever the tag names by now. Platforms are
// OS/ARCHITECTURE[/VARIANT], sorted; none for an image that does not tell.
func (r *Registry) Image(ctx context.Context, written string) (Image, error) {
	a, err := ParseImage(written)
	if err != nil {
		return Image{}, err
	}
	act := fmt.Sprintf("resolving the image %q", clip(written))
	reference := a.Tag
	if a.Digest != "" {
		reference = a.Digest.String()
	}
	data, response, err := r.get(ctx, a.Repository, r.manifestURL(a.Repository, reference), maxManifest)
	if err != nil {
		return Image{}, explain(act, err)
	}
	got := digest.FromBytes(data)
	if a.Digest != "" && got != a.Digest {
		return Image{}, explain(act, fmt.Errorf("its manifest's bytes have the digest %s: %w", got, ErrCorrupt))
	}
	image := parseImage(written)
	image.Digest = got.String()
	if image.Platforms, err = r.platforms(ctx, a.Repository, data, response.Header.Get("Content-Type")); err != nil {
		return Image{}, explain(act, err)
	}
	return image, nil
}

// imageManifest is what tells an image's platforms. Layers are not read: those of
// Windows lie elsewhere, which is for the runtime to judge.
type imageManifest struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Layers        json.RawMessage      `json:"layers"`
}

func (r *Registry) platforms(ctx context.Context, repository Repository, data []byte, contentType string) ([]string, error) {
	m, err := parseImageManifest(data, contentType)
	if err != nil {
		return nil, corrupt(err)
	}
	if m.Config == nil {
		return platformsOf(m.Manifests)
	}
	switch m.Config.MediaType {
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
	default:
		return nil, nil
	}
	config, err := r.Blob(ctx, repository, *m.Config, DefaultLimits().Config)
	if err != nil {
		return nil, err
	}
	var own ocispec.Platform
	if err := unmarshal(config, &own); err != nil {
		return nil, corrupt(fmt.Errorf("its config: %w", err))
	}
	return platformsOf([]ocispec.Descriptor{{Platform: &own}})
}

// parseImageManifest reads an image manifest or an index, of OCI or of Docker.
// Older OCI ones do not say of themselves what they are.
func parseImageManifest(data []byte, contentType string) (imageManifest, error) {
	var m imageManifest
	if err := unmarshal(data, &m); err != nil {
		return m, err
	}
	kind := m.MediaType
	if kind == "" {
		kind, _, _ = strings.Cut(contentType, ";")
	}
	isIndex := kind == ocispec.MediaTypeImageIndex || kind == typeDockerList
	switch {
	case m.SchemaVersion != 2:
		return m, fmt.Errorf("its schema version is %d, not 2", m.SchemaVersion)
	case !isIndex && kind != ocispec.MediaTypeImageManifest && kind != typeDockerManifest:
		return m, fmt.Errorf("its media type is %q, not an image's", clip(kind))
	case isIndex && (m.Config != nil || m.Layers != nil), !isIndex && m.Manifests != nil:
		return m, errors.New("it is an image and an index in one document")
	case !isIndex && m.Config == nil:
		return m, errors.New("it has no config")
	}
	return m, nil
}

var platformPart = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// platformsOf leaves out what is not an image: attestations have the platform
// unknown/unknown.
func platformsOf(images []ocispec.Descriptor) ([]string, error) {
	var found []string
	for _, image := range images {
		p := image.Platform
		if p == nil || p.OS == "" || p.OS == "unknown" {
			continue
		}
		parts := []string{p.OS, p.Architecture}
		if p.Variant != "" {
			parts = append(parts, p.Variant)
		}
		name := strings.Join(parts, "/")
		for _, part := range parts {
			if !platformPart.MatchString(part) {
				return nil, corrupt(fmt.Errorf("%q is no platform", clip(name)))
			}
		}
		found = append(found, name)
	}
	slices.Sort(found)
	if found = slices.Compact(found); len(found) > maxPlatforms {
		return nil, fmt.Errorf("%d platforms are more than %d: %w", len(found), maxPlatforms, ErrLimit)
	}
	return found, nil
}
