package publisher

import (
	"errors"
	"fmt"
	"io/fs"

	"sigs.k8s.io/yaml"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/internal/git"
	"sealift.dev/internal/objects"
)

// maxReleases is how many releases one sealift.yaml may list.
const maxReleases = 1000

// Plan completes o from sealift.yaml in the commit: one Options for each release to
// be published, in the file's order. What o says goes before the file: with To, the
// environments are those of the entry that goes there, or of the only entry; with
// Environments, To is the only entry's; with both, the file is not read. Rev and
// Ref are fixed, so that all releases are of one commit.
func Plan(o Options) ([]Options, error) {
	o = o.withDefaults()
	repository, err := git.Open(o.Dir)
	if err != nil {
		return nil, err
	}
	c, err := repository.Resolve(o.Rev)
	if err != nil {
		return nil, err
	}
	if o.Ref == "" {
		if o.Ref, err = repository.Branch(o.Rev); err != nil {
			return nil, err
		}
	}
	if o.Ref != "" { // otherwise Publish says what is wrong with Rev
		o.Rev = c.Hash
	}
	if o.To != (artifact.Repository{}) && len(o.Environments) > 0 {
		return []Options{o}, nil
	}
	entries, paths, err := readEntries(c)
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", v1alpha1.ConfigFile, c.Hash, err)
	}
	o.config, o.ImagePaths = v1alpha1.ConfigFile, append(paths, o.ImagePaths...)
	if o.SkipIfUnchanged == nil {
		several := len(entries) > 1
		o.SkipIfUnchanged = &several
	}
	return choose(o, entries)
}

// entry is a checked entry of publish.
type entry struct {
	to           artifact.Repository
	environments map[string]v1alpha1.Environment
}

func choose(o Options, entries []entry) ([]Options, error) {
	var chosen []Options
	for _, e := range entries {
		one := o
		if one.To == (artifact.Repository{}) {
			one.To = e.to
		}
		if one.To != e.to && len(entries) > 1 {
			continue
		}
		if len(one.Environments) == 0 {
			one.Environments = e.environments
		} else {
			one.config = "" // it says where to publish, not what
		}
		chosen = append(chosen, one)
	}
	switch {
	case len(chosen) == 0:
		return nil, fmt.Errorf("%s lists %d releases, and none goes to %s; hint: name the environments with --environment NAME=FOLDER", v1alpha1.ConfigFile, len(entries), o.To)
	case len(chosen) > 1 && len(o.Environments) > 0:
		return nil, fmt.Errorf("%s lists %d releases; hint: name one with --to", v1alpha1.ConfigFile, len(chosen))
	}
	return chosen, nil
}

func readEntries(c *git.Commit) ([]entry, []objects.ImagePath, error) {
	tree, err := c.Tree()
	if err != nil {
		return nil, nil, err
	}
	data, err := tree.ReadFile(v1alpha1.ConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.New("there is none; hint: commit one with a publish: part, or name --to and --environment")
	}
	if err != nil {
		return nil, nil, err
	}
	config, err := parseConfig(data)
	if err != nil {
		return nil, nil, err
	}
	entries, err := checkConfig(config)
	if err != nil {
		return nil, nil, err
	}
	paths, err := imagePaths(config)
	return entries, paths, err
}

func parseConfig(data []byte) (config v1alpha1.Config, err error) {
	// Read within the limits of objects first; the error has its line, too.
	documents, err := objects.Documents(objects.File{Path: v1alpha1.ConfigFile, Data: data}, objects.DefaultLimits())
	if err != nil {
		return config, err
	}
	if len(documents) != 1 {
		return config, fmt.Errorf("it holds %d YAML documents, and one is wanted", len(documents))
	}
	return config, yaml.UnmarshalStrict(documents[0].JSON, &config)
}

func imagePaths(config v1alpha1.Config) ([]objects.ImagePath, error) {
	var paths []objects.ImagePath
	for i, p := range config.ImagePaths {
		if p.APIVersion == "" || p.Kind == "" || len(p.Paths) == 0 {
			return nil, fmt.Errorf("imagePaths[%d]: apiVersion, kind and paths are wanted", i)
		}
		path := objects.ImagePath{APIVersion: p.APIVersion, Kind: p.Kind}
		for j, written := range p.Paths {
			field, err := objects.ParseField(written)
			if err != nil {
				return nil, fmt.Errorf("imagePaths[%d].paths[%d]: %w", i, j, err)
			}
			path.Fields = append(path.Fields, field)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func checkConfig(config v1alpha1.Config) ([]entry, error) {
	const apiVersion, kind = "sealift.dev/v1alpha1", "Config"
	switch {
	case config.APIVersion != apiVersion || config.Kind != kind:
		return nil, fmt.Errorf("apiVersion %q, kind %q: %s, %s is wanted", config.APIVersion, config.Kind, apiVersion, kind)
	case len(config.Publish) == 0:
		return nil, errors.New("publish is empty; hint: list what to publish, or name --to and --environment")
	case len(config.Publish) > maxReleases:
		return nil, fmt.Errorf("publish has %d entries, more than %d", len(config.Publish), maxReleases)
	}
	var entries []entry
	seen := map[artifact.Repository]bool{}
	for i, p := range config.Publish {
		to, err := artifact.ParseRepository(p.To)
		switch {
		case err != nil:
			return nil, fmt.Errorf("publish[%d].to: %w", i, err)
		case seen[to]:
			return nil, fmt.Errorf("publish[%d].to: %s is there twice; hint: a release holds several environments", i, to)
		case len(p.Environments) == 0:
			return nil, fmt.Errorf("publish[%d].environments is empty; hint: NAME: FOLDER", i)
		}
		seen[to] = true
		entries = append(entries, entry{to: to, environments: p.Environments})
	}
	return entries, nil
}
