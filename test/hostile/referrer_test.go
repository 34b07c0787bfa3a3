package hostile

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/test/stage"
	"sealift.dev/verify"
)

// referred is a vector of a referrer beside ours, which is passed over: the release
// is delivered, and refused if that referrer is all there is.
func referred(name string, make func(w *world, d *ocispec.Manifest)) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		if !hostile {
			return
		}
		layer := w.blob(verify.BundleType, strangers().bundle(w.t, statementOf(w.ref.Digest)))
		m := ocispec.Manifest{ArtifactType: verify.BundleType, Layers: []ocispec.Descriptor{layer},
			Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: 1}}
		make(w, &m)
		kept := w.referrers
		w.referrers = nil
		w.list(w.store(m))
		w.referrers = append(w.referrers, kept...)
		w.list()
	}, "", "", "", false, ""}
}

// alone is a vector of our own signature, in a referrer that must not count.
func alone(name, reason, text string, make func(w *world, m *ocispec.Manifest)) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		if !hostile {
			return
		}
		layer := w.blob(verify.BundleType, w.signer.bundle(w.t, statementOf(w.ref.Digest)))
		m := ocispec.Manifest{ArtifactType: verify.BundleType, Layers: []ocispec.Descriptor{layer},
			Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: 1}}
		make(w, &m)
		w.referrers = nil
		w.list(w.store(m))
	}, "verify", reason, text, false, ""}
}

// flood lists n more referrers before ours, or behind it.
func (w *world) flood(n int, before bool) {
	w.t.Helper()
	config := w.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	kept := w.referrers
	if before {
		w.referrers = nil
	}
	more := make([]ocispec.Descriptor, 0, n)
	for i := range n {
		more = append(more, w.store(ocispec.Manifest{ArtifactType: verify.BundleType, Config: config, Annotations: map[string]string{"n": fmt.Sprint(i)}}))
	}
	w.list(more...)
	if before {
		w.referrers = append(w.referrers, kept...)
		w.list()
	}
}

func TestReferrers(t *testing.T) {
	const other = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	bomb := func(w *world) []byte {
		return zip(w.t, func(out io.Writer) error { _, err := io.CopyN(out, zeros{}, 200<<20); return err })
	}
	runAll(t, Referrers, []vector{
		{"9,999 descriptors behind ours", func(w *world, hostile bool) {
			w.publish()
			w.flood(pick(hostile, 9_999, 10), false)
		}, "", "", "", false, ""},
		{"9,999 descriptors before ours", func(w *world, hostile bool) {
			w.publish()
			w.flood(pick(hostile, 9_999, 10), true)
		}, "verify", "Untrusted", "the limit of 1024 signatures", false, ""},
		{"10,001 descriptors before ours", func(w *world, hostile bool) {
			w.publish()
			w.flood(pick(hostile, 10_001, 10), true)
		}, "verify", "Untrusted", "the search ended at", false, ""},
		{"pages without end", func(w *world, hostile bool) {
			w.publish()
			if !hostile {
				return
			}
			pages := 0
			w.referrers = nil
			w.s.On("", w.referrersPath(), stage.Answer{Do: func(rw http.ResponseWriter, r *http.Request) {
				pages++
				rw.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				rw.Header().Set("Link", fmt.Sprintf(`<%s?n=%d>; rel="next"`, r.URL.Path, pages))
				_, _ = io.WriteString(rw, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			}})
		}, "verify", "Untrusted", "more than 64 pages", false, ""},
		{"next page on another host", func(w *world, hostile bool) {
			w.publish()
			link := pick(hostile, "http://"+w.canary(true).Host+"/next", w.s.URL()+"/next")
			w.s.On("", "/next", stage.Answer{Body: []byte(encode(w.t, map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": w.referrers})), Header: http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}}})
			w.s.On("", w.referrersPath(), stage.Answer{Body: []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`),
				Header: http.Header{"Content-Type": {ocispec.MediaTypeImageIndex}, "Link": {"<" + link + `>; rel="next"`}}})
		}, "verify", "Untrusted", "on another host", false, ""},
		alone("of another subject", "NotSigned", "its subject is another", func(_ *world, m *ocispec.Manifest) { m.Subject.Digest = other }),
		alone("of no subject", "NotSigned", "its subject is another", func(w *world, m *ocispec.Manifest) { m.Subject = nil }),
		{"manifest that is not what the descriptor says", func(w *world, hostile bool) {
			w.publish()
			d := w.referrers[0].(ocispec.Descriptor)
			if hostile {
				w.s.On("", w.manifestPath(d.Digest.String()), stage.Answer{Body: w.manifest, Header: http.Header{"Content-Type": {d.MediaType}}})
			}
		}, "verify", "Untrusted", "its bytes have the digest", false, ""},
		alone("with no layer", "Untrusted", "0 layers", func(_ *world, m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{} }),
		alone("with two layers", "Untrusted", "2 layers", func(_ *world, m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }),
		referred("odd one beside ours", func(_ *world, m *ocispec.Manifest) { m.Layers, m.Subject.Digest = nil, other }),
		referred("bundle of 200 KiB that inflates to 200 MiB", func(w *world, m *ocispec.Manifest) { m.Layers[0] = w.blob(verify.BundleType, bomb(w)) }),
		{"bundle of 1 MB", func(w *world, hostile bool) {
			w.publish()
			w.referrers = nil
			data := strings.Replace(string(w.signer.bundle(w.t, statementOf(w.ref.Digest))), "{", `{"x":"`+strings.Repeat("x", pick(hostile, 1<<20, 0))+`",`, 1)
			if !hostile {
				data = strings.Replace(data, `"x":"",`, "", 1)
			}
			w.attach([]byte(data))
		}, "verify", "Untrusted", "limit of 262144", false, ""},
		{"tag index instead of the API", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				index := encode(w.t, map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": w.referrers})
				w.s.Manifest(repository, ocispec.MediaTypeImageIndex, []byte(index), strings.Replace(w.ref.Digest.String(), ":", "-", 1))
				w.s.On("", w.referrersPath(), stage.Answer{Status: http.StatusNotFound})
			}
		}, "", "", "", false, ""},
		{"registry that answers 500", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				w.s.On("", w.referrersPath(), stage.Answer{Status: http.StatusInternalServerError})
			}
		}, "verify", "Unavailable", "status 500", false, ""},
		{"bundles by 500 strangers", func(w *world, hostile bool) {
			w.publish()
			kept := w.referrers
			w.referrers = nil
			for range pick(hostile, 500, 1) {
				w.attach(strangers().bundle(w.t, statementOf(w.ref.Digest)))
			}
			w.referrers = append(w.referrers, kept...)
			w.list()
		}, "", "", "", false, ""},
		{"descriptors that lie", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				w.list(ocispec.Descriptor{MediaType: "x", Digest: "sha256:x", Size: 1}, ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("x"), Size: -1},
					ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("x"), Size: 1 << 62}, ocispec.Descriptor{ArtifactType: verify.BundleType, Digest: digest.FromString("x"), Size: 1})
			}
		}, "", "", "", false, ""},
	})
}
