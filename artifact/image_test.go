package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParseImage(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	for written, want := range map[string]string{
		"nginx":                          "docker.io/library/nginx:latest",
		"nginx:1.27":                     "docker.io/library/nginx:1.27",
		"bitnami/redis":                  "docker.io/bitnami/redis:latest",
		"docker.io/nginx":                "docker.io/library/nginx:latest",
		"index.docker.io/library/nginx":  "docker.io/library/nginx:latest",
		"localhost/a":                    "localhost/a:latest",
		"host:5000/a/b:tag@" + d:         "host:5000/a/b:tag@" + d,
		"nginx@" + d:                     "docker.io/library/nginx:@" + d,
		"registry.k8s.io/pause:3.10":     "registry.k8s.io/pause:3.10",
		"GHCR.io/acme/app:v1":            "ghcr.io/acme/app:v1",
		"":                               "",
		"oci://ghcr.io/acme/app":         "",
		"https://ghcr.io/acme/app":       "",
		"nginx:":                         "",
		"Nginx":                          "",
		"ghcr.io/a/../b":                 "",
		"nginx@sha256:abc":               "",
		"nginx@md5:abc":                  "",
		"a b":                            "",
		"ghcr.io/acme/app:v1@" + d + "/": "",
		"\x1b[31m/a":                     "",
	} {
		a, err := ParseImage(written)
		got := ""
		if err == nil {
			got = a.Repository.String() + ":" + a.Tag
			if a.Digest != "" {
				got += "@" + a.Digest.String()
			}
		}
		if got != want || err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: got %q %v, want %q", written, got, err, want)
		}
	}
}

// pushImage stores an image of one platform under a tag, in an index with an
// attestation where platforms are several.
func pushImage(t *testing.T, repository Repository, tag string, platforms ...v1.Platform) string {
	t.Helper()
	reference, err := name.ParseReference(repository.String()+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	var images []mutate.IndexAddendum
	for _, p := range append(platforms, v1.Platform{OS: "unknown", Architecture: "unknown"}) {
		image, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
		if image, err = mutate.ConfigFile(image, config); err != nil {
			t.Fatal(err)
		}
		if len(platforms) == 1 {
			if err := remote.Write(reference, image); err != nil {
				t.Fatal(err)
			}
			d, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			return d.String()
		}
		images = append(images, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &p}})
	}
	index := mutate.AppendManifests(empty.Index, images...)
	if err := remote.WriteIndex(reference, index); err != nil {
		t.Fatal(err)
	}
	d, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestImage(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	one := pushImage(t, repository, "one", v1.Platform{OS: "linux", Architecture: "amd64"})
	many := pushImage(t, repository, "many",
		v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, v1.Platform{OS: "linux", Architecture: "amd64"})
	for _, c := range []struct {
		written, digest string
		platforms       []string
		is              error
	}{
		{repository.String() + ":one", one, []string{"linux/amd64"}, nil},
		{repository.String() + ":many", many, []string{"linux/amd64", "linux/arm64/v8"}, nil},
		{repository.String() + ":one@" + many, many, []string{"linux/amd64", "linux/arm64/v8"}, nil},
		{repository.String() + "@" + one, one, []string{"linux/amd64"}, nil},
		{repository.String() + ":missing", "", nil, ErrNotFound},
		{repository.String() + "@" + digest.FromString("x").String(), "", nil, ErrNotFound},
		{"127.0.0.1:1/a:b", "", nil, ErrUnavailable},
	} {
		image, err := r.Image(t.Context(), c.written)
		if !errors.Is(err, c.is) || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%q", c.written)) {
			t.Errorf("%s: %v", c.written, err)
			continue
		}
		if err == nil && (image.Digest != c.digest || !slices.Equal(image.Platforms, c.platforms) || image.Name != repository.String()) {
			t.Errorf("%s: got %+v", c.written, image)
		}
	}
}

func TestImageRefuses(t *testing.T) {
	index := func(platform string) string {
		return `{"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1,"platform":` + platform + `}]}`
	}
	var platforms []ocispec.Descriptor
	for i := range maxPlatforms + 1 {
		platforms = append(platforms, ocispec.Descriptor{Platform: &ocispec.Platform{OS: "linux", Architecture: fmt.Sprint("a", i)}})
	}
	many, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": platforms})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body, contentType, want string
		is                      error
	}{
		"good":              {index(`{"os":"linux","architecture":"amd64"}`), ocispec.MediaTypeImageIndex, "", nil},
		"artifact":          {strings.Replace(goodManifest, "manifest.v1", "manifest.v1", 1), ocispec.MediaTypeImageManifest, "", nil},
		"no type":           {index(`{}`), "text/html", "not an image's", ErrCorrupt},
		"schema 1":          {`{"schemaVersion":1}`, "application/vnd.docker.distribution.manifest.v1+json", "schema version", ErrCorrupt},
		"both":              {strings.Replace(goodManifest, `"layers"`, `"manifests":[],"layers"`, 1), ocispec.MediaTypeImageManifest, "in one document", ErrCorrupt},
		"escape code":       {index(`{"os":"\u001b[31m","architecture":"a"}`), ocispec.MediaTypeImageIndex, "no platform", ErrCorrupt},
		"many platforms":    {string(many), ocispec.MediaTypeImageIndex, "129 platforms", ErrLimit},
		"refused, with why": {"", "", "hint: log in", ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			handler := answerWith(c.body, c.contentType)
			if c.is == ErrUnauthorized {
				handler = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }
			}
			repository := serve(t, handler)
			_, err := NewRegistry(Options{PlainHTTP: true}).Image(t.Context(), repository.String()+":x")
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}
