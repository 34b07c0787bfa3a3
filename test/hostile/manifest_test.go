package hostile

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
)

// edited is a vector of a manifest that differs in old and new, signed as it is.
func edited(name, old, new, step, reason, text string) vector {
	return vector{name, func(w *world, hostile bool) {
		if hostile {
			w.edit = func(manifest string) string { return strings.Replace(manifest, old, new, 1) }
		}
		w.publish()
	}, step, reason, text, false, ""}
}

// answered is a vector of another answer to the manifest by its digest.
func answered(name, step, reason, text string, answer func(w *world, a *stage.Answer)) vector {
	return vector{name, func(w *world, hostile bool) {
		w.publish()
		a := stage.Answer{Body: w.manifest, Header: http.Header{
			"Content-Type": {ocispec.MediaTypeImageManifest}, "Docker-Content-Digest": {w.ref.Digest.String()}}}
		if hostile {
			answer(w, &a)
		}
		w.s.On("", w.manifestPath(w.ref.Digest.String()), a)
	}, step, reason, text, false, ""}
}

// endless writes data until the reader is gone.
func endless(ctx context.Context, w io.Writer, data []byte) error {
	for ctx.Err() == nil {
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// slowly writes a byte a second, as much as a patient reader would take.
func slowly(data []byte) func(ctx context.Context, w io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		for _, b := range data {
			if _, err := w.Write([]byte{b}); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
		return nil
	}
}

func TestManifests(t *testing.T) {
	annotations := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"a%d":"",`, i)
		}
		return `"annotations":{` + b.String()
	}
	vectors := []vector{
		answered("another body than the digest says", "verify", "Malformed", "its bytes have the digest", func(_ *world, a *stage.Answer) { a.Body = append(a.Body, ' ') }),
		answered("wrong digest header", "", "", "", func(_ *world, a *stage.Answer) {
			a.Header.Set("Docker-Content-Digest", digest.FromString("x").String())
		}),
		{"HEAD and GET disagree", func(w *world, hostile bool) {
			w.publish()
			told := w.ref.Digest
			if hostile {
				told = digest.FromString("another")
			}
			w.s.On(http.MethodHead, w.manifestPath("main"), stage.Answer{Header: http.Header{"Docker-Content-Digest": {told.String()}}})
			w.s.On("", w.manifestPath(digest.FromString("another").String()), stage.Answer{Body: w.manifest, Header: http.Header{"Content-Type": {ocispec.MediaTypeImageManifest}}})
		}, "verify", "Malformed", "its bytes have the digest", false, ""},
		edited("manifest over 4 MiB", `"layers"`, strings.Repeat(" ", 4<<20)+`"layers"`, "verify", "Malformed", "more than 4194304 bytes"),
		answered("manifest without end", "verify", "Malformed", "more than 4194304 bytes", func(w *world, a *stage.Answer) {
			a.Stream = func(ctx context.Context, out io.Writer) error { return endless(ctx, out, make([]byte, 1<<16)) }
		}),
		answered("content encoding gzip", "verify", "Malformed", "content encoding", func(_ *world, a *stage.Answer) {
			a.Header.Set("Content-Encoding", "gzip")
			a.Stream = func(_ context.Context, out io.Writer) error {
				zip := gzip.NewWriter(out)
				_, err := io.CopyN(zip, zeros{}, 1<<30)
				return err
			}
		}),
		edited("no media type", `"mediaType":"application/vnd.oci.image.manifest.v1+json",`, "", "verify", "Malformed", "media type"),
		answered("media type against content type", "verify", "Malformed", "it was sent as", func(_ *world, a *stage.Answer) {
			a.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
		}),
		edited("image and index in one", `"layers"`, `"manifests":[],"layers"`, "verify", "Malformed", "something else"),
		edited("duplicate keys", `"layers"`, `"layers":[],"layers"`, "verify", "Malformed", "twice"),
		edited("keys that differ in case", `"layers"`, `"Layers":[],"layers"`, "verify", "Malformed", "case only"),
		{"Docker schema 1", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				const kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
				w.ref.Digest = w.s.Manifest(repository, kind, []byte(`{"schemaVersion":1,"name":"x","fsLayers":[],"signatures":[]}`), "main")
			}
		}, "verify", "Malformed", "schema version", false, ""},
		{"an index", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				index := encode(w.t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, Digest: w.ref.Digest, Size: 1}}})
				w.s.Manifest(repository, ocispec.MediaTypeImageIndex, []byte(strings.Replace(index, `"schemaVersion":0`, `"schemaVersion":2`, 1)), "main")
			}
		}, "verify", "Malformed", "media type", false, ""},
		{"no layer", func(w *world, hostile bool) {
			w.edit = func(m string) string { return layers(m, pick(hostile, 0, 1)) }
			w.publish()
		}, "pull", "Invalid", "no layer", false, ""},
		{"two layers", func(w *world, hostile bool) {
			w.edit = func(m string) string { return layers(m, pick(hostile, 2, 1)) }
			w.publish()
		}, "pull", "Invalid", "2 layers", false, ""},
		sized("layer size negative", func(int) int64 { return -1 }, "verify", "Malformed", "size of -1"),
		sized("layer size 2^62", func(int) int64 { return 1 << 62 }, "verify", "Malformed", "size of 4611686018427387904"),
		sized("layer size 20 MiB over the bytes", func(n int) int64 { return int64(n) + 20<<20 }, "pull", "Corrupt", "instead of the"),
		sized("layer size smaller than the bytes", func(n int) int64 { return int64(n) - 1 }, "pull", "Corrupt", "more bytes than the"),
		{"layer of other bytes", func(w *world, hostile bool) {
			w.publish()
			w.s.On("", w.blobPath(w.layer), stage.Answer{Body: append([]byte{pick(hostile, byte('x'), w.layer[0])}, w.layer[1:]...)})
		}, "pull", "Corrupt", "have the digest", false, ""},
		{"layer without end", func(w *world, hostile bool) {
			w.publish()
			if hostile {
				w.s.On("", w.blobPath(w.layer), stage.Answer{Stream: func(ctx context.Context, out io.Writer) error { return endless(ctx, out, w.layer) }})
			}
		}, "pull", "Corrupt", "more bytes than the", false, ""},
		{"layer with foreign urls", func(w *world, hostile bool) {
			foreign := w.canary(true)
			w.edit = func(m string) string {
				return strings.Replace(m, `"layers":[{`, `"layers":[{`+pick(hostile, `"urls":["`+foreign.URL()+`"],`, `"annotations":{},`), 1)
			}
			w.publish()
		}, "verify", "Malformed", "lies elsewhere", false, ""},
		edited("annotation of 1 MiB", `"annotations":{`, `"annotations":{"a":"`+strings.Repeat("x", 1<<20)+`",`, "verify", "Malformed", "bytes of annotations"),
		edited("100,000 annotations", `"annotations":{`, annotations(100_000), "verify", "Malformed", "annotations are more than 256"),
		{"revision with escape codes", func(w *world, hostile bool) {
			w.annotations[artifact.AnnotationSequence] = "8"
			w.annotations[ocispec.AnnotationRevision] = pick(hostile, "main\x1b[2J\u202e\x00@sha1:2f2dd1b", "main@sha1:2f2dd1b")
			w.publish()
		}, "", "", "", false, ""},
		{"blob redirected to another host", func(w *world, hostile bool) {
			w.redirected(pick(hostile, w.elsewhere, w.here))
		}, "", "", "", false, ""},
		{"blob redirected to plain HTTP", func(w *world, hostile bool) {
			w.redirected(pick(hostile, w.elsewhere, w.here))
		}, "pull", "Unavailable", "redirect from https", true, ""},
		{"blob redirected to a metadata address", func(w *world, hostile bool) {
			w.redirected(pick(hostile, func() string { return "http://169.254.169.254/latest" }, w.elsewhere))
		}, "pull", "Unavailable", "link-local", false, ""},
		answered("one byte a second", "verify", "Unavailable", "too slow", func(w *world, a *stage.Answer) { a.Stream = slowly(w.manifest) }),
	}
	runAll(t, Manifests, vectors)
}

// layers makes a manifest have n layers, each the same.
func layers(manifest string, n int) string {
	before, rest, _ := strings.Cut(manifest, `"layers":[`)
	one, after, _ := strings.Cut(rest, "]")
	return before + `"layers":[` + strings.Join(slices.Repeat([]string{one}, n), ", ") + "] " + after
}

// sized is a vector of a layer's size in the manifest.
func sized(name string, size func(n int) int64, step, reason, text string) vector {
	return vector{name, func(w *world, hostile bool) {
		if hostile {
			w.edit = func(m string) string {
				honest, i := fmt.Sprintf(`"size":%d`, len(w.layer)), strings.Index(m, `"layers"`)
				return m[:i] + strings.Replace(m[i:], honest, fmt.Sprintf(`"size":%d`, size(len(w.layer))), 1)
			}
		}
		w.publish()
	}, step, reason, text, false, ""}
}

// redirected publishes a release whose layer lies where to says, and whose registry
// wants a password for it.
func (w *world) redirected(to func() string) {
	w.password = secret
	w.publish()
	target := to()
	w.s.On("", w.blobPath(w.layer), stage.Answer{Do: func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			rw.Header().Set("Www-Authenticate", `Basic realm="x"`)
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(rw, r, target, http.StatusTemporaryRedirect)
	}})
}

// elsewhere is the layer on another host, here on this one.
func (w *world) elsewhere() string {
	c := w.canary(false)
	c.On("", "/blob", stage.Answer{Body: w.layer})
	return "http://" + c.Host + "/blob"
}

func (w *world) here() string {
	w.s.On("", "/blob", stage.Answer{Body: w.layer})
	return w.s.URL() + "/blob"
}
