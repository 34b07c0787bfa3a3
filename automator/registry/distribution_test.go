package registry_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/automator/registry"
	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// TestDistribution: parts of the list of a real registry, by its own order and its own "last".
func TestDistribution(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, "registry")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	server, err := stage.StartDistribution(t.Context(), bin, dir, stage.DistributionOptions{User: "ann", Password: "secret", PageTags: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	repo := server.Host + "/apps/shop"
	ann := &authn.Basic{Username: "ann", Password: "secret"}
	ref, err := name.NewRepository(repo)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref.Tag("latest"), empty.Image, remote.WithAuth(ann)); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(versions(1, 60), versions(2, 60), []string{"latest", "v1.0.0"})
	tags := filepath.Join(dir, "data/docker/registry/v2/repositories/apps/shop/_manifests/tags")
	for _, tag := range all[:len(all)-2] { // as the registry stores what is pushed, in less time
		if err := os.CopyFS(filepath.Join(tags, tag), os.DirFS(filepath.Join(tags, "latest"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Write(ref.Tag("v1.0.0"), empty.Image, remote.WithAuth(ann)); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	c := anonymous(t, registry.Options{Keychain: keychain(func() string { return "secret" })})
	if tags, listing := list(t, c, repo, "2.5"); !slices.Equal(tags, all) || !listing.Complete || listing.Requests != 3 {
		t.Errorf("%d of %d tags, %+v", len(tags), len(all), listing)
	}
	want := slices.DeleteFunc(slices.Clone(all), func(tag string) bool { return tag < "2.5" })
	if tags, listing := list(t, c, repo, "2.5"); !slices.Equal(tags, want) || listing.Complete || listing.Requests != 1 {
		t.Errorf("%d of %d tags, %+v", len(tags), len(want), listing)
	}
	digest, err := c.Digest(t.Context(), repo, "2.5.0")
	if hash, _ := empty.Image.Digest(); err != nil || digest != hash.String() {
		t.Errorf("%s, %v", digest, err)
	}
}
