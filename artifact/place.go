package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxReferrers is how many referrers of one manifest are copied, as many as
// verification looks at.
const maxReferrers = 10_000

// Place is where manifests and their blobs are copied from and to: a repository
// of a registry, or an image layout on disk.
type Place interface {
	String() string
	source
	target
}

type source interface {
	// manifest reads an image manifest or an index, by tag or by digest. Its bytes
	// are not held against the digest yet.
	manifest(ctx context.Context, reference string) (data []byte, contentType string, err error)
	// blob opens what desc describes; its bytes are not held against the digest yet.
	blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	referrers(ctx context.Context, to digest.Digest) ([]ocispec.Descriptor, error)
}

type target interface {
	hasBlob(ctx context.Context, desc ocispec.Descriptor) (bool, error)
	putBlob(ctx context.Context, desc ocispec.Descriptor, content io.Reader) error
	// hasManifest says that a manifest is there, with what it names; nested is one
	// that an index names.
	hasManifest(ctx context.Context, desc ocispec.Descriptor, nested bool) (bool, error)
	// putManifest stores a manifest under its digest; and, unless tag is empty, under that.
	putManifest(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string) error
	putNested(ctx context.Context, desc ocispec.Descriptor, data []byte) error
}

// In is a repository as a Place to copy from and to.
func (r *Registry) In(repository Repository) Place {
	return &repositoryPlace{registry: r, repository: repository}
}

type repositoryPlace struct {
	registry   *Registry
	repository Repository
}

func (p *repositoryPlace) String() string { return p.repository.String() }

func (p *repositoryPlace) manifest(ctx context.Context, reference string) ([]byte, string, error) {
	data, response, err := p.registry.get(ctx, p.repository, p.registry.manifestURL(p.repository, reference), maxManifest)
	if err != nil {
		return nil, "", explain(fmt.Sprintf("reading the manifest %s of %s", clip(reference), p), err)
	}
	return data, response.Header.Get("Content-Type"), nil
}

func (p *repositoryPlace) blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	response, err := p.registry.do(ctx, http.MethodGet, p.repository, p.registry.url(p.repository, "blobs", desc.Digest.String()))
	if err != nil {
		return nil, explain(fmt.Sprintf("reading the blob %s of %s", desc.Digest, p), err)
	}
	return response.Body, nil
}

func (p *repositoryPlace) referrers(ctx context.Context, to digest.Digest) ([]ocispec.Descriptor, error) {
	return p.registry.Referrers(ctx, p.repository.At(to), "", maxReferrers)
}

func (p *repositoryPlace) hasBlob(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	there, err := p.registry.repository(p.repository).Blobs().Exists(ctx, desc)
	return there, explain(fmt.Sprintf("looking for the blob %s in %s", desc.Digest, p), err)
}

func (p *repositoryPlace) putBlob(ctx context.Context, desc ocispec.Descriptor, content io.Reader) error {
	err := p.registry.repository(p.repository).Blobs().Push(ctx, desc, content)
	return explain(fmt.Sprintf("writing the blob %s to %s", desc.Digest, p), err)
}

func (p *repositoryPlace) hasManifest(ctx context.Context, desc ocispec.Descriptor, _ bool) (bool, error) {
	there, err := p.registry.repository(p.repository).Manifests().Exists(ctx, desc)
	return there, explain(fmt.Sprintf("looking for the manifest %s in %s", desc.Digest, p), err)
}

func (p *repositoryPlace) putNested(ctx context.Context, desc ocispec.Descriptor, data []byte) error {
	return p.putManifest(ctx, desc, data, "")
}

// putManifest also writes the tag that stands in for the referrers API, where
// the manifest has a subject and the registry has none.
func (p *repositoryPlace) putManifest(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string) error {
	if tag != "" {
		_, err := p.registry.PutManifest(ctx, p.repository, tag, desc.MediaType, data)
		return err
	}
	err := p.registry.repository(p.repository).Manifests().Push(ctx, desc, bytes.NewReader(data))
	return explain(fmt.Sprintf("writing the manifest %s to %s", desc.Digest, p), err)
}

// checkedReader ends with an error unless its bytes are what desc describes. It keeps
// the last ones back until that is known, so that nobody has them all otherwise.
type checkedReader struct {
	from io.Reader
	desc ocispec.Descriptor
	hash digest.Digester
	read int64
}

func checked(from io.Reader, desc ocispec.Descriptor) *checkedReader {
	return &checkedReader{from: io.LimitReader(from, desc.Size+1), desc: desc, hash: digest.SHA256.Digester()}
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	_, _ = c.hash.Hash().Write(p[:n]) // a hash takes everything
	c.read += int64(n)
	if err == nil && c.read == c.desc.Size {
		err = c.end()
	}
	switch {
	case c.read > c.desc.Size:
		return 0, fmt.Errorf("the blob %s has more bytes than the %d declared: %w", c.desc.Digest, c.desc.Size, ErrCorrupt)
	case err != nil && !errors.Is(err, io.EOF):
		return 0, err
	case err != nil && c.read < c.desc.Size:
		return 0, fmt.Errorf("the blob %s has %d bytes instead of the %d declared: %w", c.desc.Digest, c.read, c.desc.Size, ErrCorrupt)
	case c.read == c.desc.Size && c.hash.Digest() != c.desc.Digest:
		return 0, fmt.Errorf("the bytes of the blob %s have the digest %s: %w", c.desc.Digest, c.hash.Digest(), ErrCorrupt)
	}
	return n, err
}

// end is io.EOF where nothing follows: a writer who counts does not ask again after the
// last byte that was declared.
func (c *checkedReader) end() error {
	var next [1]byte
	n, err := io.ReadFull(c.from, next[:])
	c.read += int64(n)
	return err
}
