package stage_test

import (
	"path/filepath"
	"strings"
	"testing"

	"sealift.dev/test/stage"
)

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := stage.Git(dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGitPushOverHTTP(t *testing.T) {
	for name, options := range map[string]stage.GitOptions{
		"open":     {},
		"password": {User: "ada", Password: "s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := stage.NewGitServer(t.TempDir(), options)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			url, err := g.Create("shop.git")
			if err != nil {
				t.Fatal(err)
			}
			if options.User != "" {
				if _, err := stage.Git(".", "ls-remote", url); err == nil {
					t.Error("reading without the password succeeded")
				}
				url = strings.Replace(url, "://", "://ada:s3cret@", 1)
			}
			roundTrip(t, g, url)
		})
	}
}

// roundTrip commits in one clone, pushes and sees the commit in a second one.
func roundTrip(t *testing.T, g *stage.GitServer, url string) {
	t.Helper()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	must(t, dir, "clone", "--quiet", url, first)
	commit, err := stage.Commit(first, "Begin", map[string]string{"deploy/shop.yaml": "kind: Shop\n"})
	if err != nil {
		t.Fatal(err)
	}
	must(t, first, "push", "--quiet", "origin", "HEAD")
	must(t, dir, "clone", "--quiet", url, second)
	if got := must(t, second, "rev-parse", "HEAD"); got != commit {
		t.Errorf("cloned commit %s, want %s", got, commit)
	}
	if got := must(t, g.Path("shop.git"), "rev-parse", "refs/heads/main"); got != commit {
		t.Errorf("served main is %s, want %s", got, commit)
	}
	if got := must(t, second, "log", "-1", "--format=%an <%ae>"); got != "Ada <ada@example.com>" {
		t.Errorf("author %s, want the stage's, not the user's", got)
	}
}

func TestCommitRemovesFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "init", "--quiet", "--initial-branch=main", ".")
	if _, err := stage.Commit(dir, "Begin", map[string]string{"a": "1", "b/c": "2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := stage.Commit(dir, "Remove", map[string]string{"a": ""}); err != nil {
		t.Fatal(err)
	}
	if got := must(t, dir, "ls-files"); got != "b/c" {
		t.Errorf("files %q, want b/c", got)
	}
}
