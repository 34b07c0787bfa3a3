package artifact

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxPages     = 64       // answers that one list may be spread over
	maxListBytes = 16 << 20 // of all of them
)

// Tags lists the tags of a repository, at most limit of them; more are an error.
func (r *Registry) Tags(ctx context.Context, repository Repository, limit int) ([]string, error) {
	act := fmt.Sprintf("listing the tags of %s", repository)
	var tags []string
	read := 0
	at := r.url(repository, "tags", "list")
	for page := 0; at != nil; page++ {
		if page == maxPages {
			return nil, explain(act, fmt.Errorf("more than %d pages: %w", maxPages, ErrLimit))
		}
		data, response, err := r.get(ctx, repository, at, maxManifest)
		if err != nil {
			return nil, explain(act, err)
		}
		if read += len(data); read > maxListBytes {
			return nil, explain(act, fmt.Errorf("more than %d bytes: %w", maxListBytes, ErrLimit))
		}
		var told struct {
			Tags []string `json:"tags"`
		}
		if err := unmarshal(data, &told); err != nil {
			return nil, explain(act, corrupt(err))
		}
		if tags = append(tags, told.Tags...); len(tags) > limit {
			return nil, explain(act, fmt.Errorf("more than %d tags: %w", limit, ErrLimit))
		}
		if at, err = nextPage(at, response); err != nil {
			return nil, explain(act, err)
		}
	}
	return tags, nil
}

// nextPage is the next link of an answer, nil on the last page. A link to
// another host is refused.
func nextPage(at *url.URL, response *http.Response) (*url.URL, error) {
	link := response.Header.Get("Link")
	if link == "" {
		return nil, nil
	}
	target, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	next, err := at.Parse(target)
	if !ok || err != nil {
		return nil, fmt.Errorf("the link to the next page, %q, cannot be read: %w", clip(link), ErrCorrupt)
	}
	if next.Scheme != at.Scheme || next.Host != at.Host || next.User != nil {
		return nil, fmt.Errorf("the next page is on another host, %q: %w", clip(next.Host), ErrCorrupt)
	}
	return next, nil
}

// Referrers lists the manifests that refer to ref: by the referrers API, or by
// the tag that stands in for it where a registry has none. Of those with another
// artifact type none is listed; an empty artifactType asks for all. An entry
// whose type the registry does not know is listed. Beyond limit, the first ones
// come with an error over ErrLimit.
func (r *Registry) Referrers(ctx context.Context, ref Ref, artifactType string, limit int) ([]ocispec.Descriptor, error) {
	act := "listing the referrers of " + ref.String()
	var found []ocispec.Descriptor
	read := 0
	at := r.url(ref.Repository, "referrers", ref.Digest.String())
	if artifactType != "" {
		at.RawQuery = url.Values{"artifactType": {artifactType}}.Encode()
	}
	for page := 0; at != nil; page++ {
		if page == maxPages {
			return found, explain(act, fmt.Errorf("more than %d pages: %w", maxPages, ErrLimit))
		}
		data, response, err := r.get(ctx, ref.Repository, at, maxManifest)
		if page == 0 && withoutReferrers(response, err) {
			data, err = r.referrersTag(ctx, ref)
			response = &http.Response{}
		}
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return found, explain(act, err)
		}
		if read += len(data); read > maxListBytes {
			return found, explain(act, fmt.Errorf("more than %d bytes: %w", maxListBytes, ErrLimit))
		}
		listed, err := readIndex(data, artifactType)
		if err != nil {
			return found, explain(act, corrupt(err))
		}
		if found = append(found, listed...); len(found) > limit {
			return found[:limit], explain(act, fmt.Errorf("more than %d referrers: %w", limit, ErrLimit))
		}
		if at, err = nextPage(at, response); err != nil {
			return found, explain(act, err)
		}
	}
	return found, nil
}

// withoutReferrers says that a registry does not have the referrers API.
func withoutReferrers(response *http.Response, err error) bool {
	var a *answer
	if errors.As(err, &a) {
		return a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed
	}
	return err == nil && !strings.HasPrefix(response.Header.Get("Content-Type"), ocispec.MediaTypeImageIndex)
}

// referrersTag reads the index that stands in for the referrers API; see the
// OCI distribution specification, "Referrers Tag Schema".
func (r *Registry) referrersTag(ctx context.Context, ref Ref) ([]byte, error) {
	tag := ref.Digest.Algorithm().String() + "-" + ref.Digest.Encoded()
	data, response, err := r.get(ctx, ref.Repository, r.manifestURL(ref.Repository, tag), maxManifest)
	var a *answer
	if errors.As(err, &a) && a.status == http.StatusNotFound {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if err := checkType(data, response.Header.Get("Content-Type"), ocispec.MediaTypeImageIndex); err != nil {
		return nil, corrupt(fmt.Errorf("the tag %s: %w", tag, err))
	}
	return data, nil
}

// readIndex takes from an index the entries that can be read and may be wanted.
func readIndex(data []byte, artifactType string) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := unmarshal(data, &index); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return d.Size > maxManifest || checkDescriptor(d) != nil || checkAnnotations(d.Annotations) != nil ||
			artifactType != "" && d.ArtifactType != "" && d.ArtifactType != artifactType && d.ArtifactType != ocispec.MediaTypeEmptyJSON
	}), nil
}
