package remote

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sealift.dev/test/stage"
)

// server is one bare repository on a server, and a clone of it for a person.
type server struct {
	t    *testing.T
	git  *stage.GitServer
	url  string
	bare string
	work string
	meter
}

// meter counts what goes over the wire, and may answer instead of the server.
type meter struct {
	mu       sync.Mutex
	requests []string // METHOD PATH?QUERY
	in, out  int64    // bytes of bodies
	first    http.HandlerFunc
}

func (m *meter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.requests = append(m.requests, r.Method+" "+r.URL.RequestURI())
		m.in += max(r.ContentLength, 0)
		first := m.first
		m.mu.Unlock()
		counted := &countedWriter{ResponseWriter: w, m: m}
		if first != nil {
			first(counted, r)
			if counted.wrote {
				return
			}
		}
		next.ServeHTTP(counted, r)
	})
}

type countedWriter struct {
	http.ResponseWriter
	m     *meter
	wrote bool
}

func (c *countedWriter) WriteHeader(code int) {
	c.wrote = true
	c.ResponseWriter.WriteHeader(code)
}

func (c *countedWriter) Write(p []byte) (int, error) {
	c.wrote = true
	c.m.mu.Lock()
	c.m.out += int64(len(p))
	c.m.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// reset forgets what was counted.
func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests, m.in, m.out = nil, 0, 0
}

func (m *meter) counts() (requests int, in, out int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests), m.in, m.out
}

// newServer serves a repository whose branch main holds files; no files: an empty one.
func newServer(t *testing.T, files map[string]string, options ...func(*stage.GitOptions)) *server {
	t.Helper()
	s := &server{t: t}
	o := stage.GitOptions{Wrap: s.wrap}
	for _, option := range options {
		option(&o)
	}
	git, err := stage.NewGitServer(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = git.Close() })
	s.git = git
	if s.url, err = git.Create("shop.git"); err != nil {
		t.Fatal(err)
	}
	s.bare = git.Path("shop.git")
	s.work = t.TempDir()
	s.run(s.work, "clone", "-q", s.bare, ".")
	s.run(s.work, "checkout", "-q", "-B", "main")
	if files != nil {
		s.commit("first", files)
	}
	s.reset()
	return s
}

func (s *server) run(dir string, args ...string) string {
	s.t.Helper()
	out, err := stage.Git(dir, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// commit is what a person pushes.
func (s *server) commit(message string, files map[string]string) string {
	s.t.Helper()
	id, err := stage.Commit(s.work, message, files)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run(s.work, "push", "-q", "--force", "origin", "main")
	return id
}

func (s *server) config(key, value string) { s.run(s.bare, "config", key, value) }

func (s *server) hook(name, script string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.bare, "hooks", name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) open(options ...func(*Options)) *Repository {
	s.t.Helper()
	o := Options{URL: s.url}
	for _, option := range options {
		option(&o)
	}
	r, err := Open(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}

func author() Author { return Author{Name: "Sealift", Email: "automator@sealift.dev"} }

// bump is a whole pass: it reads main, and writes value to each of paths.
func bump(ctx context.Context, r *Repository, value string, paths ...string) (Pending, error) {
	refs, err := r.Refs(ctx, "refs/heads/main")
	if err != nil {
		return Pending{}, err
	}
	base, err := r.Snapshot(ctx, refs["refs/heads/main"])
	if err != nil {
		return Pending{}, err
	}
	var blobs []string
	if err := base.Files(ctx, func(path, blob, _ string) error {
		if strings.HasSuffix(path, ".yaml") {
			blobs = append(blobs, blob)
		}
		return nil
	}); err != nil {
		return Pending{}, err
	}
	if _, _, err := base.Read(ctx, blobs); err != nil {
		return Pending{}, err
	}
	files := map[string][]byte{}
	for _, path := range paths {
		files[path] = []byte(value)
	}
	p, err := r.Commit(ctx, base, files, Message{Author: author(), Text: "Update to " + value})
	if err != nil {
		return Pending{}, err
	}
	return p, r.Push(ctx, []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}, PushOptions{})
}

func mustBump(t *testing.T, r *Repository, value string, paths ...string) Pending {
	t.Helper()
	p, err := bump(t.Context(), r, value, paths...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantError checks that an error says each of parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q in it", err, part)
		}
	}
}

// manyFiles are n YAML files, and others of about bytes altogether that do not compress.
func manyFiles(n, others int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("apps/%03d/values-%d.yaml", i/10, i)] = fmt.Sprintf("name: app-%d\nimage: registry.example.com/apps/app-%d:1.0.0\nreplicas: %d\n", i, i, i%7)
	}
	seed := uint32(1)
	for i := range others / (100 << 10) {
		noise := make([]byte, 100<<10)
		for j := range noise {
			seed = seed*1664525 + 1013904223
			noise[j] = byte(seed >> 24)
		}
		files[fmt.Sprintf("assets/%d.bin", i)] = string(noise)
	}
	return files
}
