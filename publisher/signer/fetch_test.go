package signer

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"sealift.dev/verify"
)

// mirror serves a signing config as a TUF repository does, with one key for all roles.
func mirror(t *testing.T, config string) verify.PublicRoot {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	must(t, err)
	key, err := metadata.KeyFromPublicKey(private.Public())
	must(t, err)
	end := time.Now().Add(time.Hour)
	root, targets, snapshot, stamp := metadata.Root(end), metadata.Targets(end), metadata.Snapshot(end), metadata.Timestamp(end)
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		must(t, root.Signed.AddKey(key, role))
	}
	file, err := metadata.TargetFile().FromBytes(instanceTarget, []byte(config), "sha256")
	must(t, err)
	targets.Signed.Targets[instanceTarget] = file
	files := map[string][]byte{"/targets/" + file.Hashes["sha256"].String() + "." + instanceTarget: []byte(config)}
	keep := func(path string, sign func(signature.Signer) (*metadata.Signature, error), encode func(bool) ([]byte, error)) {
		_, err := sign(signer)
		must(t, err)
		files[path], err = encode(false)
		must(t, err)
	}
	keep("/root", root.Sign, root.ToBytes)
	keep("/1.targets.json", targets.Sign, targets.ToBytes)
	keep("/1.snapshot.json", snapshot.Sign, snapshot.ToBytes)
	keep("/timestamp.json", stamp.Sign, stamp.ToBytes)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if files[r.URL.Path] == nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(files[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return verify.PublicRoot{Mirror: server.URL, Root: files["/root"]}
}

func TestFetchInstance(t *testing.T) {
	const config = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{"url":"https://ca.example.com","majorApiVersion":1}]}`
	good := mirror(t, config)
	instance, err := FetchInstance(t.Context(), good)
	if err != nil || instance.config.GetCaUrls()[0].GetUrl() != "https://ca.example.com" {
		t.Fatalf("%v, %v", instance, err)
	}
	for name, from := range map[string]verify.PublicRoot{
		"another's keys": {Mirror: good.Mirror, Root: mirror(t, config).Root},
		"nobody there":   {Mirror: "http://127.0.0.1:1", Root: good.Root},
	} {
		if _, err := FetchInstance(t.Context(), from); err == nil || !strings.Contains(err.Error(), from.Mirror) || !strings.Contains(err.Error(), "hint: name a file with --signing-config") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FetchInstance(t.Context(), mirror(t, strings.Replace(config, "https", "http", 1))); err == nil || !strings.Contains(err.Error(), "https is wanted") {
		t.Errorf("a config that sends tokens in the clear: %v", err)
	}
}

// TestSilentMirror: the context ends what go-tuf would wait for.
func TestSilentMirror(t *testing.T) {
	silent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	t.Cleanup(func() { close(silent); server.Close() })
	started := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := FetchInstance(ctx, verify.PublicRoot{Mirror: server.URL, Root: mirror(t, "{}").Root})
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil || !strings.Contains(err.Error(), server.URL) {
		t.Error(err)
	}
	if late := time.Since(started); late > time.Minute {
		t.Errorf("it took %s", late)
	}
}
