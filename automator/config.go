package automator

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/google/go-containerregistry/pkg/name"
	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/internal/objects"
)

const (
	configAPIVersion = "sealift.dev/v1alpha1"
	configKind       = "Config"
	maxImages        = 1000
)

// config is the checked automate part of sealift.yaml.
type config struct {
	branch string
	images []image
}

// image is one image to follow.
type image struct {
	policy string // NAMESPACE:NAME, as in the marker
	repo   string // as written, with its port
	semver string
}

// readConfig reads sealift.yaml at the root of the commit.
func readConfig(objects storer.EncodedObjectStorer, commit *object.Commit) (config, error) {
	data, err := readRegular(objects, commit, v1alpha1.ConfigFile)
	if errors.Is(err, object.ErrFileNotFound) || errors.Is(err, object.ErrEntryNotFound) {
		return config{}, fmt.Errorf("there is no %s at the root; hint: commit one with an automate: part", v1alpha1.ConfigFile)
	}
	if err != nil {
		return config{}, fmt.Errorf("reading %s: %w", v1alpha1.ConfigFile, err)
	}
	c, err := parseConfig(data)
	if err != nil {
		return config{}, fmt.Errorf("reading %s: %w", v1alpha1.ConfigFile, err)
	}
	return c, nil
}

func parseConfig(data []byte) (config, error) {
	if err := checkSingle(data); err != nil {
		return config{}, err
	}
	documents, err := objects.Documents(objects.File{Path: v1alpha1.ConfigFile, Data: data}, objects.DefaultLimits()) // aliases are bounded
	if err != nil {
		return config{}, err
	}
	var file v1alpha1.Config
	for _, d := range documents {
		if err := yaml.UnmarshalStrict(d.JSON, &file); err != nil {
			return config{}, err
		}
	}
	if file.APIVersion != configAPIVersion || file.Kind != configKind {
		return config{}, fmt.Errorf("apiVersion %q, kind %q: %s, %s is wanted", file.APIVersion, file.Kind, configAPIVersion, configKind)
	}
	if file.Automate == nil || len(file.Automate.Images) == 0 {
		return config{}, errors.New("automate.images is empty; hint: list the images to follow")
	}
	if n := len(file.Automate.Images); n > maxImages {
		return config{}, fmt.Errorf("automate.images has %d entries, more than %d", n, maxImages)
	}
	c := config{branch: file.Automate.Branch}
	seen := map[string]bool{}
	for i, entry := range file.Automate.Images {
		img, err := parseImage(entry)
		if err == nil && seen[img.policy] {
			err = fmt.Errorf("%s is there twice", img.policy)
		}
		if err != nil {
			return config{}, fmt.Errorf("automate.images[%d]: %w", i, err)
		}
		seen[img.policy] = true
		c.images = append(c.images, img)
	}
	return c, nil
}

// checkSingle refuses a second document: only the first would be read.
func checkSingle(data []byte) error {
	nodes, err := flatten(data)
	if err != nil {
		return err
	}
	documents := 0
	for _, n := range nodes {
		if n.Kind == yamlnode.DocumentNode {
			documents++
		}
	}
	if documents > 1 {
		return fmt.Errorf("it has %d YAML documents; hint: write one, without another ---", documents)
	}
	return nil
}

func parseImage(entry v1alpha1.Image) (image, error) {
	namespace := entry.Namespace
	if namespace == "" {
		namespace = entry.Name
	}
	if entry.Name == "" || !isMarkerName(entry.Name) || !isMarkerName(namespace) {
		return image{}, fmt.Errorf("name %q, namespace %q: letters, digits, '-', '_' and '.' are wanted", entry.Name, namespace)
	}
	if _, err := name.NewRepository(entry.Image); err != nil {
		return image{}, fmt.Errorf("image %q: %w; hint: write HOST/REPOSITORY without a tag", entry.Image, err)
	}
	if _, err := newCandidates(entry.Select.Semver); err != nil {
		return image{}, fmt.Errorf("%s: %w", entry.Name, err)
	}
	return image{policy: namespace + ":" + entry.Name, repo: entry.Image, semver: entry.Select.Semver}, nil
}

func isMarkerName(s string) bool {
	return len(s) <= 253 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}
