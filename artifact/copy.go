package artifact

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

const (
	maxCopied        = 20_000    // manifests in one copy
	maxNesting       = 4         // indexes in indexes, and referrers of referrers
	maxReferrerBytes = 64 << 20  // of one referrer's blobs
	maxReferredBytes = 512 << 20 // of the blobs of all referrers
	maxDescribed     = 2 << 20   // of types and annotations of all referrers: an index repeats them
	maxType          = 255       // of an artifact type, as RFC 6838 has it
	parallelBlobs    = 4
	blobAttempts     = 3
)

// Copied is what a copy did. What was there already is not counted.
type Copied struct {
	Digest      digest.Digest `json:"digest"`
	Referrers   int           `json:"referrers"` // that the copy has, signatures under tags included
	Manifests   int           `json:"manifests"`
	Blobs       int           `json:"blobs"`
	Bytes       int64         `json:"bytes"`                 // of blobs
	Skipped     []Skipped     `json:"skipped,omitempty"`     // referrers that are over a limit, or not what they say they are
	SkippedMore int           `json:"skippedMore,omitempty"` // that Skipped has no room for
}

// Skipped is a manifest that was left out.
type Skipped struct {
	Digest digest.Digest `json:"digest"`
	Why    string        `json:"why"` // with a stranger's words in it, quoted
}

// CopyOptions say more about a copy. The zero value gives the copy no tag.
type CopyOptions struct {
	Tags     []string
	Progress func(step string) // may be nil
}

// Copy copies the manifest at reference (a tag, a digest, or empty for the one
// release of a layout), all that it names, and all that refers to it: by the
// referrers API or the tag that stands in for it, and by cosign's tags. Blobs pass
// through without being held in memory, and are held against their digests. What
// is there already is passed over, so that a copy that broke off can be repeated.
// Tags move last.
func Copy(ctx context.Context, from Place, reference string, to Place, o CopyOptions) (Copied, error) {
	c := &copier{from: from, to: to, progress: o.Progress}
	if c.progress == nil {
		c.progress = func(string) {}
	}
	root, err := c.read(ctx, reference)
	if err != nil {
		return Copied{}, err
	}
	c.done.Digest = root.desc.Digest
	if err := c.store(ctx, root, false); err != nil {
		return c.done, err
	}
	if err := c.referrersOf(ctx, root.desc.Digest, 1); err != nil {
		return c.done, err
	}
	if err := c.cosignTags(ctx, root.desc.Digest); err != nil {
		return c.done, err
	}
	for _, tag := range o.Tags {
		if err := to.putManifest(ctx, root.desc, root.data, tag); err != nil {
			return c.done, err
		}
	}
	return c.done, nil
}

type copier struct {
	from, to  Place
	progress  func(string)
	done      Copied
	seen      int   // manifests
	lists     int   // of referrers
	referred  int64 // bytes of referrers' blobs
	described int   // bytes of referrers' types and annotations
}

// node is a manifest or an index as it is copied: its bytes stay as they are.
type node struct {
	desc     ocispec.Descriptor
	data     []byte
	blobs    []ocispec.Descriptor
	children []ocispec.Descriptor
	subject  digest.Digest // empty: none
}

// read reads and checks one manifest.
func (c *copier) read(ctx context.Context, reference string) (node, error) {
	return c.readAs(ctx, reference, "")
}

// readAs is for a manifest of which an index says what it is: older ones do not say
// it themselves, and a folder does not.
func (c *copier) readAs(ctx context.Context, reference, mediaType string) (node, error) {
	if c.seen++; c.seen > maxCopied {
		return node{}, fmt.Errorf("copying from %s: more than %d manifests: %w", c.from, maxCopied, ErrLimit)
	}
	data, contentType, err := c.from.manifest(ctx, reference)
	if err != nil {
		return node{}, err
	}
	act := fmt.Sprintf("reading the manifest %s of %s", clip(reference), c.from)
	got := digest.FromBytes(data)
	if d := digest.Digest(reference); checkDigest(d) == nil && got != d {
		return node{}, fmt.Errorf("%s: its bytes have the digest %s: %w", act, got, ErrCorrupt)
	}
	n, err := parseNode(data, orDefault(contentType, mediaType))
	if err != nil {
		return node{}, fmt.Errorf("%s: %w", act, corrupt(err))
	}
	return n, nil
}

// nodeManifest is what a copy has to know of an image manifest or an index.
type nodeManifest struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	ArtifactType  string               `json:"artifactType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

func parseNode(data []byte, contentType string) (node, error) {
	if _, err := parseImageManifest(data, contentType); err != nil {
		return node{}, err
	}
	var m nodeManifest
	if err := unmarshal(data, &m); err != nil {
		return node{}, err
	}
	n := node{data: data, children: m.Manifests, desc: describe(orDefault(m.MediaType, contentType), data)}
	if err := checkAnnotations(m.Annotations); err != nil {
		return node{}, err
	}
	n.desc.ArtifactType, n.desc.Annotations = m.ArtifactType, m.Annotations
	if m.Config != nil {
		n.desc.ArtifactType = orDefault(m.ArtifactType, m.Config.MediaType)
		n.blobs = append(n.blobs, *m.Config)
	}
	if len(n.desc.ArtifactType) > maxType {
		return node{}, fmt.Errorf("its artifact type has %d bytes, more than %d: %w", len(n.desc.ArtifactType), maxType, ErrLimit)
	}
	if m.Subject != nil {
		n.subject = m.Subject.Digest
	}
	for _, layer := range m.Layers {
		if len(layer.URLs) == 0 { // those of Windows may not be redistributed
			n.blobs = append(n.blobs, layer)
		}
	}
	for _, desc := range slices.Concat(n.blobs, n.children) {
		if err := checkDescriptor(desc); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// store writes what n names, and then n.
func (c *copier) store(ctx context.Context, n node, nested bool) error {
	there, err := c.to.hasManifest(ctx, n.desc, nested)
	if err != nil || there {
		return err
	}
	return c.write(ctx, n, nested, 1)
}

func (c *copier) write(ctx context.Context, n node, nested bool, depth int) error {
	if depth > maxNesting && len(n.children) > 0 {
		return fmt.Errorf("copying %s: indexes are nested more than %d deep: %w", n.desc.Digest, maxNesting, ErrLimit)
	}
	for _, desc := range n.children {
		there, err := c.to.hasManifest(ctx, desc, true)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		child, err := c.readAs(ctx, desc.Digest.String(), desc.MediaType)
		if err != nil {
			return err
		}
		if err := c.write(ctx, child, true, depth+1); err != nil {
			return err
		}
	}
	if err := c.writeBlobs(ctx, n.blobs); err != nil {
		return err
	}
	c.done.Manifests++
	c.progress("copying the manifest " + n.desc.Digest.String())
	if nested {
		return c.to.putNested(ctx, n.desc, n.data)
	}
	return c.to.putManifest(ctx, n.desc, n.data, "")
}

func (c *copier) writeBlobs(ctx context.Context, blobs []ocispec.Descriptor) error {
	sorted := slices.Clone(blobs)
	slices.SortFunc(sorted, func(a, b ocispec.Descriptor) int { return slices.Compare([]byte(a.Digest), []byte(b.Digest)) })
	sorted = slices.CompactFunc(sorted, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
	written := make([]bool, len(sorted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelBlobs)
	for i, desc := range sorted {
		group.Go(func() error {
			var err error
			written[i], err = c.writeBlob(ctx, desc)
			return err
		})
	}
	err := group.Wait()
	for i, desc := range sorted {
		if written[i] {
			c.done.Blobs++
			c.done.Bytes += desc.Size
		}
	}
	return err
}

// writeBlob begins again where either side hung up.
func (c *copier) writeBlob(ctx context.Context, desc ocispec.Descriptor) (written bool, err error) {
	there, err := c.to.hasBlob(ctx, desc)
	if err != nil || there {
		return false, err
	}
	for range blobAttempts {
		if err = c.passBlob(ctx, desc); !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			break
		}
	}
	return err == nil, err
}

func (c *copier) passBlob(ctx context.Context, desc ocispec.Descriptor) error {
	content, err := c.from.blob(ctx, desc)
	if err != nil {
		return err
	}
	defer content.Close()
	return refused(c.to.putBlob(ctx, desc, checked(content, desc)))
}

// refused keeps a destination that is not found from being taken for a source that
// lacks something, which is left out where it is a stranger's.
func refused(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errors.New(err.Error())
	}
	return err
}
