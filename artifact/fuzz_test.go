package artifact

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	kjson "sigs.k8s.io/json"

	"sealift.dev/internal/objects"
)

// seedManifests are documents at the border between good and bad.
func seedManifests() []string {
	edit := func(old, new string) string { return strings.Replace(goodManifest, old, new, 1) }
	return []string{
		goodManifest, edit("{", `{"subject":{"mediaType":"c","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},`),
		edit(`"layers"`, `"annotations":{"dev.sealift.epoch":"1","dev.sealift.sequence":"7"},"layers"`), edit(`"layers"`, `"layers":[],"layers"`),
		edit(`"layers"`, `"Layers":[],"layers"`), edit(`"layers"`, `"manifests":[],"layers"`), edit(`"size":2`, `"size":-1`), edit(`"size":2`, `"size":2e0`),
		edit(`"size":2`, `"size":2,"urls":["http://x"],"data":"e30=","platform":{"os":"linux"}`), edit("oci.image", `oci.\u0069mage`), edit(`"mediaType":"b"`, `"mediaType":null`),
		strings.ReplaceAll(goodManifest, "vnd.oci.image.manifest.v1", "vnd.docker.distribution.manifest.v2"),
	}
}

// FuzzManifest: what is accepted is within the limits, and a reader that tells keys
// apart by case, as others do, sees the same manifest.
func FuzzManifest(f *testing.F) {
	for _, seed := range seedManifests() {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data, "")
		if err != nil {
			if errors.Is(err, ErrCorrupt) || !utf8.ValidString(err.Error()) && utf8.Valid(data) {
				t.Errorf("the error is %q", err)
			}
			return
		}
		var other ocispec.Manifest
		if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &other); err != nil || !reflect.DeepEqual(m.Manifest, other) {
			t.Fatalf("another reader sees %+v (%v), and we %+v", other, err, m.Manifest)
		}
		for _, d := range append(m.Layers, m.Config) {
			if d.Size < 0 || d.Size > maxBlob || len(d.URLs) > 0 || checkDigest(d.Digest) != nil {
				t.Fatalf("a layer %+v", d)
			}
		}
		if len(m.Annotations) > maxAnnotations || !bytes.Equal(m.Raw, data) {
			t.Fatalf("%d annotations, %d bytes", len(m.Annotations), len(m.Raw))
		}
	})
}

// FuzzIndex: of a list of referrers, only those that can be read are taken.
func FuzzIndex(f *testing.F) {
	const entry = `{"mediaType":"m","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":1,"artifactType":"x"}`
	for _, entries := range []string{"", entry, entry + "," + entry, "null", strings.Replace(entry, "1", "-1", 1)} {
		f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + entries + `]}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, err := readIndex(data, "x")
		for _, d := range found {
			if err != nil || d.Size < 0 || d.Size > maxManifest || len(d.URLs) > 0 || checkDigest(d.Digest) != nil {
				t.Fatalf("listed %+v, %v", d, err)
			}
		}
	})
}

// FuzzReleaseStatement: what is accepted says the same when it is written again,
// and a number has one way of being written.
func FuzzReleaseStatement(f *testing.F) {
	for _, sequence := range []string{"7", "-1", "1e9", " 7", "007", "18446744073709551616", "9223372036854775807", ""} {
		f.Add("r.example.com/shop", "1", sequence, "2026-01-02T03:04:05Z", "main@sha1:2f2dd1b", "refs/heads/main", "https://git.example.com/a", "1.0.0")
	}
	f.Add("r.example.com/shop:1", "2", "7", "2026-01-02T03:04:05.6+01:00", "main@sha1:", "\x1b[2J", "", "")
	f.Fuzz(func(t *testing.T, repository, epoch, sequence, created, revision, ref, source, version string) {
		s, err := ParseStatement(map[string]string{
			AnnotationRepository: repository, AnnotationEpoch: epoch, AnnotationSequence: sequence, AnnotationRef: ref,
			ocispec.AnnotationCreated: created, ocispec.AnnotationRevision: revision, ocispec.AnnotationSource: source, ocispec.AnnotationVersion: version,
		})
		if err != nil {
			return
		}
		written := s.Annotations()
		if s.Sequence < 1 || s.Epoch < 1 || written[AnnotationSequence] != sequence || written[AnnotationEpoch] != epoch || written[AnnotationRepository] != repository {
			t.Fatalf("read %q %q %q as %+v", repository, epoch, sequence, s)
		}
		again, err := ParseStatement(written)
		if err != nil {
			t.Fatalf("%+v written again: %v", s, err)
		}
		s.Created, again.Created = s.Created.UTC().Truncate(time.Second), again.Created.UTC()
		if s != again {
			t.Fatalf("%+v became %+v", s, again)
		}
	})
}

// checkUnpacked says what is wrong with files that Unpack gave: any two of them
// can be written on any file system, each inside the folder.
func checkUnpacked(t *testing.T, files []objects.File, limits Limits) {
	t.Helper()
	total, seen := 0, map[string]string{}
	for i, f := range files {
		total += len(f.Data)
		if f.Path == "" || path.Clean("/"+f.Path) != "/"+f.Path || strings.ContainsAny(f.Path, "\\\x00\n") || !utf8.ValidString(f.Path) || len(f.Path) > limits.Path {
			t.Fatalf("path %q", f.Path)
		}
		if i > 0 && files[i-1].Path >= f.Path {
			t.Fatalf("%q after %q", f.Path, files[i-1].Path)
		}
		for name := strings.ToLower(f.Path); name != "."; name = path.Dir(name) {
			kind := "folder"
			if name == strings.ToLower(f.Path) {
				kind = f.Path
			}
			if before, found := seen[name]; found && before != kind {
				t.Fatalf("%q is %q and %q", name, before, kind)
			}
			seen[name] = kind
		}
	}
	if int64(total) > limits.Unpacked || len(files) > limits.Files {
		t.Fatalf("%d bytes in %d files", total, len(files))
	}
}

// FuzzChallenge: whatever a registry asks for, its credentials reach nobody of
// another organisation.
func FuzzChallenge(f *testing.F) {
	for _, header := range []string{
		`Basic realm="x"`, `Bearer realm="https://auth.example.com/token",service="s"`, `Bearer realm="https://evil.example.org/token"`,
		"Bearer\trealm=\"https://evil.example.org\"", `Bearer,realm="https://evil.example.org"`, `Basic realm="x", Bearer realm="https://evil.example.org"`,
		`Bearer x="\", Basic ",realm="https://evil.example.org"`, `bearer realm=https://evil.example.org`, `Bearer realm="https:\\evil.example.org"`,
		`Bearer realm="https://r.example.com@evil.example.org/"`, `Bearer realm="https://evil.example.org#.example.com"`, `Bearer realm="http://auth.example.com/"`,
	} {
		f.Add(header, "")
		f.Add(`Basic realm="x"`, header)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		asking := asker(func(request *http.Request) (*http.Response, error) {
			host := strings.ToLower(request.URL.Hostname())
			if request.URL.Host == "" {
				return nil, errors.New("no Host in request URL") // as http.Transport says
			}
			if host != "example.com" && !strings.HasSuffix(host, ".example.com") || request.URL.Scheme != "https" {
				t.Fatalf("%q, %q: %s was asked, with %v", first, second, request.URL, request.Header)
			}
			answer := &http.Response{StatusCode: 401, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"token":"t"}`)), Request: request}
			if host != "r.example.com" {
				answer.StatusCode = 200
			}
			answer.Header["Www-Authenticate"] = []string{first, second}
			return answer, nil
		})
		options := withPassword()
		options.PlainHTTP, options.Transport, options.Patience = false, asking, -1
		if _, err := NewRegistry(options).Resolve(t.Context(), Repository{"r.example.com", "shop"}, "main"); err == nil {
			t.Fatal("it resolves")
		}
	})
}

type asker func(*http.Request) (*http.Response, error)

func (a asker) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// FuzzDockerConfig: a pull secret is read or refused, and gives no host another's credential.
func FuzzDockerConfig(f *testing.F) {
	for _, seed := range []string{
		`{"auths":{"r.example.com":{"auth":"dTpw"}}}`, `{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}`,
		`{"credsStore":"x","credHelpers":{"r.example.com":"y"},"auths":{"r.example.com":{"identitytoken":"t"}}}`, `{"auths":{"r":{"auth":"dQ=="}}}`, `{"auths":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		find, err := DockerConfigCredentials(data)
		if err != nil {
			return
		}
		for _, host := range []string{"unknown.example.org", "127.0.0.1:1"} {
			var raw struct{ Auths map[string]json.RawMessage }
			_ = json.Unmarshal(data, &raw)
			c, err := find(t.Context(), host)
			named := false
			for address := range raw.Auths {
				named = named || hostOf(address) == host
			}
			if err != nil || c != (Credential{}) && !named {
				t.Fatalf("%s gets %+v, %v", host, c, err)
			}
		}
	})
}

// FuzzUnpack reads a tar, whose gzip is always good: its sums would stop a fuzzer.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, names("a", "prod/b")...))
	f.Add(archive(f, names("A", "a")...))
	f.Add(archive(f, names("../a", "b/../../c", strings.Repeat("d/", 70)+"e", strings.Repeat("long/", 40)+"x")...))
	f.Add(archive(f, tar.Header{Name: "p/", Typeflag: tar.TypeDir}, tar.Header{Name: "p/a", Linkname: "x"}))
	f.Add(archive(f, tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"}))
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "../x"}}, tar.Header{Name: "é", Linkname: "x"}))
	f.Add(archive(f, tar.Header{Name: "a", Linkname: "x", Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.a": "b"}}))
	f.Add(archive(f, tar.Header{Name: "a", Linkname: "x", Format: tar.FormatGNU, Uid: 1 << 40, Mode: 0o6777}))
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := DefaultLimits()
		limits.Unpacked, limits.File, limits.Files = 1<<20, 1<<19, 1000
		files, err := Unpack(bytes.NewReader(zipped(t, data)), limits)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%q is not escaped", err)
			}
			return
		}
		checkUnpacked(t, files, limits)
		again, err := Unpack(bytes.NewReader(zipped(t, data)), limits)
		if err != nil || !reflect.DeepEqual(files, again) {
			t.Fatalf("a second time: %v, %v", again, err)
		}
	})
}
