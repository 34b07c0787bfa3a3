package artifact

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Blob is content to be stored.
type Blob struct {
	MediaType string
	Data      []byte
}

// Push stores a release by digest, without a tag. Pushed is false where it was
// there already; then nothing is written.
func (r *Registry) Push(ctx context.Context, repository Repository, p *Package) (ref Ref, pushed bool, err error) {
	ref = repository.At(p.Digest())
	act := "pushing " + ref.String()
	target := r.repository(repository)
	manifest := describe(ocispec.MediaTypeImageManifest, p.Manifest)
	if there, err := target.Manifests().Exists(ctx, manifest); err != nil {
		return Ref{}, false, explain(act, err)
	} else if there {
		return ref, false, nil
	}
	for _, blob := range []Blob{{TypeConfig, p.Config}, {ocispec.MediaTypeImageLayerGzip, p.Layer}} {
		if _, err := r.PutBlob(ctx, repository, blob); err != nil {
			return Ref{}, false, explain(act, err)
		}
	}
	if err := target.Manifests().Push(ctx, manifest, bytes.NewReader(p.Manifest)); err != nil {
		return Ref{}, false, explain(act, err)
	}
	return ref, true, nil
}

// Tag gives the manifest at ref a tag, which it takes from any other manifest.
func (r *Registry) Tag(ctx context.Context, ref Ref, tag string) error {
	m, err := r.Manifest(ctx, ref)
	if err != nil {
		return err
	}
	_, err = r.PutManifest(ctx, ref.Repository, tag, m.MediaType, m.Raw)
	return err
}

// Attach stores layer in a manifest that refers to subject, with an empty config.
// Where the registry has no referrers API, the tag that stands in for it is
// written too. Attaching the same again changes nothing.
func (r *Registry) Attach(ctx context.Context, subject Ref, artifactType string, layer Blob, annotations map[string]string) (ocispec.Descriptor, error) {
	act := "attaching to " + subject.String()
	about, err := r.Manifest(ctx, subject)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	empty := Blob{MediaType: ocispec.MediaTypeEmptyJSON, Data: []byte("{}")}
	for _, blob := range []Blob{empty, layer} {
		if _, err := r.PutBlob(ctx, subject.Repository, blob); err != nil {
			return ocispec.Descriptor{}, explain(act, err)
		}
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       describe(empty.MediaType, empty.Data),
		Layers:       []ocispec.Descriptor{describe(layer.MediaType, layer.Data)},
		Subject:      &ocispec.Descriptor{MediaType: about.MediaType, Digest: subject.Digest, Size: int64(len(about.Raw))},
		Annotations:  annotations,
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%s: %w", act, err)
	}
	desc := describe(ocispec.MediaTypeImageManifest, manifest)
	desc.ArtifactType = artifactType
	desc.Annotations = annotations
	if err := r.repository(subject.Repository).Manifests().Push(ctx, desc, bytes.NewReader(manifest)); err != nil {
		return ocispec.Descriptor{}, explain(act, err)
	}
	return desc, nil
}

// PutManifest stores a manifest under a tag.
func (r *Registry) PutManifest(ctx context.Context, repository Repository, tag, mediaType string, manifest []byte) (Ref, error) {
	desc := describe(mediaType, manifest)
	act := fmt.Sprintf("tagging %s as %s", repository.At(desc.Digest), tag)
	if err := (registry.Reference{Registry: repository.Host, Repository: repository.Path, Reference: tag}).ValidateReferenceAsTag(); err != nil {
		return Ref{}, fmt.Errorf("%s: %q is not a tag", act, tag)
	}
	if err := r.repository(repository).PushReference(ctx, desc, bytes.NewReader(manifest), tag); err != nil {
		return Ref{}, explain(act, err)
	}
	return repository.At(desc.Digest), nil
}

// PutBlob stores a blob, unless it is there.
func (r *Registry) PutBlob(ctx context.Context, repository Repository, blob Blob) (ocispec.Descriptor, error) {
	desc := describe(blob.MediaType, blob.Data)
	act := fmt.Sprintf("writing the blob %s to %s", desc.Digest, repository)
	blobs := r.repository(repository).Blobs()
	there, err := blobs.Exists(ctx, desc)
	if err != nil {
		return ocispec.Descriptor{}, explain(act, err)
	}
	if there {
		return desc, nil
	}
	if err := blobs.Push(ctx, desc, bytes.NewReader(blob.Data)); err != nil {
		return ocispec.Descriptor{}, explain(act, err)
	}
	return desc, nil
}

// repository is kept, because it remembers whether there is a referrers API.
func (r *Registry) repository(repository Repository) *remote.Repository {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.repositories[repository] == nil {
		r.repositories[repository] = &remote.Repository{
			Client:           r.client,
			Reference:        registry.Reference{Registry: repository.Host, Repository: repository.Path},
			PlainHTTP:        r.speaksPlain(repository.Host),
			MaxMetadataBytes: maxManifest,
			SkipReferrersGC:  true, // an index that is left behind hurts nobody; many registries refuse to delete
		}
	}
	return r.repositories[repository]
}
