package artifact

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Prefix is where mirrored images are kept: HOST, or HOST/PATH.
type Prefix Repository

// ParsePrefix reads [oci://]HOST[/PATH].
func ParsePrefix(s string) (Prefix, error) {
	r, err := ParseRepository(strings.TrimSuffix(s, "/") + "/x")
	if err != nil {
		return Prefix{}, fmt.Errorf("%q is no place for images; hint: write HOST/PATH", s)
	}
	return Prefix{Host: r.Host, Path: strings.TrimSuffix(strings.TrimSuffix(r.Path, "x"), "/")}, nil
}

var notInPath = regexp.MustCompile(`[^a-z0-9]+`)

// Of is where the mirror keeps an image: PREFIX/HOST/PATH, which is how container
// runtimes ask a mirror. What a path cannot hold of a host, such as the colon
// before a port, becomes a dash.
func (p Prefix) Of(image Repository) Repository {
	host := image.Host
	if strings.ContainsAny(host, ":[]_") {
		host = strings.Trim(notInPath.ReplaceAllStringFunc(host, func(s string) string {
			if s == "." {
				return s
			}
			return "-"
		}), "-")
	}
	return Repository{Host: p.Host, Path: strings.TrimPrefix(p.Path+"/"+host+"/"+image.Path, "/")}
}

// ReadConfig reads the config of the release at reference, as Copy takes it;
// empty for an artifact of another tool.
func ReadConfig(ctx context.Context, from Place, reference string) (digest.Digest, Config, error) {
	c := &copier{from: from}
	n, err := c.read(ctx, reference)
	if err != nil {
		return "", Config{}, err
	}
	if len(n.blobs) == 0 || n.blobs[0].MediaType != TypeConfig {
		return n.desc.Digest, Config{}, nil
	}
	var config Config
	data, err := readBlob(ctx, from, n.blobs[0], DefaultLimits().Config)
	if err == nil {
		err = unmarshal(data, &config)
	}
	if err != nil {
		return "", Config{}, fmt.Errorf("reading the config of %s: %w", n.desc.Digest, err)
	}
	return n.desc.Digest, config, nil
}

func readBlob(ctx context.Context, from Place, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Size > limit {
		return nil, fmt.Errorf("it has %d bytes, more than %d: %w", desc.Size, limit, ErrLimit)
	}
	content, err := from.blob(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(checked(content, desc))
}
