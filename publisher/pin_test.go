package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/publisher"
)

// image pushes an image to the world's registry, and gives its digest.
func (w *world) image(repositoryAndTag string) string {
	w.t.Helper()
	image, err := random.Image(64, 1)
	if err == nil {
		image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: "arm64", Author: repositoryAndTag, RootFS: v1.RootFS{Type: "layers"}})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	reference, err := name.ParseReference(w.host+"/"+repositoryAndTag, name.Insecure)
	if err == nil {
		err = remote.Write(reference, image)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

// files are what the environment prod of the release at main holds.
func (w *world) files() string {
	w.t.Helper()
	ref, err := w.registry.Resolve(w.t.Context(), w.repository(), "main")
	if err != nil {
		w.t.Fatal(err)
	}
	release, err := w.registry.Fetch(w.t.Context(), ref, artifact.DefaultLimits())
	if err != nil {
		w.t.Fatal(err)
	}
	return string(release.Files[0].Data)
}

// counted counts how often each image is asked for.
type counted struct {
	*artifact.Registry
	mu    sync.Mutex
	asked map[string]int
}

func (c *counted) Image(ctx context.Context, written string) (artifact.Image, error) {
	c.mu.Lock()
	c.asked[written]++
	c.mu.Unlock()
	return c.Registry.Image(ctx, written)
}

func TestPin(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.image("apps/shop:1.0.0"), w.image("apps/shop:latest"), w.image("apps/proxy:2")
	shop, proxy := w.host+"/apps/shop", w.host+"/apps/proxy"
	w.commit("prod/a.yaml", fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {
  initContainers: [{name: i, image: "%[1]s"}],
  containers: [{name: a, image: "%[1]s:1.0.0"}, {name: b, image: "%[1]s:1.0.0"}, {name: c}],
  volumes: [{name: v, image: {reference: "%[2]s:2@%[3]s"}}, {name: e, emptyDir: {}}]}}}
---
apiVersion: example.com/v1
kind: Cart
metadata: {name: cart}
spec: {image: "%[1]s:1.0.0", sidecars: [{image: "%[2]s:2"}, {}]}
---
apiVersion: example.com/v1
kind: Other
metadata: {name: other}
spec: {image: "not an image"}
`, shop, proxy, three))
	o := w.as()
	asked := &counted{Registry: w.registry, asked: map[string]int{}}
	o.Images = asked
	o.ImagePaths = []objects.ImagePath{{APIVersion: "example.com", Kind: "Cart", Fields: []objects.Field{field(t, "spec.image"), field(t, "spec.sidecars[*].image")}}}
	r := w.publish(o)
	got := w.files()
	for _, want := range []string{
		"image: " + shop + ":1.0.0@" + one, "image: " + shop + "@" + two, "reference: " + proxy + ":2@" + three, "image: " + proxy + ":2@" + three, "image: not an image",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
	for written, times := range asked.asked {
		if times != 1 {
			t.Errorf("asked %d times for %s", times, written)
		}
	}
	if len(r.Images) != 3 || r.Images[0].Name != proxy || r.Images[0].Digest != three || r.Images[1].Digest != two || strings.Join(r.Images[2].Platforms, " ") != "linux/arm64" || r.Images[2].Tag != "1.0.0" {
		t.Errorf("%+v", r.Images)
	}
	// The tag moves on; publishing the same commit does not.
	w.image("apps/shop:1.0.0")
	if again := w.publish(o); !again.Unchanged || again.Digest != r.Digest {
		t.Errorf("%+v", again)
	}
	w.commit("x", "")
	if next := w.publish(o); next.Digest == r.Digest || next.Images[2].Digest == one {
		t.Errorf("%+v", next)
	}
}

func field(t *testing.T, path string) objects.Field {
	t.Helper()
	f, err := objects.ParseField(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPinRefuses(t *testing.T) {
	w := newWorld(t)
	known := w.image("apps/shop:1.0.0")
	absent := "sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct{ image, want string }{
		"no such tag":      {w.host + "/apps/shop:2", "not found"},
		"no such digest":   {w.host + "/apps/shop:1.0.0@" + absent, "not found"},
		"no such registry": {"127.0.0.1:1/apps/shop:1", "127.0.0.1:1"},
		"no image":         {"Not An Image", "no image reference"},
	} {
		t.Run(name, func(t *testing.T) {
			w.commit("prod/a.yaml", strings.Replace(deployment, "registry.example.com/shop:1.0.0", c.image, 1))
			o := w.as()
			o.Images = w.registry
			writes := w.writes
			_, err := publisher.Publish(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the environment prod: Deployment shop: ") || w.writes != writes {
				t.Errorf("%v, %d writes", err, w.writes-writes)
			}
		})
	}
	// The benign twin.
	w.commit("prod/a.yaml", strings.Replace(deployment, "registry.example.com/shop:1.0.0", w.host+"/apps/shop:1.0.0", 1))
	o := w.as()
	o.Images = w.registry
	if r := w.publish(o); r.Images[0].Digest != known {
		t.Errorf("%+v", r)
	}
}

// trusting lets in the images of one digest.
type trusting string

func (d trusting) VerifyImage(_ context.Context, ref artifact.Ref) ([]string, error) {
	if ref.Digest.String() != string(d) {
		return nil, errors.New("nobody signed it")
	}
	return []string{"builder"}, nil
}

func TestVerifyImages(t *testing.T) {
	w := newWorld(t)
	signed := w.image("apps/shop:1.0.0")
	w.commit("prod/a.yaml", strings.Replace(deployment, "registry.example.com/shop:1.0.0", w.host+"/apps/shop:1.0.0", 1))
	o := w.as()
	o.Images, o.ImageVerifier = w.registry, trusting(signed)
	if r := w.publish(o); len(r.Images) != 1 || strings.Join(r.Images[0].SignedBy, " ") != "builder" {
		t.Errorf("%+v", r.Images)
	}
	w.commit("x", "")
	w.image("apps/shop:1.0.0")
	writes := w.writes
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "Deployment shop: verifying the image") || w.writes != writes {
		t.Errorf("%v, %d writes", err, w.writes-writes)
	}
}

// TestTooManyImages: nobody is asked for any of them.
func TestTooManyImages(t *testing.T) {
	w := newWorld(t)
	var images strings.Builder
	for i := range 5001 {
		fmt.Fprintf(&images, "  - %s/apps/shop:%d\n", w.host, i)
	}
	w.commit("prod/a.yaml", "apiVersion: example.com/v1\nkind: Cart\nmetadata: {name: a}\nspec:\n  images:\n"+images.String())
	o := w.as()
	asked := &counted{Registry: w.registry, asked: map[string]int{}}
	o.Images = asked
	o.ImagePaths = []objects.ImagePath{{APIVersion: "example.com", Kind: "Cart", Fields: []objects.Field{field(t, "spec.images[*]")}}}
	if _, err := publisher.Publish(t.Context(), o); err == nil || !strings.Contains(err.Error(), "names 5001 images, more than 5000") || w.writes > 0 || len(asked.asked) > 0 {
		t.Errorf("%v, %d asked for", err, len(asked.asked))
	}
}

// TestPinAgainBesideDigests: a tag that is also written with another digest keeps the
// digest that it was published with.
func TestPinAgainBesideDigests(t *testing.T) {
	w := newWorld(t)
	old := []string{w.image("apps/shop:1.0.0"), w.image("apps/shop:1.0.0"), w.image("apps/shop:1.0.0")}
	w.image("apps/shop:1.0.0")
	pod := func(name, image string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: a, image: '%s'}]}\n", name, image)
	}
	shop := w.host + "/apps/shop:1.0.0"
	w.commit("prod/a.yaml", pod("a", shop)+pod("b", shop+"@"+old[0])+pod("c", shop+"@"+old[1])+pod("d", shop+"@"+old[2]))
	o := w.as()
	o.Images = w.registry
	r := w.publish(o)
	for range 4 { // whatever the order of digests
		w.image("apps/shop:1.0.0")
		if again := w.publish(o); !again.Unchanged || again.Digest != r.Digest {
			t.Errorf("%+v", again)
		}
	}
}

// TestPinTwiceNamed: a place that is listed twice, or is a built-in workload's, is one.
func TestPinTwiceNamed(t *testing.T) {
	w := newWorld(t)
	digest := w.image("apps/shop:1.0.0")
	w.commit("prod/a.yaml", strings.Replace(deployment, "registry.example.com/shop:1.0.0", w.host+"/apps/shop:1.0.0", 1)+
		fmt.Sprintf("---\napiVersion: example.com/v1\nkind: Cart\nmetadata: {name: cart}\nspec: {image: '%s/apps/shop:1.0.0'}\n", w.host))
	o := w.as()
	o.Images = w.registry
	o.ImagePaths = []objects.ImagePath{
		{APIVersion: "apps", Kind: "Deployment", Fields: []objects.Field{field(t, "spec.template.spec.containers[*].image")}},
		{APIVersion: "example.com", Kind: "Cart", Fields: []objects.Field{field(t, "spec.image"), field(t, "spec.image")}},
		{APIVersion: "example.com/v1", Kind: "Cart", Fields: []objects.Field{field(t, "spec.image")}},
	}
	if r := w.publish(o); len(r.Images) != 1 || r.Images[0].Digest != digest || strings.Count(w.files(), "apps/shop:1.0.0@"+digest+"\n") != 2 {
		t.Errorf("%+v\n%s", r.Images, w.files())
	}
}

// TestPinAgainWithoutVersion: the channel says what was published, too, where another
// ref's release has the version.
func TestPinAgainWithoutVersion(t *testing.T) {
	w := newWorld(t)
	w.image("apps/shop:1.0.0")
	w.commit("prod/a.yaml", strings.Replace(deployment, "registry.example.com/shop:1.0.0", w.host+"/apps/shop:1.0.0", 1))
	o := w.as()
	o.Images = w.registry
	w.publish(o)
	w.git("checkout", "-q", "--orphan", "other")
	w.commit("x", "y")
	r := w.publish(o)
	w.image("apps/shop:1.0.0")
	if again := w.publish(o); r.VersionTaken == "" || !again.Unchanged || again.Digest != r.Digest {
		t.Errorf("%+v\n%+v", r, again)
	}
}
