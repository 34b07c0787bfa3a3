package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mustCommit(t *testing.T, r *Repository, base *Snapshot, files map[string][]byte) Pending {
	t.Helper()
	p, err := r.Commit(t.Context(), base, files, Message{Author: author(), Text: "change"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustSnapshot(t *testing.T, r *Repository, branch string) *Snapshot {
	t.Helper()
	refs, err := r.Refs(t.Context(), "refs/heads/"+branch)
	if err != nil {
		t.Fatal(err)
	}
	base, err := r.Snapshot(t.Context(), refs["refs/heads/"+branch])
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// TestTwoRefs: a branch and the state, in one push.
func TestTwoRefs(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	r := s.open()
	base := mustSnapshot(t, r, "main")
	one := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 2\n")})
	two := mustCommit(t, r, one.Snapshot(), map[string][]byte{"b.yaml": []byte("b: 1\n")})
	state := mustCommit(t, r, nil, map[string][]byte{"ledger.json": []byte("{}")})
	updates := []Update{
		{Ref: "refs/heads/main", Old: base.Tip(), New: two},
		{Ref: "refs/sealift/state", New: state},
	}
	if err := r.Push(t.Context(), updates, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := s.run(s.bare, "log", "--format=%H", "main"); got != two.ID()+"\n"+one.ID()+"\n"+base.Tip() {
		t.Errorf("main has %q", got)
	}
	if got := s.run(s.bare, "log", "--format=%H", "refs/sealift/state"); got != state.ID() {
		t.Errorf("the state has %q", got)
	}
	s.run(s.bare, "fsck", "--strict")
	// The same again comes too late for both, and the branch moves without the state.
	again := mustCommit(t, r, two.Snapshot(), map[string][]byte{"b.yaml": []byte("b: 2\n")})
	updates = []Update{{Ref: "refs/heads/main", Old: two.ID(), New: again}, {Ref: "refs/sealift/state", Old: two.ID(), New: state}}
	err := r.Push(t.Context(), updates, PushOptions{})
	if got := Rejections(err); len(got) != 1 || got[0].Ref != "refs/sealift/state" || s.run(s.bare, "rev-parse", "main") != again.ID() {
		t.Errorf("%v", err)
	}
	third := mustCommit(t, r, again.Snapshot(), map[string][]byte{"b.yaml": []byte("b: 3\n")})
	updates = []Update{{Ref: "refs/heads/main", Old: again.ID(), New: third}, {Ref: "refs/sealift/state", Old: two.ID(), New: state}}
	err = r.Push(t.Context(), updates, PushOptions{Atomic: true})
	if got := Rejections(err); len(got) != 2 || s.run(s.bare, "rev-parse", "main") != again.ID() {
		t.Errorf("all or nothing: %v", err)
	}
}

func TestLeaseAndDelete(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	r := s.open()
	base := mustSnapshot(t, r, "main")
	one := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 2\n")})
	other := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 3\n")})
	const bot = "refs/heads/sealift/shop"
	push := func(u Update) error { return r.Push(t.Context(), []Update{u}, PushOptions{}) }
	if err := push(Update{Ref: bot, New: one}); err != nil {
		t.Fatal(err)
	}
	if err := push(Update{Ref: bot, New: other}); len(Rejections(err)) != 1 {
		t.Errorf("a branch that is there was made: %v", err)
	}
	if err := push(Update{Ref: bot, Old: base.Tip(), New: other}); len(Rejections(err)) != 1 {
		t.Errorf("a branch was moved from where it is not: %v", err)
	}
	if err := push(Update{Ref: bot, Old: one.ID(), New: other}); err != nil || s.run(s.bare, "rev-parse", bot) != other.ID() {
		t.Errorf("a branch was not made anew: %v", err)
	}
	existing, err := Existing(base.Tip())
	if err != nil {
		t.Fatal(err)
	}
	if err := push(Update{Ref: bot, Old: other.ID(), New: existing}); err != nil || s.run(s.bare, "rev-parse", bot) != base.Tip() {
		t.Errorf("a branch was not put to a commit that is there: %v", err)
	}
	if err := push(Update{Ref: bot, Old: base.Tip()}); err != nil || s.run(s.bare, "for-each-ref", bot) != "" {
		t.Errorf("a branch was not deleted: %v", err)
	}
}

func TestPushOptions(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	r := s.open()
	base := mustSnapshot(t, r, "main")
	p := mustCommit(t, r, base, map[string][]byte{"a.yaml": []byte("a: 2\n")})
	updates := []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}
	o := PushOptions{Options: []string{"merge_request.create", "ci.skip"}}
	wantError(t, r.Push(t.Context(), updates, o), "takes no push options", "hint: ")
	s.config("receive.advertisePushOptions", "true")
	said := filepath.Join(t.TempDir(), "said")
	s.hook("pre-receive", `echo "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1" >`+said)
	r = s.open()
	if err := r.Push(t.Context(), updates, o); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(said); err != nil || strings.TrimSpace(string(got)) != "2 merge_request.create ci.skip" {
		t.Errorf("the server got %q, %v", got, err)
	}
	wantError(t, r.Push(t.Context(), updates, PushOptions{Options: []string{"a\nb"}}), "more than one line")
}

func TestProtectedBranch(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
	s.hook("pre-receive", "echo 'main is protected: \x1b[31mask Ann' >&2; exit 1")
	_, err := bump(t.Context(), s.open(), "a: 2\n", "a.yaml")
	wantError(t, err, "refs/heads/main was rejected", "pre-receive hook declined", "main is protected", "ask Ann")
	if strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q has a control character", err)
	}
}

// TestManyWriters: each adds a line to one file until its own is in.
func TestManyWriters(t *testing.T) {
	const writers = 20
	s := newServer(t, map[string]string{"a.yaml": "a:\n"})
	var all sync.WaitGroup
	for i := range writers {
		r := s.open()
		all.Go(func() {
			for {
				done, err := addLine(t.Context(), r, fmt.Sprintf("- %d\n", i))
				if err != nil {
					t.Error(err)
				}
				if done || err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if got := s.run(s.bare, "rev-list", "--count", "main"); got != fmt.Sprint(writers+1) {
		t.Errorf("%s commits", got)
	}
	content := s.run(s.bare, "show", "main:a.yaml")
	for i := range writers {
		if strings.Count(content+"\n", fmt.Sprintf("- %d\n", i)) != 1 {
			t.Errorf("writer %d is not there once: %q", i, content)
		}
	}
	s.run(s.bare, "fsck", "--strict")
}

func addLine(ctx context.Context, r *Repository, line string) (bool, error) {
	refs, err := r.Refs(ctx, "refs/heads/main")
	if err != nil {
		return false, err
	}
	base, err := r.Snapshot(ctx, refs["refs/heads/main"])
	if err != nil {
		return false, err
	}
	blob, err := base.Find("a.yaml")
	if err != nil {
		return false, err
	}
	read, _, err := base.Read(ctx, []string{blob})
	if err != nil {
		return false, err
	}
	p, err := r.Commit(ctx, base, map[string][]byte{"a.yaml": append(read[blob][:len(read[blob]):len(read[blob])], line...)}, Message{Author: author(), Text: line})
	if err != nil {
		return false, err
	}
	err = r.Push(ctx, []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}, PushOptions{})
	if len(Rejections(err)) == 1 {
		return false, nil
	}
	return err == nil, err
}

// TestOddReports: a server that does not say, or says something else.
func TestOddReports(t *testing.T) {
	band := func(lines ...string) string {
		var inner, outer request
		for _, line := range lines {
			inner.line("%s", line)
		}
		inner.mark(flush)
		outer.line("\x01%s", inner.String())
		outer.mark(flush)
		return outer.String()
	}
	for name, test := range map[string]struct {
		report   string
		want     string
		rejected bool
	}{
		"empty":            {"", "does not say whether", false},
		"only a flush":     {band(), "does not say whether", false},
		"nothing on refs":  {band("unpack ok\n"), "does not say what became of it", true},
		"another ref":      {band("unpack ok\n", "ok refs/heads/x\n"), "does not say what became of it", true},
		"no unpacking":     {band("unpack disk full\n"), "disk full", false},
		"refused":          {band("unpack ok\n", "ng refs/heads/main because\n"), "because", true},
		"a fatal error":    {"0009\x03full", "full", false},
		"cut off":          {"0040\x01000eunpa", "does not say whether", false},
		"no packets":       {"<html>", "no length of a packet", false},
		"an error at once": {"000fERR no push", "no push", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, map[string]string{"a.yaml": "a: 1\n"})
			s.first = func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, receivePack) {
					w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
					w.WriteHeader(http.StatusOK)
					_, _ = w.Write([]byte(test.report))
				}
			}
			_, err := bump(t.Context(), s.open(), "a: 2\n", "a.yaml")
			wantError(t, err, test.want)
			if rejected := len(Rejections(err)) > 0; rejected != test.rejected {
				t.Errorf("rejected %v: %v", rejected, err)
			}
		})
	}
}

func TestCommitFiles(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\n", "b/c": "c", "b/d": "d", "b.x": "x", "deep/er/file": "f"})
	if err := os.Chmod(filepath.Join(s.work, "a.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.yaml", filepath.Join(s.work, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	s.commit("modes", nil)
	r := s.open()
	base := mustSnapshot(t, r, "main")
	p := mustCommit(t, r, base, map[string][]byte{
		"a.yaml": []byte("a: 2\n"), "b/c": nil, "deep/er/file": nil, "b-a": {}, "new/e/f": []byte("f"),
	})
	if err := r.Push(t.Context(), []Update{{Ref: "refs/heads/main", Old: base.Tip(), New: p}}, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	s.run(s.bare, "fsck", "--strict")
	want := "100755 a.yaml, 100644 b-a, 100644 b.x, 040000 b, 100644 b/d, 120000 link.yaml, 040000 new, 040000 new/e, 100644 new/e/f"
	if got := strings.ReplaceAll(s.run(s.bare, "ls-tree", "-r", "-t", "--format=%(objectmode) %(path)", "main"), "\n", ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := s.run(s.bare, "show", "main:a.yaml"); got != "a: 2" {
		t.Errorf("a.yaml holds %q", got)
	}
	base = p.Snapshot()
	for name, test := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"link":             {map[string][]byte{"link.yaml": []byte("x")}, "link.yaml is no regular file"},
		"folder":           {map[string][]byte{"new": []byte("x")}, "new is no regular file"},
		"below a file":     {map[string][]byte{"a.yaml/b": []byte("x")}, "a.yaml is no folder"},
		"below a link":     {map[string][]byte{"link.yaml/b": []byte("x")}, "link.yaml is no folder"},
		"file and folder":  {map[string][]byte{"g": []byte("x"), "g/h": []byte("x")}, "a file and a folder"},
		"not there":        {map[string][]byte{"nothing": nil}, "deleting nothing"},
		"up":               {map[string][]byte{"../x": []byte("x")}, "no plain path"},
		"absolute":         {map[string][]byte{"/x": []byte("x")}, "no plain path"},
		"Git's own folder": {map[string][]byte{"sub/.GIT/config": []byte("x")}, "no plain path"},
		"line break":       {map[string][]byte{"a\nb": []byte("x")}, "control character"},
	} {
		_, err := r.Commit(t.Context(), base, test.files, Message{Author: author(), Text: "x"})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	for _, by := range []Author{{}, {Name: "a<b", Email: "e"}, {Name: "a\nb", Email: "e"}} {
		if _, err := r.Commit(t.Context(), base, map[string][]byte{"a.yaml": []byte("x")}, Message{Author: by, Text: "x"}); err == nil {
			t.Errorf("author %q is taken", by)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Commit(ctx, base, map[string][]byte{"a.yaml": []byte("x")}, Message{Author: author(), Text: "x"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	s := newServer(t, map[string]string{"a.yaml": "a: 1\nb: 1\n", "c.yaml": "c: 1\n"})
	r := s.open()
	got, err := mustSnapshot(t, r, "main").Diff(t.Context(), map[string][]byte{"a.yaml": []byte("a: 2\nb: 1\n"), "c.yaml": nil, "d.yaml": []byte("d: 1\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--- a/a.yaml\n+++ b/a.yaml\n@@ -1,2 +1,2 @@\n-a: 1\n+a: 2\n b: 1\n", "--- a/c.yaml\n+++ /dev/null\n", "--- /dev/null\n+++ b/d.yaml\n@@ -0,0 +1 @@\n+d: 1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
