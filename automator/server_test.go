package automator

import (
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	imageregistry "sealift.dev/automator/registry"
)

const branchMain = "main"

// gitServer serves one bare repository over HTTP, with push.
type gitServer struct {
	t    *testing.T
	url  string
	bare string
	env  []string
}

// newGitServer starts a server whose branch main holds files. around, if not
// nil, stands in front of it.
func newGitServer(t *testing.T, files map[string]string, around func(http.Handler) http.Handler) *gitServer {
	t.Helper()
	root := t.TempDir()
	s := &gitServer{t: t, bare: filepath.Join(root, "shop.git")}
	s.env = append(os.Environ(), "HOME="+root, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com")
	s.git(root, "init", "-q", "--bare", "-b", branchMain, s.bare)
	s.git(s.bare, "config", "http.receivepack", "true")
	s.git(s.bare, "config", "uploadpack.allowFilter", "true")
	backend := filepath.Join(strings.TrimSpace(s.git(root, "--exec-path")), "git-http-backend")
	var handler http.Handler = &cgi.Handler{
		Path:   backend,
		Stderr: io.Discard,
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1"},
	}
	if around != nil {
		handler = around(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s.url = server.URL + "/shop.git"
	if files != nil {
		s.commit("first", files)
	}
	return s
}

func (s *gitServer) git(dir string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// commit does what a person does: clone, write, commit, push.
func (s *gitServer) commit(message string, files map[string]string) {
	s.t.Helper()
	work := s.t.TempDir()
	s.git(work, "clone", "-q", s.bare, ".")
	s.git(work, "checkout", "-q", "-B", branchMain)
	for name, content := range files {
		file := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "symlink:"); ok {
			if err := os.Symlink(target, file); err != nil {
				s.t.Fatal(err)
			}
		} else if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.git(work, "-c", "core.autocrlf=false", "add", "-A")
	s.git(work, "commit", "-q", "-m", message)
	for range 50 {
		push := exec.Command("git", "push", "-q", "origin", branchMain)
		push.Dir, push.Env = work, s.env
		if push.Run() == nil {
			return
		}
		s.git(work, "pull", "-q", "--rebase", "origin", branchMain)
	}
	s.t.Fatal("a person's push was rejected 50 times")
}

// revert does what a person does who takes the last commit back.
func (s *gitServer) revert() {
	s.t.Helper()
	work := s.t.TempDir()
	s.git(work, "clone", "-q", s.bare, ".")
	s.git(work, "revert", "--no-edit", "HEAD")
	s.git(work, "push", "-q", "origin", "HEAD:"+branchMain)
}

// stopAt calls stop before the server answers its n-th request.
func stopAt(n int, seen *int, stop func()) func(http.Handler) http.Handler {
	var mu sync.Mutex
	return func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if *seen++; *seen == n {
				stop()
			}
			mu.Unlock()
			inner.ServeHTTP(w, r)
		})
	}
}

// show is a file at the tip of main.
func (s *gitServer) show(file string) string {
	s.t.Helper()
	return s.git(s.bare, "show", branchMain+":"+file)
}

func (s *gitServer) tip() string {
	s.t.Helper()
	return strings.TrimSpace(s.git(s.bare, "rev-parse", branchMain))
}

// subjects are the first lines of main's commits, newest first.
func (s *gitServer) subjects() []string {
	s.t.Helper()
	return strings.Split(strings.TrimSpace(s.git(s.bare, "log", "--format=%s", branchMain)), "\n")
}

// hook installs a server-side hook.
func (s *gitServer) hook(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.bare, "hooks", name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *gitServer) options() Options {
	client, err := imageregistry.New(imageregistry.Options{Keychain: authn.NewMultiKeychain()})
	if err != nil {
		s.t.Fatal(err)
	}
	return Options{Repo: s.url, Branch: branchMain, Registry: client}
}

// newRegistry serves repository apps/shop with tags; the result is its name.
func newRegistry(t *testing.T, tags ...string) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image := strings.TrimPrefix(server.URL, "http://") + "/apps/shop"
	addTags(t, image, tags...)
	return image
}

func addTags(t *testing.T, image string, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		ref, err := name.ParseReference(image + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, empty.Image); err != nil {
			t.Fatal(err)
		}
	}
}

// configFor is a sealift.yaml that follows image as shop.
func configFor(image, semver string) string {
	return `apiVersion: sealift.dev/v1alpha1
kind: Config
automate:
  branch: main
  images:
    - name: shop
      image: ` + image + `
      select: {semver: "` + semver + `"}
`
}

func deployment(image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nspec:\n  image:   " + image +
		"   # {\"$imagepolicy\": \"shop:shop\"}\n"
}
