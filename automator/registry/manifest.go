package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"sealift.dev/internal/text"
)

// Limits of what is read of one image.
const (
	maxManifestBytes = 4 << 20 // and of a configuration
	maxManifests     = 1_000   // of an index
	maxPlatforms     = 10_000  // digests whose platforms are remembered
)

// Media types of manifests.
const (
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
)

// Digest is the digest that a tag has now (sha256:HEX). ErrNotFound: there is no such tag.
func (c *Client) Digest(ctx context.Context, repo, tag string) (string, error) {
	if !isTag(tag) {
		return "", fmt.Errorf("%s: %q is no tag", repo, text.Line(tag, maxTagLength))
	}
	r, err := c.repository(repo)
	if err != nil {
		return "", err
	}
	digest, err := c.head(ctx, r, tag)
	if err == nil && digest == "" {
		digest, _, err = c.manifest(ctx, r, tag)
	}
	if err != nil {
		return "", fmt.Errorf("asking for the digest of %s:%s: %w", repo, tag, err)
	}
	return digest, nil
}

// head is empty where the registry has the tag, but does not name its digest like that.
func (c *Client) head(ctx context.Context, r *repository, tag string) (string, error) {
	response, err := c.ask(ctx, r, http.MethodHead, "manifests/"+tag, acceptManifests(),
		http.StatusOK, http.StatusMethodNotAllowed, http.StatusNotImplemented)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	digest := response.Header.Get("Docker-Content-Digest")
	if response.StatusCode != http.StatusOK || !isDigest(digest) {
		return "", nil
	}
	return digest, nil
}

func acceptManifests() http.Header {
	return http.Header{"Accept": {ociIndex, ociManifest, dockerList, dockerManifest}}
}

// manifest gets one by tag or digest, and its digest, which is that of the bytes.
func (c *Client) manifest(ctx context.Context, r *repository, reference string) (string, []byte, error) {
	response, err := c.ask(ctx, r, http.MethodGet, "manifests/"+reference, acceptManifests(), http.StatusOK)
	if err != nil {
		return "", nil, err
	}
	return readWhole(response)
}

// readWhole reads an answer, and computes its digest.
func readWhole(response *http.Response) (string, []byte, error) {
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxManifestBytes+1))
	if err != nil {
		return "", nil, err
	}
	if len(data) > maxManifestBytes {
		return "", nil, fmt.Errorf("the answer is larger than %d bytes", maxManifestBytes)
	}
	hash := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(hash[:]), data, nil
}

// Platforms are those of the image or index with a digest (sha256:HEX), as
// OS/ARCHITECTURE[/VARIANT], sorted. None: it names none, as a Helm chart does not.
// ErrNotFound: the repository does not have it.
func (c *Client) Platforms(ctx context.Context, repo, digest string) ([]string, error) {
	if !isDigest(digest) {
		return nil, fmt.Errorf("%s: %q is no digest; hint: write sha256:HEX", repo, text.Line(digest, maxTagLength))
	}
	if known, ok := c.platforms.get(digest); ok {
		return known, nil
	}
	r, err := c.repository(repo)
	if err != nil {
		return nil, err
	}
	platforms, err := c.readPlatforms(ctx, r, digest)
	if err != nil {
		return nil, fmt.Errorf("asking for the platforms of %s@%s: %w", repo, digest, err)
	}
	c.platforms.put(digest, platforms)
	return platforms, nil
}

// manifestFields are what an index and a manifest hold of interest.
type manifestFields struct {
	MediaType string       `json:"mediaType"`
	Manifests []descriptor `json:"manifests"`
	Config    *descriptor  `json:"config"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Platform    *platform         `json:"platform"`
	Annotations map[string]string `json:"annotations"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (c *Client) readPlatforms(ctx context.Context, r *repository, digest string) ([]string, error) {
	got, data, err := c.manifest(ctx, r, digest)
	if err != nil {
		return nil, err
	}
	if got != digest {
		return nil, fmt.Errorf("the manifest that the registry gave is %s", got)
	}
	var m manifestFields
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	switch {
	case m.Manifests != nil && m.Config != nil:
		return nil, errors.New("the manifest is an image and an index at once")
	case m.Manifests != nil:
		return indexPlatforms(m.Manifests)
	case m.Config != nil:
		return c.configPlatforms(ctx, r, m.Config.Digest)
	}
	return nil, errors.New("the manifest is neither an image's nor an index; schema 1 is not supported")
}

// indexPlatforms leaves out attestations, which are no image.
func indexPlatforms(all []descriptor) ([]string, error) {
	if len(all) > maxManifests {
		return nil, fmt.Errorf("the index has more than %d manifests", maxManifests)
	}
	var found []string
	for _, d := range all {
		if d.Platform != nil && d.Annotations["vnd.docker.reference.type"] == "" {
			found = append(found, d.Platform.names()...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// configPlatforms is the one of a single image, of which only the configuration tells.
func (c *Client) configPlatforms(ctx context.Context, r *repository, digest string) ([]string, error) {
	if !isDigest(digest) {
		return nil, errors.New("the manifest's configuration has no sha256 digest")
	}
	response, err := c.ask(ctx, r, http.MethodGet, "blobs/"+digest, http.Header{}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	got, data, err := readWhole(response)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if got != digest {
		return nil, fmt.Errorf("the configuration that the registry gave is %s, not %s", got, digest)
	}
	var p platform
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, nil // of another kind of artifact
	}
	return p.names(), nil
}

// names is empty for what has no platform.
func (p platform) names() []string {
	for _, part := range []string{p.OS, p.Architecture, p.Variant} {
		if strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) || len(part) > maxTagLength {
			return nil
		}
	}
	if p.OS == "" || p.Architecture == "" || p.OS == "unknown" {
		return nil
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return []string{name}
}

// HasPlatform says that platforms, as Platforms tells them, hold want. linux/arm64 and
// linux/arm64/v8 are one, and so are linux/arm and linux/arm/v7.
func HasPlatform(platforms []string, want string) bool {
	want = plainPlatform(want)
	return slices.ContainsFunc(platforms, func(has string) bool { return plainPlatform(has) == want })
}

// plainPlatform leaves out the variant that is meant where none is written.
func plainPlatform(p string) string {
	p = strings.ToLower(p)
	parts := strings.Split(p, "/")
	if len(parts) != 3 {
		return p
	}
	usual := map[string]string{"arm64": "v8", "arm": "v7", "amd64": "v1"}
	if usual[parts[1]] == parts[2] {
		return parts[0] + "/" + parts[1]
	}
	return p
}

func isDigest(s string) bool {
	hash, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hash) == 2*sha256.Size && strings.Trim(hash, "0123456789abcdef") == ""
}

// platformCache remembers the platforms of digests, which never change. Full, it forgets the
// half that was used longest ago.
type platformCache struct {
	limit int

	mu         sync.Mutex
	young, old map[string][]string
}

func newPlatformCache(limit int) *platformCache {
	return &platformCache{limit: limit, young: map[string][]string{}}
}

func (c *platformCache) get(digest string) ([]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.young[digest]; ok {
		return slices.Clone(known), true
	}
	known, ok := c.old[digest]
	if ok {
		c.keep(digest, known)
	}
	return slices.Clone(known), ok
}

func (c *platformCache) put(digest string, platforms []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(digest, slices.Clone(platforms))
}

func (c *platformCache) keep(digest string, platforms []string) {
	if len(c.young) >= c.limit/2 {
		c.young, c.old = map[string][]string{}, c.young
	}
	c.young[digest] = platforms
}
