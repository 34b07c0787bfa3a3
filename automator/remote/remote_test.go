package remote

import (
	"strings"
	"testing"
)

func TestPass(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n", "b/c/d.yaml": "b: 1\n", "e.txt": "e"})
	r := s.open()
	branch, err := r.DefaultBranch(t.Context())
	if err != nil || branch != "main" {
		t.Fatal(branch, err)
	}
	p := mustBump(t, r, "b: 2\n", "b/c/d.yaml")
	if got := s.run(s.bare, "rev-parse", "main"); got != p.ID() {
		t.Errorf("main is at %s, want %s", got, p.ID())
	}
	if got := s.run(s.bare, "show", "main:b/c/d.yaml"); got != "b: 2" {
		t.Errorf("it holds %q", got)
	}
	if got := s.run(s.bare, "diff", "--name-only", "main~", "main"); got != "b/c/d.yaml" {
		t.Errorf("it changed %q", got)
	}
	s.run(s.bare, "fsck", "--strict")
	s.reset()
	refs, err := r.Refs(t.Context(), "refs/heads/main", "refs/sealift/state")
	if err != nil || len(refs) != 1 || refs["refs/heads/main"] != p.ID() {
		t.Errorf("%v, %v", refs, err)
	}
	if _, err := r.Snapshot(t.Context(), p.ID()); err != nil {
		t.Fatal(err)
	}
	if requests, in, out := s.counts(); requests != 1 || in+out > 500 {
		t.Errorf("%d requests, %d bytes out and %d in", requests, in, out)
	}
	if commits, err := r.History(t.Context(), p.ID(), 10); err != nil || len(commits) != 2 || commits[1].Message != "first\n" || commits[0].Author != author() || strings.Join(commits[0].Parents, "") != commits[1].ID {
		t.Errorf("%+v, %v", commits, err)
	}
	s.reset()
	if commits, err := r.History(t.Context(), p.ID(), 10); err != nil || len(commits) != 2 {
		t.Errorf("again: %+v, %v", commits, err)
	}
	if requests, _, _ := s.counts(); requests != 0 {
		t.Errorf("a history that is known was asked for: %q", s.requests)
	}
}
