package artifact

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// referrersOf copies what refers to a manifest. Anybody may attach to it what
// they like: what is over a limit is left out, and told. What refers to something
// that was left out is left out with it.
func (c *copier) referrersOf(ctx context.Context, subject digest.Digest, depth int) error {
	if c.lists++; c.lists > maxCopied {
		return c.tolerate(subject, fmt.Errorf("its referrers: more than %d lists of them: %w", maxCopied, ErrLimit))
	}
	found, err := c.from.referrers(ctx, subject)
	if errors.Is(err, ErrLimit) {
		err = c.tolerate(subject, err)
	}
	if err != nil || len(found) == 0 {
		return err
	}
	there, err := c.to.referrers(ctx, subject)
	if err != nil && !errors.Is(err, ErrLimit) {
		return err
	}
	for _, desc := range found {
		has := slices.ContainsFunc(there, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest })
		if has {
			c.done.Referrers++
		} else if has, err = c.referrer(ctx, subject, desc); err != nil {
			return err
		}
		if !has || depth >= maxNesting {
			continue
		}
		if err := c.referrersOf(ctx, desc.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) referrer(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) (copied bool, err error) {
	n, err := c.read(ctx, desc.Digest.String())
	if err == nil && n.subject != subject {
		err = fmt.Errorf("it refers to something else: %w", ErrCorrupt)
	}
	if err == nil {
		err = c.attached(ctx, n, "")
	}
	return err == nil, c.tolerate(desc.Digest, err)
}

// cosignTags are what cosign appends to the name of a digest where it keeps what
// belongs to it under a tag.
func cosignTags() []string { return []string{".sig", ".att", ".sbom"} }

func (c *copier) cosignTags(ctx context.Context, subject digest.Digest) error {
	for _, suffix := range cosignTags() {
		tag := subject.Algorithm().String() + "-" + subject.Encoded() + suffix
		n, err := c.read(ctx, tag)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		has := false
		if err == nil {
			has, err = c.hasTagged(ctx, n, tag)
		}
		if has {
			c.done.Referrers++
			continue
		}
		if err == nil {
			err = c.attached(ctx, n, tag)
		}
		if err := c.tolerate(n.desc.Digest, err); err != nil {
			return err
		}
	}
	return nil
}

// errKept is about a tag of the destination that holds what would be lost.
var errKept = errors.New("the destination has others under that tag, which stay; hint: sign the copy again")

// hasTagged says that all that n holds is under the tag already. Somebody may have
// signed the copy: no copy takes that away, whoever made the source.
func (c *copier) hasTagged(ctx context.Context, n node, tag string) (bool, error) {
	data, contentType, err := c.to.manifest(ctx, tag)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	there, err := parseNode(data, contentType)
	if err != nil {
		return false, nil // nothing that could be read is lost
	}
	came, stays := entries(n), entries(there)
	missing := func(in map[string]bool) func(string) bool { return func(s string) bool { return !in[s] } }
	switch {
	case n.desc.Digest == there.desc.Digest || !slices.ContainsFunc(slices.Collect(maps.Keys(came)), missing(stays)):
		return true, nil
	case slices.ContainsFunc(slices.Collect(maps.Keys(stays)), missing(came)):
		return false, fmt.Errorf("the tag %s: %w", tag, errKept)
	}
	return false, nil
}

// entries are the layers of a manifest with what is noted at them: two signatures
// of one payload differ in that alone.
func entries(n node) map[string]bool {
	found := map[string]bool{}
	for _, blob := range n.blobs[min(1, len(n.blobs)):] { // the first is the config
		found[fmt.Sprint(blob.Digest, blob.Annotations)] = true
	}
	return found
}

// attached stores a referrer. One under a tag is stored even where it is there:
// the tag may name what was there before.
func (c *copier) attached(ctx context.Context, n node, tag string) error {
	size, described := int64(0), len(n.desc.ArtifactType)
	for key, value := range n.desc.Annotations {
		described += len(key) + len(value)
	}
	for _, blob := range n.blobs {
		size += blob.Size
	}
	switch {
	case len(n.children) > 0:
		return fmt.Errorf("it is an index: %w", ErrCorrupt)
	case size > maxReferrerBytes:
		return fmt.Errorf("it has %d bytes, more than %d: %w", size, maxReferrerBytes, ErrLimit)
	case c.referred+size > maxReferredBytes:
		return fmt.Errorf("all referrers have more than %d bytes: %w", maxReferredBytes, ErrLimit)
	case c.described+described > maxDescribed:
		return fmt.Errorf("all referrers have more than %d bytes of annotations: %w", maxDescribed, ErrLimit)
	}
	c.referred += size
	c.described += described
	if err := c.writeBlobs(ctx, n.blobs); err != nil {
		return err
	}
	if tag == "" {
		c.done.Manifests++
		c.progress("copying the referrer " + n.desc.Digest.String())
	}
	if err := c.to.putManifest(ctx, n.desc, n.data, tag); err != nil {
		return refused(err)
	}
	c.done.Referrers++
	return nil
}

// tolerate notes what is wrong with a referrer; what is wrong with a registry is
// an error still.
func (c *copier) tolerate(d digest.Digest, err error) error {
	if err == nil || !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLimit) && !errors.Is(err, ErrNotFound) && !errors.Is(err, errKept) {
		return err
	}
	const most = 100
	if len(c.done.Skipped) == most {
		c.done.SkippedMore++
		return nil
	}
	c.done.Skipped = append(c.done.Skipped, Skipped{Digest: d, Why: err.Error()})
	return nil
}
