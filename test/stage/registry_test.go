package stage_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// push puts a random image into the registry and returns it with its reference.
func push(t *testing.T, host string, options ...remote.Option) (v1.Image, name.Reference) {
	t.Helper()
	image, err := random.Image(256, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host+"/shop:1.0.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, options...); err != nil {
		t.Fatal(err)
	}
	return image, ref
}

// layer reads the image's only layer from the registry, compressed and unchecked.
func layer(t *testing.T, host string, digest v1.Hash) []byte {
	t.Helper()
	response, err := http.Get("http://" + host + "/v2/shop/blobs/" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCorruptFlipsOneBit(t *testing.T) {
	r, err := stage.NewRegistry(stage.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	image, _ := push(t, r.Host)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}

	before := layer(t, r.Host, digest)
	if err := r.Corrupt(digest.String()); err != nil {
		t.Fatal(err)
	}
	after := layer(t, r.Host, digest)
	different := 0
	for at := range before {
		for bits := before[at] ^ after[at]; bits != 0; bits &= bits - 1 {
			different++
		}
	}
	if different != 1 || len(before) != len(after) {
		t.Errorf("%d bits of %d bytes differ, want 1", different, len(before))
	}
	if got, _, err := v1.SHA256(bytes.NewReader(after)); err != nil || got == digest {
		t.Errorf("the corrupt blob still has digest %s (%v)", got, err)
	}
	if err := r.Corrupt("sha256:" + "0000000000000000000000000000000000000000000000000000000000000000"); err == nil {
		t.Error("corrupting a blob that is not there succeeded")
	}
}

func TestReferrersAPIOnlyWhereAskedFor(t *testing.T) {
	for _, want := range []bool{true, false} {
		r, err := stage.NewRegistry(stage.RegistryOptions{Referrers: want})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		image, ref := push(t, r.Host)
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		desc, err := remote.Head(ref)
		if err != nil {
			t.Fatal(err)
		}
		attached := mutate.Subject(image, *desc).(v1.Image)
		if err := remote.Push(ref.Context().Tag("attached"), attached); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + r.Host + "/v2/shop/referrers/" + digest.String())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.StatusCode == http.StatusOK; got != want {
			t.Errorf("referrers API answers %s, want support: %v", response.Status, want)
		}
	}
}

func TestRegistriesAskForThePassword(t *testing.T) {
	r, err := stage.NewRegistry(stage.RegistryOptions{User: "ada", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bin, err := parts.Ensure(t.Context(), os.Stderr, "registry")
	if err != nil {
		t.Fatal(err)
	}
	d, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{User: "ada", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Stop()
	for _, host := range []string{r.Host, d.Host} {
		_, ref := push(t, host, remote.WithAuth(&authn.Basic{Username: "ada", Password: "s3cret"}))
		var refused *transport.Error
		for _, wrong := range []authn.Authenticator{authn.Anonymous, &authn.Basic{Username: "ada", Password: "guess"}} {
			if _, err := remote.Head(ref, remote.WithAuth(wrong)); !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s without the password: %v, want 401", host, err)
			}
		}
	}
}

func TestDistributionWithoutPassword(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, "registry")
	if err != nil {
		t.Fatal(err)
	}
	d, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image, ref := push(t, d.Host)
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if desc, err := remote.Head(ref); err != nil || desc.Digest != want {
		t.Errorf("%v, %v, want %s", desc, err, want)
	}
	d.Stop()
	if _, err := remote.Head(ref); err == nil {
		t.Error("the registry answers after Stop")
	}
}
