package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIdleBytes: asking for two refs among thousands.
func TestIdleBytes(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	tip := s.run(s.bare, "rev-parse", "main")
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range 5000 {
		fmt.Fprintf(&packed, "%s refs/pull/%05d/head\n", tip, i)
	}
	if err := os.WriteFile(filepath.Join(s.bare, "packed-refs"), []byte(packed.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	r := s.open()
	ask := func() {
		refs, err := r.Refs(t.Context(), "refs/heads/main", "refs/sealift/state")
		if err != nil || refs["refs/heads/main"] != tip {
			t.Fatal(refs, err)
		}
	}
	ask()
	s.reset()
	ask()
	requests, in, out := s.counts()
	if requests != 1 || in+out > 500 {
		t.Errorf("an idle poll is %d requests, %d bytes sent, %d bytes received", requests, in, out)
	}
	t.Logf("idle: %d requests, %d bytes sent, %d received", requests, in, out)
	s.reset()
	mustBump(t, r, "a: 2\n", "a.yaml")
	if requests, in, out = s.counts(); requests != 4 || in+out > 3000 {
		t.Errorf("a bump is %d requests, %d bytes sent, %d bytes received: %q", requests, in, out, s.requests)
	}
	// What a server can do with pushes is at the beginning of a list of all refs.
	base := mustSnapshot(t, r, "main")
	p := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 3\n")})
	if err := r.Push(t.Context(), []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}, PushOptions{Atomic: true}); err != nil {
		t.Fatal(err)
	}
	if got := r.Traffic().Received; got > 60_000 {
		t.Errorf("%d bytes were read altogether", got)
	}
}

// TestBumpBytes: 1,000 YAML files and 20 MB of others.
func TestBumpBytes(t *testing.T) {
	s := newServer(t, manyFiles(1000, 20<<20))
	measure := func(what string, act func(), requestsMost int, most int64) {
		s.reset()
		act()
		requests, in, out := s.counts()
		if requests > requestsMost || in+out > most {
			t.Errorf("%s: %d requests, %d bytes sent, %d received, want at most %d and %d", what, requests, in, out, requestsMost, most)
		}
		t.Logf("%s: %d requests, %d bytes sent, %d received", what, requests, in, out)
	}
	r := s.open()
	file := "apps/042/values-420.yaml"
	measure("the first bump", func() { mustBump(t, r, "image: 2\n", file) }, 5, 400_000)
	measure("the next bump", func() { mustBump(t, r, "image: 3\n", file) }, 2, 20_000)
	s.run(s.work, "pull", "-q")
	s.commit("a person's", map[string]string{"apps/001/values-11.yaml": "image: 7\n"})
	measure("after a person's commit", func() { mustBump(t, r, "image: 4\n", file) }, 4, 20_000)
	s.config("uploadpack.allowFilter", "false")
	r = s.open()
	measure("without filters", func() { mustBump(t, r, "image: 5\n", file) }, 5, 25<<20)
	measure("and the history", func() {
		refs, err := r.Refs(t.Context(), "refs/heads/main")
		if err != nil {
			t.Fatal(err)
		}
		if commits, err := r.History(t.Context(), refs["refs/heads/main"], 50); err != nil || len(commits) != 6 {
			t.Errorf("%d commits, %v", len(commits), err)
		}
	}, 2, 50_000)
	s.run(s.bare, "fsck", "--strict")
	if got := s.run(s.bare, "rev-list", "--count", "main"); got != "6" {
		t.Errorf("%s commits", got)
	}
}
