package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/internal/strict"
)

const (
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"

	maxAnnotations     = 256       // of one manifest or descriptor
	maxAnnotationBytes = 256 << 10 // of one manifest or descriptor
)

// Manifest is an image manifest whose bytes have the digest that was asked for.
// How many layers it has, and of which types, is for the caller to judge.
type Manifest struct {
	ocispec.Manifest
	Raw []byte // as the registry sent it
}

// Manifest reads the manifest at ref.
func (r *Registry) Manifest(ctx context.Context, ref Ref) (Manifest, error) {
	act := "reading the manifest " + ref.String()
	data, response, err := r.get(ctx, ref.Repository, r.manifestURL(ref.Repository, ref.Digest.String()), maxManifest)
	if err != nil {
		return Manifest{}, explain(act, err)
	}
	return readManifest(act, ref, data, response.Header.Get("Content-Type"))
}

// ReadManifest reads the bytes of the manifest at ref, wherever they were kept. They
// are checked as those of a registry are.
func ReadManifest(ref Ref, data []byte) (Manifest, error) {
	return readManifest("reading the manifest "+ref.String(), ref, data, "")
}

func readManifest(act string, ref Ref, data []byte, contentType string) (Manifest, error) {
	if d := digest.FromBytes(data); d != ref.Digest {
		return Manifest{}, explain(act, fmt.Errorf("its bytes have the digest %s: %w", d, ErrCorrupt))
	}
	m, err := parseManifest(data, contentType)
	if err != nil {
		return Manifest{}, explain(act, corrupt(err))
	}
	return m, nil
}

// shape is what tells an image manifest from an index and from older schemas.
type shape struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     string          `json:"mediaType"`
	Manifests     json.RawMessage `json:"manifests"`
	FSLayers      json.RawMessage `json:"fsLayers"`
	Layers        json.RawMessage `json:"layers"`
	Config        json.RawMessage `json:"config"`
}

func parseManifest(data []byte, contentType string) (Manifest, error) {
	if err := checkType(data, contentType, ocispec.MediaTypeImageManifest, typeDockerManifest); err != nil {
		return Manifest{}, err
	}
	var s shape
	m := Manifest{Raw: data}
	if err := unmarshal(data, &s); err != nil {
		return Manifest{}, err
	}
	if s.Manifests != nil || s.FSLayers != nil {
		return Manifest{}, errors.New("it is an image manifest and something else in one document")
	}
	if err := unmarshal(data, &m.Manifest); err != nil {
		return Manifest{}, err
	}
	if err := checkAnnotations(m.Annotations); err != nil {
		return Manifest{}, err
	}
	for _, desc := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := checkDescriptor(desc); err != nil {
			return Manifest{}, err
		}
		if err := checkAnnotations(desc.Annotations); err != nil {
			return Manifest{}, err
		}
	}
	return m, nil
}

// checkType wants one of types in the document, and in the header if there is one.
func checkType(data []byte, contentType string, types ...string) error {
	var s shape
	if err := unmarshal(data, &s); err != nil {
		return err
	}
	if s.SchemaVersion != 2 {
		return fmt.Errorf("its schema version is %d, not 2", s.SchemaVersion)
	}
	known := false
	for _, t := range types {
		known = known || s.MediaType == t
	}
	if !known {
		return fmt.Errorf("its media type is %q, not %q", clip(s.MediaType), types[0])
	}
	if contentType == "" {
		return nil
	}
	if sent, _, err := mime.ParseMediaType(contentType); err != nil || sent != s.MediaType {
		return fmt.Errorf("it was sent as %q, and says of itself that it is %q", clip(contentType), s.MediaType)
	}
	return nil
}

func checkAnnotations(annotations map[string]string) error {
	if len(annotations) > maxAnnotations {
		return fmt.Errorf("%d annotations are more than %d: %w", len(annotations), maxAnnotations, ErrLimit)
	}
	size := 0
	for key, value := range annotations {
		size += len(key) + len(value)
	}
	if size > maxAnnotationBytes {
		return fmt.Errorf("%d bytes of annotations are more than %d: %w", size, maxAnnotationBytes, ErrLimit)
	}
	return nil
}

// unmarshal reads a document whose reader and signer must agree on every value.
func unmarshal(data []byte, v any) error {
	err := strict.Unmarshal(data, v)
	switch {
	case errors.Is(err, strict.ErrElements):
		return fmt.Errorf("reading JSON: %w: %w", err, ErrLimit)
	case err != nil:
		return fmt.Errorf("reading JSON: %w", err)
	}
	return nil
}
