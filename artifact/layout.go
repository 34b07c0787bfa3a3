package artifact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layout is an OCI image layout in a folder: the form in which a release crosses
// an air gap. See the OCI image specification, "Image Layout". Files are written
// under another name first, so that a crash leaves none half-written; of several
// processes, one may write.
type Layout struct {
	dir  string
	root *os.Root

	mu       sync.Mutex
	index    ocispec.Index
	subjects map[digest.Digest][]ocispec.Descriptor // by subject
}

// OpenLayout opens the layout in a folder. With create, a folder that is missing
// or empty becomes one.
func OpenLayout(dir string, create bool) (*Layout, error) {
	act := fmt.Sprintf("opening the image layout %q", dir)
	if create {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("%s: %w", act, err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", act, err)
	}
	l := &Layout{dir: dir, root: root}
	if err := l.open(create); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", act, err), root.Close())
	}
	return l, nil
}

// Close gives back what the system holds open.
func (l *Layout) Close() error { return l.root.Close() }

func (l *Layout) String() string { return LayoutScheme + l.dir }

// LayoutScheme is how the address of a layout begins.
const LayoutScheme = "oci-layout:"

func (l *Layout) open(create bool) error {
	var version ocispec.ImageLayout
	err := l.readJSON(ocispec.ImageLayoutFile, &version)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return l.create()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is no file %s in it", ErrNotFound, ocispec.ImageLayoutFile)
	case err != nil:
		return err
	case version.Version != ocispec.ImageLayoutVersion:
		return fmt.Errorf("its version is %q, not %s", clip(version.Version), ocispec.ImageLayoutVersion)
	}
	err = l.readJSON(ocispec.ImageIndexFile, &l.index)
	if errors.Is(err, fs.ErrNotExist) && create {
		return l.create()
	}
	if err != nil {
		return err
	}
	if create {
		if err := l.sweep(); err != nil {
			return err
		}
	}
	return l.findSubjects()
}

// create writes the index last. A folder in which it was killed before is begun anew.
func (l *Layout) create() error {
	folder, err := fs.ReadDir(l.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range folder {
		if name := entry.Name(); name != ocispec.ImageBlobsDir && name != ocispec.ImageLayoutFile && !strings.HasSuffix(name, unfinished) {
			return errors.New("the folder is not empty, and no image layout; hint: name a new folder")
		}
	}
	l.index = ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	l.subjects = map[digest.Digest][]ocispec.Descriptor{}
	if err := l.root.MkdirAll(blobFolder, 0o755); err != nil {
		return err
	}
	if err := l.writeJSON(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}, maxManifest); err != nil {
		return err
	}
	return l.writeIndex(maxManifest)
}

// findSubjects reads which manifests of the index refer to which. What cannot be
// read refers to nothing.
func (l *Layout) findSubjects() error {
	l.subjects = map[digest.Digest][]ocispec.Descriptor{}
	if len(l.index.Manifests) > maxListed {
		return fmt.Errorf("%d manifests in its index are more than %d: %w", len(l.index.Manifests), maxListed, ErrLimit)
	}
	for _, desc := range l.index.Manifests {
		if checkDescriptor(desc) != nil {
			continue
		}
		data, err := l.readBounded(blobPath(desc.Digest), maxManifest)
		if err != nil || digest.FromBytes(data) != desc.Digest {
			continue
		}
		l.noteSubject(desc, data)
	}
	return nil
}

func (l *Layout) noteSubject(desc ocispec.Descriptor, data []byte) {
	subject := subjectOf(data)
	known := l.subjects[subject]
	if subject != "" && !slices.ContainsFunc(known, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
		l.subjects[subject] = append(known, desc)
	}
}

// subjectOf is what a manifest refers to; empty: nothing.
func subjectOf(manifest []byte) digest.Digest {
	var about struct {
		Subject *ocispec.Descriptor `json:"subject"`
	}
	if unmarshal(manifest, &about) != nil || about.Subject == nil {
		return ""
	}
	return about.Subject.Digest
}

const blobFolder = ocispec.ImageBlobsDir + "/sha256"

func blobPath(d digest.Digest) string { return blobFolder + "/" + d.Encoded() }

func (l *Layout) manifest(_ context.Context, reference string) ([]byte, string, error) {
	act := fmt.Sprintf("reading the manifest %s of %s", clip(reference), l)
	desc, err := l.find(reference)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", act, err)
	}
	data, err := l.readBounded(blobPath(desc.Digest), maxManifest)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", act, absent(err))
	}
	if got := digest.FromBytes(data); got != desc.Digest {
		return nil, "", fmt.Errorf("%s: its bytes have the digest %s: %w", act, got, ErrCorrupt)
	}
	return data, desc.MediaType, nil
}

// find takes a digest, or a name in the index.
func (l *Layout) find(reference string) (ocispec.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := digest.Digest(reference); checkDigest(d) == nil {
		for _, desc := range l.index.Manifests {
			if desc.Digest == d {
				return desc, nil
			}
		}
		return ocispec.Descriptor{Digest: d}, nil // of an index's child
	}
	var found []ocispec.Descriptor
	for _, desc := range l.index.Manifests {
		if reference != "" && desc.Annotations[ocispec.AnnotationRefName] == reference || reference == "" && desc.ArtifactType == TypeRelease {
			found = append(found, desc)
		}
	}
	found = slices.CompactFunc(found, func(a, b ocispec.Descriptor) bool { return a.Digest == b.Digest })
	switch {
	case len(found) == 0:
		return ocispec.Descriptor{}, ErrNotFound
	case len(found) > 1:
		return ocispec.Descriptor{}, fmt.Errorf("there are %d of that name; hint: write %s:TAG, or @sha256:…", len(found), l)
	}
	return found[0], checkDigest(found[0].Digest)
}

func (l *Layout) blob(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	file, err := l.openRegular(blobPath(desc.Digest))
	if err != nil {
		return nil, fmt.Errorf("reading the blob %s of %s: %w", desc.Digest, l, absent(err))
	}
	return file, nil
}

func (l *Layout) referrers(_ context.Context, to digest.Digest) ([]ocispec.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.subjects[to]), nil
}

// hasBlob reads the blob: one that was damaged on the way is written again.
func (l *Layout) hasBlob(_ context.Context, desc ocispec.Descriptor) (bool, error) {
	info, err := l.root.Lstat(blobPath(desc.Digest))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != desc.Size) {
		return false, nil
	}
	var file *os.File
	if err == nil {
		file, err = l.root.Open(blobPath(desc.Digest))
	}
	if err != nil {
		return false, fmt.Errorf("looking for the blob %s in %s: %w", desc.Digest, l, err)
	}
	defer file.Close()
	_, err = io.Copy(io.Discard, checked(file, desc))
	if errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

func (l *Layout) putBlob(_ context.Context, desc ocispec.Descriptor, content io.Reader) error {
	if err := l.write(blobPath(desc.Digest), content); err != nil {
		return fmt.Errorf("writing the blob %s to %s: %w", desc.Digest, l, err)
	}
	return nil
}

func (l *Layout) hasManifest(ctx context.Context, desc ocispec.Descriptor, nested bool) (bool, error) {
	l.mu.Lock()
	listed := slices.ContainsFunc(l.index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest })
	l.mu.Unlock()
	if !listed && !nested {
		return false, nil
	}
	return l.isWhole(ctx, desc, 0)
}

func (l *Layout) putNested(ctx context.Context, desc ocispec.Descriptor, data []byte) error {
	return l.putBlob(ctx, desc, bytes.NewReader(data))
}

// putManifest lists the manifest in the index, where others look for what refers
// to something; a tag leaves the manifest that had it. Referrers leave room for
// what is no stranger's.
func (l *Layout) putManifest(ctx context.Context, desc ocispec.Descriptor, data []byte, tag string) error {
	if err := l.putBlob(ctx, desc, bytes.NewReader(data)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before, most := slices.Clone(l.index.Manifests), int64(maxManifest)
	l.list(desc, tag)
	if subjectOf(data) != "" && tag == "" {
		most = maxManifest - maxManifest/4
		if len(l.index.Manifests) > maxReferrers {
			l.index.Manifests = before
			return fmt.Errorf("%s: more than %d manifests: %w", l, maxReferrers, ErrLimit)
		}
	}
	if err := l.writeIndex(most); err != nil {
		l.index.Manifests = before
		return err
	}
	l.noteSubject(desc, data)
	return nil
}

// list puts a manifest into the index, once for each of its names; without a name
// only where it has none.
func (l *Layout) list(desc ocispec.Descriptor, name string) {
	desc.Annotations = nil
	listed := false
	for i, d := range l.index.Manifests {
		if name != "" && d.Digest != desc.Digest && d.Annotations[ocispec.AnnotationRefName] == name {
			l.index.Manifests[i].Annotations = nil
		}
		listed = listed || d.Digest == desc.Digest
	}
	if name != "" {
		desc.Annotations = map[string]string{ocispec.AnnotationRefName: name}
		l.index.Manifests = slices.DeleteFunc(l.index.Manifests, func(d ocispec.Descriptor) bool {
			had := d.Annotations[ocispec.AnnotationRefName]
			return d.Digest == desc.Digest && (had == "" || had == name)
		})
		listed = false
	}
	if !listed {
		l.index.Manifests = append(l.index.Manifests, desc)
	}
}

// Names are the names in the index, sorted.
func (l *Layout) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, desc := range l.index.Manifests {
		if name := desc.Annotations[ocispec.AnnotationRefName]; name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
