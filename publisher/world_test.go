package publisher_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/publisher"
	"sealift.dev/publisher/signer"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// world is a Git repository, a registry, and a key to publish with.
type world struct {
	t        *testing.T
	dir      string
	host     string
	fault    func(*http.Request) int // a status to answer with; 0: none
	mu       sync.Mutex
	writes   int // requests that may change the registry
	requests int
	registry *artifact.Registry
}

func newWorld(t *testing.T) *world { t.Helper(); return newWorldWith(t, true) }

// newWorldWith has a registry with the referrers API or without.
func newWorldWith(t *testing.T, referrers bool) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), registry: artifact.NewRegistry(artifact.Options{PlainHTTP: true})}
	handler := registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if w.fault != nil {
			if status := w.fault(req); status != 0 {
				http.Error(rw, "no", status)
				return
			}
		}
		w.mu.Lock()
		w.requests++
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.writes++
		}
		w.mu.Unlock()
		handler.ServeHTTP(rw, req)
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	w.git("init", "-q", "-b", "main")
	w.git("remote", "add", "origin", "https://ci:secret@git.example.com/acme/deploy.git")
	return w
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05+02:00", "GIT_COMMITTER_DATE=2026-01-02T03:04:05+02:00")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, path and content in turn, and commits them.
func (w *world) commit(files ...string) string {
	w.t.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(w.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git("add", "-A")
	w.git("commit", "-q", "--allow-empty", "-m", "x")
	return w.git("rev-parse", "HEAD")
}

func (w *world) repository() artifact.Repository {
	return artifact.Repository{Host: w.host, Path: "deploy/shop"}
}

func (w *world) at(tag string) string {
	w.t.Helper()
	ref, err := w.registry.Resolve(w.t.Context(), w.repository(), tag)
	if err != nil {
		return ""
	}
	return ref.Digest.String()
}

// tag moves a tag to where another is, as somebody else may.
func (w *world) tag(from, to string) {
	w.t.Helper()
	ref, err := w.registry.Resolve(w.t.Context(), w.repository(), from)
	if err == nil {
		err = w.registry.Tag(w.t.Context(), ref, to)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// delete removes a tag.
func (w *world) delete(tag string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodDelete, "http://"+w.host+"/v2/"+w.repository().Path+"/manifests/"+tag, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		w.t.Fatal(resp, err)
	}
	resp.Body.Close()
}

// verifier is the trust in one key.
type verifier struct {
	registry *artifact.Registry
	policies []verify.NamedPolicy
}

func (v verifier) Verify(ctx context.Context, ref artifact.Ref) error {
	judge, err := verify.New(verify.Options{})
	if err != nil {
		return err
	}
	_, err = judge.Release(ctx, v.registry, ref, v.policies, verify.Claim{})
	return err
}

// as gives options to publish with a new key.
func (w *world) as() publisher.Options {
	w.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := signer.Load(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	authority := policy.Authority{Name: "ci", Key: &policy.Key{Data: string(key.Public())}}
	trusted := policy.Policy{Trust: policy.Trust{Authorities: []policy.Authority{authority}}}
	return publisher.Options{
		Registry: w.registry, Signer: signer.New(key, w.registry),
		Verifier: verifier{w.registry, []verify.NamedPolicy{{Name: "own", Policy: trusted}}},
		Dir:      w.dir, To: w.repository(), Environments: map[string]v1alpha1.Environment{"prod": folder("prod")},
	}
}

func (w *world) publish(o publisher.Options) publisher.Result {
	w.t.Helper()
	result, err := publisher.Publish(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

func folder(path string) v1alpha1.Environment { return v1alpha1.Environment{Folder: path} }

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

const configMap2 = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {containers: [{name: shop, image: "registry.example.com/shop:1.0.0"}]}}}
`

// link commits a symbolic link.
func (w *world) link(to, name string) {
	w.t.Helper()
	if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
		w.t.Fatal(err)
	}
	w.commit()
}
