package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sealift.dev/internal/objects"
)

// repo is a repository made with the git command.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	r := repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05+02:00", "GIT_COMMITTER_DATE=2026-01-02T03:04:05+02:00")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, path and content in turn, and commits them.
func (r repo) commit(files ...string) string {
	r.t.Helper()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(r.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

func (r repo) open() *Repository {
	r.t.Helper()
	opened, err := Open(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return opened
}

func (r repo) resolve(rev string) *Commit {
	r.t.Helper()
	c, err := r.open().Resolve(rev)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func TestOpenRefusesWhatIsNoRepository(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/does/not/exist"} {
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Error(err)
		}
	}
}

func TestResolve(t *testing.T) {
	r := newRepo(t)
	first := r.commit("a", "1")
	second := r.commit("a", "2")
	r.git("tag", "-a", "v1.0.0", "-m", "x", first)
	r.git("tag", "light", first)
	r.git("pack-refs", "--all")
	r.git("gc", "-q")
	for rev, want := range map[string]string{"HEAD": second, "main": second, "HEAD~1": first, "v1.0.0": first, first: first, second[:8]: second, "refs/heads/main": second} {
		if c := r.resolve(rev); c.Hash != want || c.Time.Format("15:04Z07:00") != "01:04Z" {
			t.Error(rev, c.Hash, c.Time)
		}
	}
	if tags, err := r.resolve(first).Tags(); err != nil || !slices.Equal(tags, []string{"light", "v1.0.0"}) {
		t.Error(tags, err)
	}
	for _, rev := range []string{"nothing", strings.Repeat("0", 40), "HEAD~9", ""} {
		if _, err := r.open().Resolve(rev); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Error(rev, err)
		}
	}
	if _, err := newRepo(t).open().Resolve("HEAD"); err == nil {
		t.Error("a repository without commits has a HEAD")
	}
}

func TestFirstParents(t *testing.T) {
	r := newRepo(t)
	r.commit("a", "1")
	r.git("checkout", "-q", "-b", "side")
	r.commit("b", "1")
	side := r.commit("b", "2")
	r.git("checkout", "-q", "main")
	r.commit("a", "2")
	r.git("merge", "-q", "--no-ff", "-m", "m", "side")
	if n, err := r.resolve("main").FirstParents(t.Context()); err != nil || n != 3 {
		t.Error(n, err)
	}
	for ref, want := range map[string]bool{"refs/heads/main": false, "refs/heads/side": true} {
		if in, err := r.resolve(side).IsIn(t.Context(), ref); err != nil || in != want {
			t.Error(ref, in, err)
		}
	}
	for rev, want := range map[string]bool{"main": true, "main~2": true, "side": false} {
		if in, err := r.resolve(rev).IsIn(t.Context(), "refs/heads/main"); err != nil || in != want {
			t.Error(rev, in, err)
		}
	}
	if in, err := r.resolve("main").IsIn(t.Context(), "refs/heads/side"); err != nil || in {
		t.Error(in, err)
	}
	shallow := repo{t, t.TempDir()}
	shallow.git("clone", "-q", "--depth", "1", "file://"+r.dir, ".")
	if _, err := shallow.resolve("HEAD").FirstParents(t.Context()); err == nil || !strings.Contains(err.Error(), "is a shallow clone") || !strings.Contains(err.Error(), "--unshallow") {
		t.Error(err)
	}
	shallow.git("fetch", "-q", "--unshallow")
	if n, err := shallow.resolve("HEAD").FirstParents(t.Context()); err != nil || n != 3 {
		t.Error(n, err)
	}
}

func TestOpenFindsEveryKindOfRepository(t *testing.T) {
	r := newRepo(t)
	want := r.commit("deploy/a.yaml", "a")
	r.git("pack-refs", "--all")
	bare := repo{t, t.TempDir()}
	bare.git("clone", "-q", "--bare", r.dir, ".")
	borrowed := repo{t, t.TempDir()}
	borrowed.git("clone", "-q", "--shared", r.dir, ".")
	linked := repo{t, filepath.Join(t.TempDir(), "linked")}
	r.git("worktree", "add", "-q", linked.dir)
	below := repo{t, filepath.Join(r.dir, "deploy")}
	for name, r := range map[string]repo{"bare": bare, "alternates": borrowed, "worktree": linked, "folder": below} {
		c := r.resolve("HEAD")
		tree, err := c.Tree()
		if err != nil {
			t.Fatal(name, err)
		}
		if data, err := tree.ReadFile("deploy/a.yaml"); err != nil || string(data) != "a" || c.Hash != want {
			t.Error(name, data, err)
		}
	}
}

// TestExtensions opens repositories with what git sparse-checkout and git clone
// --filter set, and refuses one that objects cannot be read from.
func TestExtensions(t *testing.T) {
	r := newRepo(t)
	want := r.commit("deploy/a.yaml", "a")
	r.git("sparse-checkout", "set", "deploy")
	linked := repo{t, filepath.Join(t.TempDir(), "linked")}
	r.git("worktree", "add", "-q", linked.dir)
	for _, extension := range []string{"extensions.partialClone", "extensions.preciousObjects", "extensions.noop"} {
		r.git("config", "core.repositoryformatversion", "1")
		r.git("config", extension, "true")
		for _, r := range []repo{r, linked} {
			if c := r.resolve("HEAD"); c.Hash != want {
				t.Error(extension, c.Hash)
			}
		}
	}
	r.git("config", "extensions.compactedObjects", "true")
	if _, err := Open(r.dir); err == nil || !strings.Contains(err.Error(), "compactedobjects") || !strings.Contains(err.Error(), "hint: ") {
		t.Error(err)
	}
}

func TestTreeReadsTheCommitOnly(t *testing.T) {
	r := newRepo(t)
	r.commit("deploy/a.yaml", "committed")
	if err := os.WriteFile(filepath.Join(r.dir, "deploy/a.yaml"), []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := r.resolve("HEAD").Tree()
	if err != nil {
		t.Fatal(err)
	}
	if data, err := tree.ReadFile("deploy/a.yaml"); err != nil || string(data) != "committed" {
		t.Error(string(data), err)
	}
	for _, name := range []string{"deploy/b.yaml", "b/a.yaml", "deploy/a.yaml/x", "../x", "/etc/passwd", "deploy/../deploy/a.yaml", ""} {
		if _, err := tree.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Error(name, err)
		}
	}
	for folder, want := range map[string][]string{".": {"deploy/a.yaml"}, "deploy": {"deploy/a.yaml"}} {
		if files, err := tree.Walk(folder); err != nil || !slices.Equal(files, want) {
			t.Error(folder, files, err)
		}
	}
	for _, folder := range []string{"b", "deploy/a.yaml", "..", ""} {
		if files, err := tree.Walk(folder); !errors.Is(err, fs.ErrNotExist) {
			t.Error(folder, files, err)
		}
	}
}

func TestTreeRefusesLinksAndSubmodules(t *testing.T) {
	r := newRepo(t)
	if err := os.Symlink("real", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	r.commit("real/a", "a")
	r.git("update-index", "--add", "--cacheinfo", "160000,"+r.git("rev-parse", "HEAD")+",module")
	r.git("commit", "-q", "-m", "x")
	tree, err := r.resolve("HEAD").Tree()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"link": `"link" is a symbolic link`, "link/a": `"link" is a symbolic link`, "module": `"module" is a submodule`} {
		if _, err := tree.ReadFile(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(name, err)
		}
	}
	if _, err := tree.ReadFile("real/a"); err != nil {
		t.Error(err)
	}
	if files, err := tree.Walk("."); err == nil || !strings.Contains(err.Error(), `"link" is a symbolic link`) {
		t.Error(files, err)
	}
	if files, err := tree.Walk("real"); err != nil || len(files) != 1 {
		t.Error(files, err)
	}
}

func TestTreeRefusesLargeFiles(t *testing.T) {
	r := newRepo(t)
	r.commit("large", strings.Repeat("x", maxFile+1), "fits", strings.Repeat("x", maxFile))
	tree, err := r.resolve("HEAD").Tree()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReadFile("large"); !errors.Is(err, objects.ErrLimit) || !strings.Contains(err.Error(), `"large" has 16777217 bytes`) {
		t.Error(err)
	}
	if _, err := tree.ReadFile("fits"); err != nil {
		t.Error(err)
	}
}

func TestHeadAndSource(t *testing.T) {
	r := newRepo(t)
	hash := r.commit()
	if ref, err := r.open().Branch("HEAD"); err != nil || ref != "refs/heads/main" {
		t.Error(ref, err)
	}
	if source, err := r.open().Source(); err != nil || source != "" {
		t.Error(source, err)
	}
	r.git("remote", "add", "origin", "https://u:secret@git.example.com/a.git?token=x#y")
	if source, err := r.open().Source(); err != nil || source != "https://git.example.com/a" {
		t.Error(source, err)
	}
	r.git("branch", hash[:4]) // a branch that is named like a hash, and then is elsewhere
	elsewhere := r.commit("x", "y")
	r.git("branch", "-f", hash[:4])
	if c := r.resolve(hash[:4]); c.Hash != elsewhere {
		t.Error(c.Hash)
	}
	r.git("tag", "v1")
	for rev, want := range map[string]string{hash[:4]: "refs/heads/" + hash[:4], "refs/heads/main": "refs/heads/main", "@": "refs/heads/main",
		hash: "", "v1": "", "refs/tags/v1": "", "refs/heads/none": ""} {
		if ref, err := r.open().Branch(rev); err != nil || ref != want {
			t.Error(rev, ref, err)
		}
	}
	r.git("checkout", "-q", hash)
	if ref, err := r.open().Branch("HEAD"); err != nil || ref != "" {
		t.Error(ref, err)
	}
}

func TestWalkIsBounded(t *testing.T) {
	r := newRepo(t)
	deep := strings.Repeat("d/", maxDepth)
	files := []string{"deep/" + deep + "a", "", "fits/" + strings.TrimPrefix(deep, "d/") + "a", ""}
	for i := range maxFiles {
		files = append(files, fmt.Sprintf("many/%d", i), "")
	}
	r.commit(files...)
	tree, err := r.resolve("HEAD").Tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"deep", "."} {
		if _, err := tree.Walk(folder); !errors.Is(err, objects.ErrLimit) {
			t.Error(folder, err)
		}
	}
	if _, err := tree.ReadFile("deep/" + deep + "a"); !errors.Is(err, objects.ErrLimit) {
		t.Error(err)
	}
	for folder, want := range map[string]int{"fits": 1, "many": maxFiles} {
		if files, err := tree.Walk(folder); err != nil || len(files) != want {
			t.Error(folder, len(files), err)
		}
	}
}

func TestMissingObjectsHaveAHint(t *testing.T) {
	r := newRepo(t)
	r.commit("a", "content")
	r.git("config", "uploadpack.allowFilter", "true")
	partial := repo{t, t.TempDir()}
	partial.git("clone", "-q", "--filter=blob:none", "--no-checkout", "file://"+r.dir, ".")
	tree, err := partial.resolve("HEAD").Tree()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReadFile("a"); err == nil || !strings.Contains(err.Error(), "hint: clone without --filter") {
		t.Error(err)
	}
}

// TestFullHashIsNoBranch: a hash in full names its commit, whatever branches are called.
func TestFullHashIsNoBranch(t *testing.T) {
	r := newRepo(t)
	hash := r.commit()
	elsewhere := r.commit("x", "y")
	r.git("update-ref", "refs/heads/"+hash, elsewhere)
	if c := r.resolve(hash); c.Hash != hash {
		t.Error(c.Hash)
	}
	if ref, err := r.open().Branch(hash); err != nil || ref != "" {
		t.Error(ref, err)
	}
}
