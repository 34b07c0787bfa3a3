package artifact_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
)

// TestResolveAtOddRegistries: where HEAD tells nothing, or is refused, one GET does; a
// digest that is none is refused, and one that is a lie is found out when it is read.
func TestResolveAtOddRegistries(t *testing.T) {
	const path, kind = "/v2/deploy/shop/manifests/", "application/vnd.oci.image.manifest.v1+json"
	manifest := []byte(`{"schemaVersion":2,"mediaType":"` + kind + `","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`)
	told := func(d string) stage.Answer { return stage.Answer{Header: http.Header{"Docker-Content-Digest": {d}}} }
	right, other := digest.FromBytes(manifest), digest.FromString("another")
	for name, tt := range map[string]struct {
		head     stage.Answer
		want     digest.Digest
		err      error // of resolving, and of nothing else
		requests int
	}{
		"it tells":           {told(right.String()), right, nil, 1},
		"it tells nothing":   {stage.Answer{}, right, nil, 2},
		"it knows no HEAD":   {stage.Answer{Status: http.StatusMethodNotAllowed}, right, nil, 2},
		"nor does a proxy":   {stage.Answer{Status: http.StatusNotImplemented}, right, nil, 2},
		"it tells nonsense":  {told("sha256:../../etc"), "", artifact.ErrCorrupt, 1},
		"another algorithm":  {told(digest.SHA512.FromBytes(manifest).String()), "", artifact.ErrCorrupt, 1},
		"it refuses":         {stage.Answer{Status: http.StatusForbidden}, "", artifact.ErrUnauthorized, 1},
		"it tells a lie":     {told(other.String()), other, nil, 1},
		"there is no such":   {stage.Answer{Status: http.StatusNotFound}, "", artifact.ErrNotFound, 1},
		"it is out of order": {stage.Answer{Status: http.StatusInternalServerError}, "", artifact.ErrUnavailable, 1},
	} {
		registry, err := stage.NewScripted(stage.ScriptedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { registry.Close() })
		answer := stage.Answer{Header: http.Header{"Content-Type": {kind}}, Body: manifest}
		registry.On("HEAD", path+"main", tt.head)
		registry.On("GET", path+"main", answer)
		registry.On("GET", path+other.String(), answer)
		client := artifact.NewRegistry(artifact.Options{PlainHTTP: true, Patience: -1})
		place := artifact.Repository{Host: registry.Host, Path: "deploy/shop"}
		ref, err := client.Resolve(t.Context(), place, "main")
		if ref.Digest != tt.want || !errors.Is(err, tt.err) || len(registry.Asked()) != tt.requests {
			t.Errorf("%s: %s after %d requests: %v", name, ref.Digest, len(registry.Asked()), err)
		}
		if tt.want != other {
			continue
		}
		if _, err := client.Manifest(t.Context(), ref); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s, and is believed: %v", name, err)
		}
	}
}
