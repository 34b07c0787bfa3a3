package registry_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/automator/registry"
	"sealift.dev/test/stage"
)

func digestOf(data string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(data))) }

// image is a small image for one platform.
func image(t *testing.T, p v1.Platform) v1.Image {
	t.Helper()
	i, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func write(t *testing.T, reference string, write func(name.Reference) error) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(ref); err != nil {
		t.Fatal(err)
	}
}

func TestDigestAndPlatforms(t *testing.T) {
	var requests atomic.Int32
	server, err := stage.NewRegistry(stage.RegistryOptions{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			next.ServeHTTP(w, r)
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	repo := server.Host + "/apps/shop"
	amd, arm := v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	unknown := v1.Platform{OS: "unknown", Architecture: "unknown"}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image(t, arm), Descriptor: v1.Descriptor{Platform: &arm}},
		mutate.IndexAddendum{Add: image(t, amd), Descriptor: v1.Descriptor{Platform: &amd}},
		mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{Platform: &unknown, Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}})
	write(t, repo+":index", func(ref name.Reference) error { return remote.WriteIndex(ref, index) })
	write(t, repo+":single", func(ref name.Reference) error { return remote.Write(ref, image(t, arm)) })
	write(t, repo+":none", func(ref name.Reference) error { return remote.Write(ref, empty.Image) })

	c := anonymous(t, registry.Options{})
	for tag, want := range map[string][]string{"index": {"linux/amd64", "linux/arm64/v8"}, "single": {"linux/arm64/v8"}, "none": nil} {
		digest, err := c.Digest(t.Context(), repo, tag)
		if err != nil || !strings.HasPrefix(digest, "sha256:") {
			t.Fatalf("%s: %q, %v", tag, digest, err)
		}
		for range 2 {
			got, err := c.Platforms(t.Context(), repo, digest)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v; want %q", tag, got, err, want)
			}
			if len(got) > 0 {
				got[0] = "changed by the caller"
			}
		}
		before := requests.Load()
		if _, err := c.Platforms(t.Context(), repo, digest); err != nil || requests.Load() != before {
			t.Errorf("%s: asked again, %v", tag, err)
		}
	}
	if want, err := index.Digest(); err != nil {
		t.Fatal(err)
	} else if got, err := c.Digest(t.Context(), repo, "index"); got != want.String() || err != nil {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if _, err := c.Digest(t.Context(), repo, "gone"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("no such tag: %v", err)
	}
	if _, err := c.Platforms(t.Context(), repo, digestOf("gone")); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("no such digest: %v", err)
	}
}

func TestDigestWithoutAHeader(t *testing.T) {
	manifest := `{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}`
	for name, test := range map[string]struct {
		head http.HandlerFunc
		want string
	}{
		"none":        {func(http.ResponseWriter, *http.Request) {}, digestOf(manifest)},
		"nonsense":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", "sha256:../x") }, digestOf(manifest)},
		"not allowed": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }, digestOf(manifest)},
		"as it is":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Docker-Content-Digest", digestOf("x")) }, digestOf("x")},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					test.head(w, r)
					return
				}
				w.Header().Set("Docker-Content-Digest", digestOf("a lie"))
				fmt.Fprint(w, manifest)
			})
			if got, err := anonymous(t, registry.Options{}).Digest(t.Context(), d.repo, "1.0.0"); got != test.want || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestBadManifests(t *testing.T) {
	config := `{"os": "linux", "architecture": "amd64"}`
	manifest := fmt.Sprintf(`{"config": {"digest": %q}}`, digestOf(config))
	for name, test := range map[string]struct{ manifest, config, want string }{
		"good":           {manifest, config, ""},
		"other manifest": {manifest + " ", config, "the manifest that the registry gave is sha256:"},
		"other config":   {manifest, config + " ", "the configuration that the registry gave is sha256:"},
		"large":          {strings.Repeat(" ", 4<<20) + manifest, config, "larger than 4194304 bytes"},
		"large config":   {manifest, strings.Repeat(" ", 4<<20) + config, "larger than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") {
					fmt.Fprint(w, test.manifest)
				} else {
					fmt.Fprint(w, test.config)
				}
			})
			got, err := anonymous(t, registry.Options{}).Platforms(t.Context(), d.repo, digestOf(manifest))
			if test.want == "" && (err != nil || !slices.Equal(got, []string{"linux/amd64"})) ||
				test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
	many := `{"manifests": [` + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + `]}`
	for manifest, want := range map[string]string{
		`{"manifests": [], "config": {}}`:       "an image and an index at once",
		`{"schemaVersion": 1, "fsLayers": []}`:  "schema 1 is not supported",
		`{"config": {"digest": "sha256:../x"}}`: "has no sha256 digest",
		`{"config": {"digest": 5}}`:             "reading the manifest",
		`<html>`:                                "reading the manifest",
		many:                                    "more than 1000 manifests",
		`{"manifests": [{"platform": {"os": "li nux", "architecture": "x"}}]}`: "",
	} {
		d := newDesk(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, manifest) })
		got, err := anonymous(t, registry.Options{}).Platforms(t.Context(), d.repo, digestOf(manifest))
		if len(got) > 0 || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %q, %v; want %q", manifest, got, err, want)
		}
	}
}

func TestBadReferences(t *testing.T) {
	c := anonymous(t, registry.Options{})
	for _, tag := range []string{"", "../x", "a/b", "a b", "a\n", strings.Repeat("x", 129), "sha256:" + strings.Repeat("0", 64)} {
		if _, err := c.Digest(t.Context(), "localhost:1/apps/shop", tag); err == nil || !strings.Contains(err.Error(), "is no tag") {
			t.Errorf("%q: %v", tag, err)
		}
		if _, err := c.Platforms(t.Context(), "localhost:1/apps/shop", tag+"x"); err == nil || !strings.Contains(err.Error(), "is no digest") {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

func TestHasPlatform(t *testing.T) {
	platforms := []string{"linux/amd64", "linux/arm/v7", "linux/arm64/v8", "windows/amd64"}
	for want, has := range map[string]bool{
		"linux/amd64": true, "linux/amd64/v1": true, "linux/arm64": true, "linux/arm64/v8": true, "linux/arm": true,
		"Linux/AMD64": true, "windows/amd64": true, "linux/arm/v6": false, "linux/amd64/v3": false, "linux/arm64/v9": false,
		"linux": false, "": false, "linux/s390x": false,
	} {
		if registry.HasPlatform(platforms, want) != has {
			t.Errorf("%q: %v", want, !has)
		}
	}
}
