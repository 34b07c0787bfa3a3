package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// Package is a release before it is pushed: the bytes that go to a registry.
type Package struct {
	Manifest []byte
	Config   []byte // JSON of Contents
	Layer    []byte // tar+gzip, a folder for each environment
	Contents Config
}

// Digest is what the release is called by in every registry.
func (p *Package) Digest() digest.Digest { return digest.FromBytes(p.Manifest) }

// layerTitle is the name under which `oras pull` stores the layer; without one it
// stores nothing.
const layerTitle = "release.tar.gz"

// objectsFile is the one file in an environment's folder.
const objectsFile = "objects.yaml"

var environmentPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// CheckEnvironment refuses names that are no DNS label, such as a path.
func CheckEnvironment(name string) error {
	if !environmentPattern.MatchString(name) {
		return fmt.Errorf("%q is not a name for an environment; hint: use lower-case letters, digits and dashes", name)
	}
	return nil
}

// Facts are what a release's config tells beside what can be seen in its objects.
type Facts struct {
	Images []Image           // nil: those of built-in workloads, as they are written
	Charts map[string]string // by environment, the chart from a registry: HOST/PATH@DIGEST
}

// Pack is PackWith without facts.
func Pack(s Statement, environments map[string][]*unstructured.Unstructured) (*Package, error) {
	return PackWith(s, environments, Facts{})
}

// PackWith makes a release of the objects of each environment, which it sorts. The
// same input gives the same bytes, in the same build of Sealift. What Fetch
// would refuse to read is refused here.
func PackWith(s Statement, environments map[string][]*unstructured.Unstructured, facts Facts) (*Package, error) {
	if len(environments) == 0 {
		return nil, errors.New("a release needs at least one environment")
	}
	if _, err := ParseStatement(s.Annotations()); err != nil {
		return nil, fmt.Errorf("writing the release statement: %w", err)
	}
	if facts.Images == nil {
		facts.Images = imagesIn(environments)
	}
	p := &Package{Contents: Config{Images: facts.Images}}
	var files []objects.File
	for _, name := range slices.Sorted(maps.Keys(environments)) {
		file, err := packEnvironment(name, environments[name])
		if err != nil {
			return nil, fmt.Errorf("packing the environment %s: %w", name, err)
		}
		files = append(files, file)
		p.Contents.Environments = append(p.Contents.Environments,
			Environment{Name: name, Objects: len(environments[name]), Digest: digest.FromBytes(file.Data), Chart: facts.Charts[name]})
	}
	if err := p.encode(s, files); err != nil {
		return nil, err
	}
	if _, err := Unpack(bytes.NewReader(p.Layer), DefaultLimits()); err != nil {
		return nil, fmt.Errorf("reading back what was packed: %w", err)
	}
	return p, p.checkSizes(DefaultLimits())
}

func packEnvironment(name string, objs []*unstructured.Unstructured) (objects.File, error) {
	if err := CheckEnvironment(name); err != nil {
		return objects.File{}, err
	}
	if len(objs) == 0 {
		return objects.File{}, errors.New("it holds no objects")
	}
	sorted := slices.Clone(objs)
	objects.Sort(sorted)
	data, err := objects.Encode(sorted)
	if err != nil {
		return objects.File{}, err
	}
	file := objects.File{Path: name + "/" + objectsFile, Data: data}
	_, err = objects.Decode([]objects.File{file}, objects.DefaultLimits())
	return file, err
}

func (p *Package) encode(s Statement, files []objects.File) error {
	var err error
	if p.Config, err = json.Marshal(p.Contents); err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	if p.Layer, err = packLayer(files); err != nil {
		return fmt.Errorf("writing the layer: %w", err)
	}
	layer := describe(ocispec.MediaTypeImageLayerGzip, p.Layer)
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: layerTitle}
	p.Manifest, err = json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: TypeRelease,
		Config:       describe(TypeConfig, p.Config),
		Layers:       []ocispec.Descriptor{layer},
		Annotations:  s.Annotations(),
	})
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	return nil
}

func (p *Package) checkSizes(limits Limits) error {
	for name, sizes := range map[string][2]int64{
		"manifest": {int64(len(p.Manifest)), maxManifest},
		"config":   {int64(len(p.Config)), limits.Config},
		"layer":    {int64(len(p.Layer)), limits.Layer},
	} {
		if sizes[0] > sizes[1] {
			return fmt.Errorf("the release's %s has %d bytes, more than %d: %w", name, sizes[0], sizes[1], ErrLimit)
		}
	}
	return nil
}

// packLayer writes a folder and its file in turn: no owners, no names, no times.
func packLayer(files []objects.File) ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, f := range files {
		folder := f.Path[:len(f.Path)-len(objectsFile)]
		headers := []*tar.Header{
			{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, Format: tar.FormatUSTAR},
			{Typeflag: tar.TypeReg, Name: f.Path, Mode: 0o644, Size: int64(len(f.Data)), Format: tar.FormatUSTAR},
		}
		for _, header := range headers {
			if err := archive.WriteHeader(header); err != nil {
				return nil, err
			}
		}
		if _, err := archive.Write(f.Data); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}
