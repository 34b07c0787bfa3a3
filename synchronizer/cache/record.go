package cache

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// Recorder reads a release from a registry, and remembers what it read.
type Recorder struct {
	verify.Registry
	cache *Cache
	ref   artifact.Ref

	mu     sync.Mutex
	record record
	at     map[digest.Digest][]byte
}

// Record reads ref from a registry, for Deliveries of a namespace. Nothing is kept
// before Keep.
func (c *Cache) Record(namespace string, ref artifact.Ref, from verify.Registry) *Recorder {
	return &Recorder{Registry: from, cache: c, ref: ref, at: map[digest.Digest][]byte{}, record: record{
		Namespace: namespace, Release: ref.String(), Referrers: map[string][]ocispec.Descriptor{}, Tags: map[string]digest.Digest{}}}
}

// Keep stores what was read, of a release that was verified, beside what is known of it
// for the namespace. It stores nothing where neither holds all that the release needs.
func (r *Recorder) Keep() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[r.ref.Digest] == nil || len(r.record.Referrers)+len(r.record.Tags) == 0 {
		return nil // the verdict was known already
	}
	m, err := artifact.ReadManifest(r.ref, r.at[r.ref.Digest])
	if err != nil {
		return err
	}
	content := slices.Collect(maps.Keys(r.at))
	for _, layer := range m.Layers {
		content = append(content, layer.Digest)
	}
	if m.Config.MediaType == artifact.TypeConfig {
		content = append(content, m.Config.Digest)
	}
	if before, found := r.cache.find(r.record.Namespace, r.ref); found {
		for key, found := range before.Referrers {
			if _, newer := r.record.Referrers[key]; !newer {
				r.record.Referrers[key] = found
			}
		}
		maps.Copy(before.Tags, r.record.Tags)
		r.record.Tags = before.Tags
		content = append(content, slices.DeleteFunc(before.Content, func(d digest.Digest) bool { return !r.cache.has(d) })...)
	}
	slices.Sort(content)
	r.record.Content = slices.Compact(content)
	return r.cache.keep(r.record, r.at)
}

// Manifest implements verify.Registry.
func (r *Recorder) Manifest(ctx context.Context, ref artifact.Ref) (artifact.Manifest, error) {
	m, err := r.Registry.Manifest(ctx, ref)
	if err == nil {
		r.note(func() { r.at[ref.Digest] = m.Raw })
	}
	return m, err
}

// Blob implements verify.Registry.
func (r *Recorder) Blob(ctx context.Context, repository artifact.Repository, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := r.Registry.Blob(ctx, repository, desc, limit)
	if err == nil {
		r.note(func() { r.at[desc.Digest] = data })
	}
	return data, err
}

// Referrers implements verify.Registry.
func (r *Recorder) Referrers(ctx context.Context, ref artifact.Ref, artifactType string, limit int) ([]ocispec.Descriptor, error) {
	found, err := r.Registry.Referrers(ctx, ref, artifactType, limit)
	if err == nil {
		r.note(func() { r.record.Referrers[referrersKey(ref, artifactType)] = found })
	}
	return found, err
}

// Resolve implements verify.Registry.
func (r *Recorder) Resolve(ctx context.Context, repository artifact.Repository, tag string) (artifact.Ref, error) {
	ref, err := r.Registry.Resolve(ctx, repository, tag)
	if err == nil {
		r.note(func() { r.record.Tags[tag] = ref.Digest })
	}
	return ref, err
}

func (r *Recorder) note(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

func referrersKey(ref artifact.Ref, artifactType string) string {
	return ref.Digest.String() + " " + artifactType
}

// Reader answers from what was kept of one release. What it does not know is
// artifact.ErrUnavailable: it may exist.
type Reader struct {
	cache  *Cache
	record record
	ref    artifact.Ref
}

// Recall finds what was kept of a release, read by a Delivery of the same namespace.
func (c *Cache) Recall(namespace string, ref artifact.Ref) (*Reader, bool) {
	r, found := c.find(namespace, ref)
	return &Reader{cache: c, record: r, ref: ref}, found
}

// read gives content that belongs to the release.
func (r *Reader) read(repository artifact.Repository, d digest.Digest, limit int64) ([]byte, error) {
	if repository != r.ref.Repository || !slices.Contains(r.record.Content, d) {
		return nil, r.miss(d.String())
	}
	data, err := r.cache.content(d, limit)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", r.miss(d.String()), err)
	}
	return data, nil
}

func (r *Reader) miss(what string) error {
	return fmt.Errorf("reading %s from the cache: %w", what, artifact.ErrUnavailable)
}

// Manifest implements verify.Registry.
func (r *Reader) Manifest(_ context.Context, ref artifact.Ref) (artifact.Manifest, error) {
	data, err := r.read(ref.Repository, ref.Digest, artifact.MaxManifest)
	if err != nil {
		return artifact.Manifest{}, err
	}
	return artifact.ReadManifest(ref, data)
}

// Blob implements verify.Registry.
func (r *Reader) Blob(_ context.Context, repository artifact.Repository, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := r.read(repository, desc.Digest, min(limit, desc.Size))
	if err == nil && int64(len(data)) != desc.Size {
		return nil, r.miss(desc.Digest.String())
	}
	return data, err
}

// Referrers implements verify.Registry.
func (r *Reader) Referrers(_ context.Context, ref artifact.Ref, artifactType string, limit int) ([]ocispec.Descriptor, error) {
	found, known := r.record.Referrers[referrersKey(ref, artifactType)]
	if !known || ref.Repository != r.ref.Repository || len(found) > limit {
		return nil, r.miss("the referrers of " + ref.String())
	}
	copied := slices.Clone(found)
	for i := range copied {
		copied[i].Annotations = maps.Clone(copied[i].Annotations)
	}
	return copied, nil
}

// Resolve implements verify.Registry. It knows the tags of signatures only: which
// release a tag stands for is the registry's to say.
func (r *Reader) Resolve(_ context.Context, repository artifact.Repository, tag string) (artifact.Ref, error) {
	d, known := r.record.Tags[tag]
	if !known || repository != r.ref.Repository {
		return artifact.Ref{}, r.miss("the tag " + tag)
	}
	return repository.At(d), nil
}
