package artifact

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestMemoryOfHostileLists: what a registry sends is within its limits, and takes
// a hundred times as much where it is read.
func TestMemoryOfHostileLists(t *testing.T) {
	manifest := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","layers":[` + strings.Repeat("{},", maxManifest/3-100) + "{}]}"
	index := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + strings.Repeat("0,", maxManifest/2-100) + "0]}"
	huge := `{"tags":["` + strings.Repeat("x", maxManifest-100) + `"]}`
	notes := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"a","digest":%q,"size":2,"annotations":{"a":%q}}],"x":%q}`,
		ocispec.MediaTypeImageIndex, digest.FromString("{}"), strings.Repeat("x", 200<<10), strings.Repeat("x", maxManifest-300<<10))
	page := 0
	repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		page++
		next := fmt.Sprintf("<%s?n=%d>; rel=next", request.URL.Path, page)
		switch {
		case strings.Contains(request.URL.Path, "/manifests/"):
			answerWith(manifest, ocispec.MediaTypeImageManifest)(w, request)
		case strings.Contains(request.URL.Path, "/tags/"):
			answerWith(huge, "application/json", "Link", next)(w, request)
		case strings.Contains(request.URL.Path, "/deploy/endless/"):
			answerWith(notes, ocispec.MediaTypeImageIndex, "Link", next)(w, request)
		default:
			answerWith(index, ocispec.MediaTypeImageIndex)(w, request)
		}
	}))
	const most = 256 // MiB, of all that is allocated; the race detector's pools give less back
	r := NewRegistry(Options{PlainHTTP: true})
	endless := Repository{Host: repository.Host, Path: "deploy/endless"}
	for name, read := range map[string]func() error{
		"manifest": func() error {
			_, err := r.Manifest(t.Context(), repository.At(digest.FromString(manifest)))
			return err
		},
		"referrers": func() error {
			_, err := r.Referrers(t.Context(), repository.At(digest.FromString("x")), "", 10)
			return err
		},
		"referrers' pages": func() error {
			_, err := r.Referrers(t.Context(), endless.At(digest.FromString("x")), "", 10_000)
			return err
		},
		"tags": func() error { _, err := r.Tags(t.Context(), repository, 20_000); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			page = 0
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := read()
			runtime.ReadMemStats(&after)
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; !errors.Is(err, ErrLimit) || took > most || page > 8 {
				t.Errorf("%v, %d MiB, %d pages", err, took, page)
			}
		})
	}
}
