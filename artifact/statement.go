package artifact

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations of a release beside those of the OCI image specification.
const (
	AnnotationRepository = annotationPrefix + "repository"
	AnnotationEpoch      = annotationPrefix + "epoch"
	AnnotationSequence   = annotationPrefix + "sequence"
	AnnotationRef        = annotationPrefix + "ref"

	annotationPrefix = "dev.sealift."
	maxStatement     = 4096 // bytes of one value
)

// Statement is what a release says of itself in its manifest's annotations. The
// signature covers it, because the signature covers the manifest's digest. Texts
// are a stranger's until the release is verified: quote them when printing.
type Statement struct {
	Source     string    `json:"source,omitempty"`     // Git URL without credentials
	Revision   string    `json:"revision,omitempty"`   // main@sha1:COMMIT
	Version    string    `json:"version,omitempty"`    // a semantic version without v
	Created    time.Time `json:"created"`              // the commit's time; zero when unknown
	Repository string    `json:"repository,omitempty"` // HOST/PATH it was published to
	Epoch      int64     `json:"epoch,omitempty"`      // from 1; grows when history is rewritten; 0: no Sealift release
	Sequence   int64     `json:"sequence,omitempty"`   // from 1; the commit's first-parent count; 0: no Sealift release
	Ref        string    `json:"ref,omitempty"`        // the Git ref, refs/heads/main
}

// Annotations is the statement as a manifest carries it.
func (s Statement) Annotations() map[string]string {
	return map[string]string{
		ocispec.AnnotationSource:   s.Source,
		ocispec.AnnotationRevision: s.Revision,
		ocispec.AnnotationVersion:  s.Version,
		ocispec.AnnotationCreated:  s.Created.UTC().Format(time.RFC3339),
		AnnotationRepository:       s.Repository,
		AnnotationEpoch:            strconv.FormatInt(s.Epoch, 10),
		AnnotationSequence:         strconv.FormatInt(s.Sequence, 10),
		AnnotationRef:              s.Ref,
	}
}

// ParseStatement reads a manifest's annotations. An artifact without Sealift's
// annotations gives what the OCI ones say, with Epoch and Sequence 0; one with
// some of them must have all of them, well-formed.
func ParseStatement(annotations map[string]string) (Statement, error) {
	for _, key := range []string{
		ocispec.AnnotationSource, ocispec.AnnotationRevision, ocispec.AnnotationVersion, ocispec.AnnotationCreated,
		AnnotationRepository, AnnotationEpoch, AnnotationSequence, AnnotationRef,
	} {
		if len(annotations[key]) > maxStatement {
			return Statement{}, fmt.Errorf("annotation %s is longer than %d bytes: %w", key, maxStatement, ErrLimit)
		}
	}
	s := Statement{
		Source:     annotations[ocispec.AnnotationSource],
		Revision:   annotations[ocispec.AnnotationRevision],
		Version:    annotations[ocispec.AnnotationVersion],
		Repository: annotations[AnnotationRepository],
		Ref:        annotations[AnnotationRef],
	}
	created, err := time.Parse(time.RFC3339, annotations[ocispec.AnnotationCreated])
	s.Created = created
	if !isSealift(annotations) {
		return s, nil
	}
	if err != nil {
		return Statement{}, fmt.Errorf("annotation %s is no time, but %q", ocispec.AnnotationCreated, annotations[ocispec.AnnotationCreated])
	}
	return s.parseOurs(annotations)
}

// isSealift says that the publisher of an artifact meant it as a Sealift release.
func isSealift(annotations map[string]string) bool {
	for key := range annotations {
		if strings.HasPrefix(strings.ToLower(key), annotationPrefix) {
			return true
		}
	}
	return false
}

func (s Statement) parseOurs(annotations map[string]string) (Statement, error) {
	for _, key := range []string{
		ocispec.AnnotationRevision, AnnotationRepository, AnnotationEpoch, AnnotationSequence, AnnotationRef,
	} {
		if annotations[key] == "" {
			return Statement{}, fmt.Errorf("annotation %s is missing", key)
		}
	}
	if _, err := ParseRepository(s.Repository); err != nil {
		return Statement{}, fmt.Errorf("annotation %s: %w", AnnotationRepository, err)
	}
	var err error
	if s.Epoch, err = parseCount(AnnotationEpoch, annotations); err != nil {
		return Statement{}, err
	}
	if s.Sequence, err = parseCount(AnnotationSequence, annotations); err != nil {
		return Statement{}, err
	}
	return s, nil
}

var countPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}$`)

// parseCount reads a number from 1 in the one way of writing it.
func parseCount(key string, annotations map[string]string) (int64, error) {
	n, err := strconv.ParseInt(annotations[key], 10, 64)
	if err != nil || !countPattern.MatchString(annotations[key]) {
		return 0, fmt.Errorf("annotation %s is no number from 1 to 2^63-1, but %q", key, annotations[key])
	}
	return n, nil
}

// Commit is the commit's hash in Revision, or empty.
func (s Statement) Commit() string {
	_, hash, ok := strings.Cut(s.Revision, "@sha1:")
	if !ok {
		return ""
	}
	return hash
}
