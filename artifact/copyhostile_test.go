package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestReferrersWithoutEnd: a source that names ever new referrers of whatever it is
// asked for is asked for those of a release, and not for theirs.
func TestReferrersWithoutEnd(t *testing.T) {
	var asked atomic.Int64
	repository := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		asked.Add(1)
		if !strings.Contains(request.URL.Path, "/referrers/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
		index.SchemaVersion = 2
		for i := range 20 {
			index.Manifests = append(index.Manifests, describe(ocispec.MediaTypeImageManifest, fmt.Append(nil, request.URL.Path, i)))
		}
		answerWith(string(mustJSON(t, index)), ocispec.MediaTypeImageIndex)(w, request)
	}))
	r := NewRegistry(Options{PlainHTTP: true, Patience: -1})
	c := &copier{from: r.In(repository), to: openLayout(t, t.TempDir())}
	if err := c.referrersOf(t.Context(), digest.FromString("release"), 1); err != nil || len(c.done.Skipped) != 20 {
		t.Error(len(c.done.Skipped), err)
	}
	if asked.Load() > 50 {
		t.Error("the source was asked", asked.Load(), "times")
	}
	c.lists = maxCopied
	if err := c.referrersOf(t.Context(), digest.FromString("release"), 1); err != nil || len(c.done.Skipped) != 21 {
		t.Error(len(c.done.Skipped), err)
	}
}

// listing is a place with referrers of its own.
type listing struct {
	Place
	found []ocispec.Descriptor
	err   error
}

func (l listing) referrers(context.Context, digest.Digest) ([]ocispec.Descriptor, error) {
	return l.found, l.err
}

// TestTooManyReferrersAreTold: a signature may be among those that were not seen.
func TestTooManyReferrersAreTold(t *testing.T) {
	c := &copier{from: listing{err: fmt.Errorf("more than 10000 referrers: %w", ErrLimit)}, to: openLayout(t, t.TempDir())}
	if err := c.referrersOf(t.Context(), digest.FromString("release"), 1); err != nil || len(c.done.Skipped) != 1 || !strings.Contains(c.done.Skipped[0].Why, "more than 10000") {
		t.Error(c.done, err)
	}
	for range 200 {
		if err := c.tolerate("", ErrCorrupt); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.done.Skipped) != 100 || c.done.SkippedMore != 101 {
		t.Error(len(c.done.Skipped), c.done.SkippedMore)
	}
}

func referrerOf(subject string, artifactType string, i int) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"a","digest":%q,"size":2},"layers":[],"subject":{"mediaType":"c","digest":%q,"size":1},"annotations":{"n":"%d"}}`,
		ocispec.MediaTypeImageManifest, artifactType, digest.FromString("{}"), digest.FromString(subject), i)
}

// TestStrangersDoNotFillALayout: whoever may attach to a release could make the
// folder that crosses the air gap unreadable, or leave no room for the release.
func TestStrangersDoNotFillALayout(t *testing.T) {
	for name, c := range map[string]struct{ typeBytes, times int }{"large": {1 << 20, 6}, "many": {200, maxReferrers + 10}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := openLayout(t, dir)
			if name == "many" { // as if they had been put one by one
				for i := range maxReferrers - 5 {
					l.index.Manifests = append(l.index.Manifests, describe(ocispec.MediaTypeImageManifest, fmt.Append(nil, i)))
				}
				c.times = 20
			}
			var refused error
			for i := range c.times {
				data := referrerOf("release", strings.Repeat("x", c.typeBytes), i)
				desc := describe(ocispec.MediaTypeImageManifest, data)
				desc.ArtifactType = strings.Repeat("x", c.typeBytes)
				refused = errors.Join(refused, l.putManifest(t.Context(), desc, data, ""))
			}
			if !errors.Is(refused, ErrLimit) {
				t.Error("got", refused)
			}
			if err := l.putManifest(t.Context(), describe(ocispec.MediaTypeImageManifest, []byte(goodManifest)), []byte(goodManifest), "main"); err != nil {
				t.Error("the release has no room:", err)
			}
			if again := openLayout(t, dir); !slices.Equal(again.Names(), []string{"main"}) {
				t.Error(again.Names())
			}
		})
	}
	if _, err := parseNode(referrerOf("release", strings.Repeat("x", maxType+1), 0), ""); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := parseNode(referrerOf("release", strings.Repeat("x", maxType), 0), ""); err != nil {
		t.Error(err)
	}
}

// TestKilledCreationIsBegunAnew leaves what each step of it would leave.
func TestKilledCreationIsBegunAnew(t *testing.T) {
	for name, files := range map[string][]string{
		"folders": {}, "an unfinished file": {"oci-layout.X.part"}, "the version": {"oci-layout"},
		"an unfinished index": {"oci-layout", "index.json.X.part"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, blobFolder), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			openLayout(t, dir)
			openLayout(t, dir)
		})
	}
}

// TestUnfinishedFilesAreNobodyElses has two writers of one blob, of which one is
// slow, and what a killed one left.
func TestUnfinishedFilesAreNobodyElses(t *testing.T) {
	dir := t.TempDir()
	one, two := openLayout(t, dir), openLayout(t, dir)
	content := []byte(strings.Repeat("x", 1<<16) + strings.Repeat("y", 1<<16))
	desc := describe("x", content)
	reader, writer := io.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		if err := one.putBlob(t.Context(), desc, reader); err != nil {
			t.Error(err)
		}
	})
	_, _ = writer.Write(content[:1<<16])
	if err := two.putBlob(t.Context(), desc, strings.NewReader(string(content[:1<<15]))); err != nil { // is killed before it ends
		t.Error(err)
	}
	_, _ = writer.Write(content[1<<16:])
	_ = writer.Close()
	done.Wait()
	data, err := os.ReadFile(filepath.Join(dir, blobPath(desc.Digest)))
	if err != nil || digest.FromBytes(data) != desc.Digest {
		t.Error("the blob is mixed of both:", len(data), err)
	}
	left := filepath.Join(dir, blobFolder, "abc.X"+unfinished)
	for _, c := range []struct {
		age  time.Duration
		kept bool
	}{{time.Minute, true}, {2 * time.Hour, false}} {
		if err := os.WriteFile(left, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(left, time.Time{}, time.Now().Add(-c.age)); err != nil {
			t.Fatal(err)
		}
		openLayout(t, dir)
		if _, err := os.Stat(left); (err == nil) != c.kept {
			t.Error(c, err)
		}
	}
}

// TestCopyTakesNoSignatureAway signs the copy in the legacy format, and copies again.
func TestCopyTakesNoSignatureAway(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	ref := signedRelease(t, r, repository)
	other := Repository{Host: serve(t, realRegistry(true)).Host, Path: "mirror/shop"}
	tag := strings.Replace(ref.Digest.String(), ":", "-", 1) + ".sig"
	if _, err := r.PutBlob(t.Context(), repository, Blob{"x", []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	signed := func(by ...string) []byte {
		var layers []string
		for _, who := range by {
			layers = append(layers, fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":2,"annotations":{"signature":%q}}`, digest.FromString("{}"), who))
		}
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":%q,"size":2},"layers":[%s]}`,
			ocispec.MediaTypeImageManifest, digest.FromString("{}"), strings.Join(layers, ","))
	}
	for _, c := range []struct {
		from, to, want []byte
		skipped        int
	}{
		{signed("a"), nil, signed("a"), 0},
		{signed("a", "b"), nil, signed("a", "b"), 0},                          // came later
		{signed("a"), signed("a", "b", "us"), signed("a", "b", "us"), 0},      // was signed by us
		{signed("a", "c"), signed("a", "b", "us"), signed("a", "b", "us"), 1}, // both
		{signed(), signed("us"), signed("us"), 0},
	} {
		if _, err := r.PutManifest(t.Context(), repository, tag, ocispec.MediaTypeImageManifest, c.from); err != nil {
			t.Fatal(err)
		}
		if c.to != nil {
			if _, err := r.PutManifest(t.Context(), other, tag, ocispec.MediaTypeImageManifest, c.to); err != nil {
				t.Fatal(err)
			}
		}
		done, err := Copy(t.Context(), r.In(repository), "main", r.In(other), CopyOptions{})
		if err != nil || len(done.Skipped) != c.skipped {
			t.Error(done, err)
		}
		if at, err := r.Resolve(t.Context(), other, tag); err != nil || at.Digest != digest.FromBytes(c.want) {
			t.Errorf("from %s\nto %s\ngot %v %v", c.from, c.to, at, err)
		}
	}
}

// TestCopyMendsWhatWasDamaged: a blob of the right size is not the right blob.
func TestCopyMendsWhatWasDamaged(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	ref, dir := signedRelease(t, r, repository), t.TempDir()
	m, err := r.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []ocispec.Descriptor{m.Layers[0], describe("x", m.Raw)} {
		for range 2 { // it is damaged after the first
			if _, err := Copy(t.Context(), r.In(repository), "main", openLayout(t, dir), CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			at := filepath.Join(dir, blobPath(d.Digest))
			data, err := os.ReadFile(at)
			if err != nil || digest.FromBytes(data) != d.Digest {
				t.Error("it is damaged still:", err)
			}
			data[0] ^= 1
			if err := os.WriteFile(at, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(filepath.Join(dir, blobPath(d.Digest))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDestinationThatIsNotFound: what it does not take is no referrer that the
// source lacks, and a copy without signatures is no success.
func TestDestinationThatIsNotFound(t *testing.T) {
	r, repository := NewRegistry(Options{PlainHTTP: true}), serve(t, realRegistry(true))
	signedRelease(t, r, repository)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		inner, stored := realRegistry(true), atomic.Bool{}
		other := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			if stored.Load() && request.Method == method {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			inner.ServeHTTP(w, request)
			if request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/manifests/") {
				stored.Store(true)
			}
		}))
		if done, err := Copy(t.Context(), r.In(repository), "main", r.In(other), CopyOptions{}); err == nil {
			t.Error(method, done)
		}
	}
}
