package publisher

import (
	"context"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/internal/render"
)

// typeChart is the layer of a chart, as helm push writes it.
const typeChart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// fetchChart reads a chart from a registry. Only a digest names one chart for good.
func fetchChart(ctx context.Context, registry Registry, written string) (artifact.Ref, []objects.File, error) {
	address, err := artifact.ParseAddress(written)
	if err != nil {
		return artifact.Ref{}, nil, err
	}
	if address.Digest == "" {
		return artifact.Ref{}, nil, fmt.Errorf("the chart %q has no digest; hint: write %s%s@sha256:…, which helm pull prints", written, artifact.Scheme, address.Repository)
	}
	ref := address.Repository.At(address.Digest)
	manifest, err := registry.Manifest(ctx, ref)
	if err != nil {
		return ref, nil, err
	}
	layer, ok := chartLayer(manifest.Layers)
	if !ok {
		return ref, nil, fmt.Errorf("%s is no chart: it has not one layer of the type %s", ref, typeChart)
	}
	data, err := registry.Blob(ctx, ref.Repository, layer, artifact.DefaultLimits().Layer)
	if err != nil {
		return ref, nil, err
	}
	files, err := render.Unpack(data)
	if err != nil {
		return ref, nil, fmt.Errorf("unpacking the chart %s: %w", ref, err)
	}
	return ref, files, nil
}

// chartLayer is the one layer with a chart; others may hold its signature.
func chartLayer(layers []ocispec.Descriptor) (ocispec.Descriptor, bool) {
	var found ocispec.Descriptor
	count := 0
	for _, layer := range layers {
		if layer.MediaType == typeChart {
			found = layer
			count++
		}
	}
	return found, count == 1
}

// folderOf is the folder that all of a chart's archive is in.
func folderOf(files []objects.File) string {
	if len(files) == 0 {
		return "."
	}
	folder, _, _ := strings.Cut(files[0].Path, "/")
	return folder
}
