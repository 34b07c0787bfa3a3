package attest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
)

// BuildType is what externalParameters and resolvedDependencies are to be read by; see
// docs/artifact.md.
const BuildType = "https://sealift.dev/publish/v1"

// Provenance is the predicate of SLSA provenance v1: https://slsa.dev/spec/v1.0/provenance.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was built, from what.
type BuildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   Parameters        `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters,omitempty"`
	ResolvedDependencies []Resource        `json:"resolvedDependencies"`
}

// Parameters are what whoever published chose.
type Parameters struct {
	Repository   string                          `json:"repository"` // HOST/PATH
	Source       string                          `json:"source,omitempty"`
	Ref          string                          `json:"ref"`
	Revision     string                          `json:"revision"`
	Version      string                          `json:"version"`
	Config       string                          `json:"config,omitempty"` // path in the commit; empty: the command line
	Environments map[string]v1alpha1.Environment `json:"environments"`
}

// Resource is a resource descriptor of in-toto.
type Resource struct {
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// RunDetails is who built, and when.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// Builder is who is trusted to say the rest.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// Metadata tells one build from another.
type Metadata struct {
	InvocationID string    `json:"invocationId,omitempty"`
	StartedOn    time.Time `json:"startedOn"`
	FinishedOn   time.Time `json:"finishedOn"`
}

// ProvenanceOf is the provenance of what b describes, published in run, finished at a
// time. Two calls with the same arguments give the same.
func ProvenanceOf(b publisher.Build, run Run, finished time.Time) Provenance {
	s := b.Statement
	p := Provenance{
		BuildDefinition: BuildDefinition{
			BuildType: BuildType,
			ExternalParameters: Parameters{
				Repository: s.Repository, Source: s.Source, Ref: s.Ref, Revision: s.Revision, Version: s.Version,
				Config: b.Config, Environments: b.Sources,
			},
			InternalParameters:   run.Facts,
			ResolvedDependencies: dependencies(b),
		},
		RunDetails: RunDetails{
			Builder:  Builder{ID: run.Builder},
			Metadata: Metadata{InvocationID: run.Invocation, StartedOn: whole(b.Started), FinishedOn: whole(finished)},
		},
	}
	if run.Version != "" {
		p.RunDetails.Builder.Version = map[string]string{"sealift": run.Version}
	}
	return p
}

func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// dependencies are the commit, the charts and the images, each once.
func dependencies(b publisher.Build) []Resource {
	all := []Resource{commit(b.Statement)}
	for _, e := range b.Contents.Environments {
		if at, d, found := strings.Cut(e.Chart, "@sha256:"); found {
			all = append(all, Resource{URI: artifact.Scheme + at, Digest: map[string]string{"sha256": d}})
		}
	}
	for _, i := range b.Contents.Images {
		if at, d, ok := image(i); ok {
			all = append(all, Resource{URI: purl(at, d, i.Tag), Digest: map[string]string{d.Algorithm().String(): d.Encoded()}})
		}
	}
	rest := all[1:]
	slices.SortFunc(rest, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.Digest["sha256"], b.Digest["sha256"]))
	})
	rest = slices.CompactFunc(rest, func(a, b Resource) bool { return a.URI == b.URI && a.Digest["sha256"] == b.Digest["sha256"] })
	return all[:1+len(rest)]
}

func commit(s artifact.Statement) Resource {
	r := Resource{Digest: map[string]string{"gitCommit": s.Commit()}}
	if s.Source != "" {
		r.URI = "git+" + s.Source + "@" + s.Ref
	}
	return r
}
