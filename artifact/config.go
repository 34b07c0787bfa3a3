package artifact

import (
	"strings"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// Media types of a release.
const (
	TypeRelease = "application/vnd.sealift.release.v1"
	TypeConfig  = "application/vnd.sealift.release.config.v1+json"
)

// Config is the config blob of a release: what is in it, to be listed without
// unpacking it.
type Config struct {
	Environments []Environment `json:"environments"` // sorted by name
	Images       []Image       `json:"images"`       // sorted, each once
}

// Environment is a folder of the layer.
type Environment struct {
	Name    string        `json:"name"`
	Objects int           `json:"objects"`
	Digest  digest.Digest `json:"digest"` // of the folder's one file
	// Chart is the chart from a registry that it was rendered from, HOST/PATH@DIGEST;
	// empty: it was rendered from files of the commit alone.
	Chart string `json:"chart,omitempty"`
}

// Image is a container image as a manifest of the release names it.
type Image struct {
	Name   string `json:"name"` // as it is written: nginx stays nginx
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Platforms are OS/ARCHITECTURE[/VARIANT], sorted; none where nobody asked.
	Platforms []string `json:"platforms,omitempty"`
	// SignedBy are the authorities whose signatures counted when it was published.
	SignedBy []string `json:"signedBy,omitempty"`
}

// imagesIn lists the images of built-in workloads, sorted, each once.
func imagesIn(environments map[string][]*unstructured.Unstructured) []Image {
	var all []*unstructured.Unstructured
	for _, objs := range environments {
		all = append(all, objs...)
	}
	images := []Image{}
	for _, written := range objects.Images(all) {
		images = append(images, parseImage(written))
	}
	return images
}

// parseImage splits NAME[:TAG][@DIGEST]; a colon before a slash is a port's.
func parseImage(written string) Image {
	name, dig, _ := strings.Cut(written, "@")
	image := Image{Name: name, Digest: dig}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		image.Name, image.Tag = name[:i], name[i+1:]
	}
	return image
}
