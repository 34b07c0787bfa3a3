package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"sealift.dev/test/stage"
)

// v0 is a server that knows no protocol but the first.
func v0(o *stage.GitOptions) {
	wrap := o.Wrap
	o.Wrap = func(next http.Handler) http.Handler {
		return wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Git-Protocol")
			next.ServeHTTP(w, r)
		}))
	}
}

// noShallow is a server that does not say that it can leave out parents.
func noShallow(o *stage.GitOptions) {
	wrap := o.Wrap
	o.Wrap = func(next http.Handler) http.Handler {
		return wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/info/refs") {
				next.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			maps.Copy(w.Header(), answer.Header())
			_, _ = w.Write(bytes.ReplaceAll(answer.Body.Bytes(), []byte("shallow"), []byte("hallows")))
		}))
	}
}

// TestServers does the same with servers that can do less.
func TestServers(t *testing.T) {
	files := map[string]string{"a.yaml": "a: 1\n", "b/c.yaml": "c: 1\n", "b/large.yaml": strings.Repeat("# large\n", 200_000), "d/e/f.txt": "f"}
	for name, test := range map[string]struct {
		options []func(*stage.GitOptions)
		config  map[string]string
	}{
		"v2":                   {},
		"v2 without filter":    {config: map[string]string{"uploadpack.allowFilter": "false"}},
		"v0":                   {options: []func(*stage.GitOptions){v0}},
		"v2 without shallow":   {options: []func(*stage.GitOptions){noShallow}},
		"v0 without shallow":   {options: []func(*stage.GitOptions){v0, noShallow}, config: map[string]string{"uploadpack.allowFilter": "false"}},
		"v0 without filter":    {options: []func(*stage.GitOptions){v0}, config: map[string]string{"uploadpack.allowFilter": "false"}},
		"v0 with single files": {options: []func(*stage.GitOptions){v0}, config: map[string]string{"uploadpack.allowAnySHA1InWant": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, files, test.options...)
			for key, value := range test.config {
				s.config(key, value)
			}
			r := s.open()
			if branch, err := r.DefaultBranch(t.Context()); err != nil || branch != "main" {
				t.Fatal(branch, err)
			}
			mustBump(t, r, "c: 2\n", "b/c.yaml")
			last := mustBump(t, r, "c: 3\n", "b/c.yaml", "new/x/y.yaml")
			s.run(s.work, "pull", "-q")
			tip := s.commit("a person's", map[string]string{"a.yaml": "a: 5\n"})
			s.reset()
			checkSnapshot(t, r, tip)
			if _, _, received := s.counts(); received > 4000 && !strings.Contains(name, "without shallow") {
				t.Errorf("a person's commit costs %d bytes", received)
			}
			checkSnapshot(t, s.open(), tip)
			mustBump(t, r, "c: 4\n", "b/c.yaml")
			s.run(s.bare, "fsck", "--strict")
			commits, err := r.History(t.Context(), tip, 3)
			var said []string
			for _, c := range commits {
				said = append(said, strings.TrimSpace(c.Message))
			}
			if got := strings.Join(said, ", "); err != nil || got != "a person's, Update to c: 3, Update to c: 2" || commits[1].ID != last.ID() {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// checkSnapshot reads every file of a commit, one of which is too large.
func checkSnapshot(t *testing.T, r *Repository, tip string) {
	t.Helper()
	s, err := r.Snapshot(t.Context(), tip)
	if err != nil {
		t.Fatal(err)
	}
	var paths, blobs []string
	if err := s.Files(t.Context(), func(path, blob, _ string) error {
		paths, blobs = append(paths, path), append(blobs, blob)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(paths, " "); got != "a.yaml b/c.yaml b/large.yaml d/e/f.txt new/x/y.yaml" {
		t.Fatalf("files %s", got)
	}
	read, tooLarge, err := s.Read(t.Context(), blobs)
	if err != nil || len(tooLarge) != 1 || tooLarge[0] != blobs[2] || len(read) != 3 { // c.yaml and y.yaml are one blob
		t.Fatalf("%d files, too large %v, %v", len(read), tooLarge, err)
	}
	if got := fmt.Sprintf("%s%s%s", read[blobs[0]], read[blobs[1]], read[blobs[3]]); got != "a: 5\nc: 3\nf" {
		t.Errorf("they hold %q", got)
	}
	if again, _, err := s.Read(t.Context(), blobs); err != nil || len(again) != 3 {
		t.Errorf("read again: %d files, %v", len(again), err)
	}
}

func TestForcePushed(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	s.config("uploadpack.allowFilter", "true")
	r := s.open()
	first := s.run(s.bare, "rev-parse", "main")
	base, err := r.Snapshot(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	s.run(s.work, "commit", "-q", "--amend", "-m", "rewritten")
	s.run(s.work, "push", "-q", "--force", "origin", "main")
	p, err := r.Commit(t.Context(), base, map[string][]byte{"a.yaml": []byte("a: 2\n")}, Message{Author: author(), Text: "late"})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Push(t.Context(), []Update{{Ref: "refs/heads/main", Old: first, New: p}}, PushOptions{})
	if got := Rejections(err); len(got) != 1 || got[0].Ref != "refs/heads/main" {
		t.Errorf("%v", err)
	}
	if got := s.run(s.bare, "log", "--format=%s", "main"); got != "rewritten" {
		t.Errorf("main has %q", got)
	}
	// The server may even have thrown away what was there before.
	s.run(s.bare, "reflog", "expire", "--expire=now", "--all")
	s.run(s.bare, "gc", "-q", "--prune=now")
	mustBump(t, r, "a: 3\n", "a.yaml")
	s.run(s.bare, "fsck", "--strict")
	if _, err := s.open().Snapshot(t.Context(), first); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Refs(ctx, "refs/heads/main"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestEmptyRepository(t *testing.T) {
	for name, options := range map[string][]func(*stage.GitOptions){"v2": nil, "v0": {v0}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil, options...)
			r := s.open()
			if refs, err := r.Refs(t.Context(), "refs/heads/main"); err != nil || len(refs) != 0 {
				t.Fatal(refs, err)
			}
			branch, err := r.DefaultBranch(t.Context())
			if name == "v2" && (err != nil || branch != "main") {
				t.Error(branch, err)
			}
			p, err := r.Commit(t.Context(), nil, map[string][]byte{"x/state.json": []byte("{}")}, Message{Author: author(), Text: "first"})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Push(t.Context(), []Update{{Ref: "refs/sealift/state", New: p}}, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := s.run(s.bare, "show", "refs/sealift/state:x/state.json"); got != "{}" {
				t.Errorf("%q", got)
			}
			if refs, err := r.Refs(t.Context(), "refs/sealift/state"); err != nil || refs["refs/sealift/state"] != p.ID() {
				t.Error(refs, err)
			}
		})
	}
}

// TestNoSingleFiles: a server that refuses files by their names gives whole commits.
func TestNoSingleFiles(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n", "large.yaml": strings.Repeat("#", 2<<20)})
	s.first = func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, uploadPack) {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Body = io.NopCloser(bytes.NewReader(body)); bytes.Contains(body, []byte("command=fetch")) && !bytes.Contains(body, []byte("deepen")) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			var answer request
			answer.line("ERR want 1234 not valid\n")
			_, _ = w.Write(answer.Bytes())
		}
	}
	r := s.open()
	base := mustSnapshot(t, r, "main")
	a, err := base.Find("a.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if read, _, err := base.Read(t.Context(), []string{a}); err != nil || string(read[a]) != "a: 1\n" {
		t.Fatalf("%q, %v", read, err)
	}
	mustBump(t, r, "a: 2\n", "a.yaml")
	s.run(s.work, "pull", "-q")
	s.commit("a person's", map[string]string{"b.yaml": "b: 1\n"})
	s.reset()
	mustBump(t, r, "a: 3\n", "a.yaml")
	if requests, _, _ := s.counts(); requests != 3 {
		t.Errorf("single files are asked for again: %q", s.requests)
	}
}

// TestServerChanges: what was remembered about a server is not true for ever.
func TestServerChanges(t *testing.T) {
	var older, moved atomic.Bool
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"}, func(o *stage.GitOptions) {
		wrap := o.Wrap
		o.Wrap = func(next http.Handler) http.Handler {
			return wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if older.Load() {
					r.Header.Del("Git-Protocol")
				}
				if path, ok := strings.CutPrefix(r.URL.Path, "/shop.git"); ok && moved.Load() {
					http.Redirect(w, r, "/new.git"+path+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
					return
				}
				next.ServeHTTP(w, r)
			}))
		}
	})
	r := s.open()
	mustBump(t, r, "a: 2\n", "a.yaml")
	older.Store(true)
	mustBump(t, r, "a: 3\n", "a.yaml")
	older.Store(false)
	mustBump(t, r, "a: 4\n", "a.yaml")
	if err := os.Rename(s.bare, s.git.Path("new.git")); err != nil {
		t.Fatal(err)
	}
	moved.Store(true)
	mustBump(t, r, "a: 5\n", "a.yaml")
	if got := s.run(s.git.Path("new.git"), "rev-list", "--count", "main"); got != "5" {
		t.Errorf("%s commits", got)
	}
}

// TestDifferenceRefused: a server that wants to know nothing of what is there already.
func TestDifferenceRefused(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	refused := 0
	s.first = func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Body = io.NopCloser(bytes.NewReader(body)); bytes.Contains(body, []byte("have ")) {
			refused++
			http.Error(w, "", http.StatusOK)
		}
	}
	r := s.open()
	mustBump(t, r, "a: 2\n", "a.yaml")
	s.run(s.work, "pull", "-q")
	s.commit("a person's", map[string]string{"b.yaml": "b: 1\n"})
	mustBump(t, r, "a: 3\n", "a.yaml")
	if refused != 1 {
		t.Errorf("%d differences were refused", refused)
	}
}

// TestPushedFilesStay: where single files cannot be asked for, a pushed one is not forgotten.
func TestPushedFilesStay(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})
	s.config("uploadpack.allowFilter", "false")
	r := s.open(func(o *Options) { o.Limits = Limits{Cache: 1} })
	p := mustBump(t, r, "a: 2\n", "a.yaml")
	base := mustSnapshot(t, r, "main")
	for path, want := range map[string]string{"a.yaml": "a: 2\n", "b.yaml": "b: 1\n"} {
		blob, err := base.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		if read, tooLarge, err := base.Read(t.Context(), []string{blob}); err != nil || string(read[blob]) != want || base.Tip() != p.ID() {
			t.Errorf("%s holds %q, too large: %v, %v", path, read[blob], tooLarge, err)
		}
	}
}
