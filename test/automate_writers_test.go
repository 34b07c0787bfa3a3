package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"sealift.dev/test/stage"
)

// TestAutomateTwentyWritersOfTheirOwn: twenty automators at once, each of two images of which a
// neighbour has one as well, all push to one branch: each value is changed once.
func TestAutomateTwentyWritersOfTheirOwn(t *testing.T) {
	t.Parallel()
	const writers = 20
	y := newYard(t, yardOptions{})
	files := map[string]string{}
	names := make([]string, writers)
	for i := range names {
		names[i] = fmt.Sprintf("app-%02d", i)
		y.tag(names[i], "1.0.0", "1.1.0")
		files["apps/"+names[i]+".yaml"] = y.runs(names[i], "1.0.0")
	}
	y.commit("one", files)
	var group errgroup.Group
	for i := range writers {
		config := filepath.Join(y.dir, names[i]+".yaml")
		must(t, os.WriteFile(config, []byte(y.follows("", y.semver(names[i], ">=1.0.0"), y.semver(names[(i+1)%writers], ">=1.0.0"))), 0o644))
		group.Go(func() error {
			p, err := y.attempt("--config", config)
			if err == nil && p.code != 0 {
				err = fmt.Errorf("writer %d: exit %d: %s", i, p.code, p.problem)
			}
			return err
		})
	}
	must(t, group.Wait())
	for _, name := range names {
		file := "apps/" + name + ".yaml"
		y.holds(map[string]string{file: name + ":1.1.0"})
		if log := y.person(y.bare(), "log", "--format=%h", "main", "--", file); len(strings.Fields(log)) != 2 {
			t.Errorf("%s was changed by these commits, want the first and one more:\n%s", name, log)
		}
	}
	t.Logf("%d commits", len(y.log("%h"))-1)
	y.sound()
}

// TestAutomateOverSSH: the same over SSH, where only a known server is spoken to.
func TestAutomateOverSSH(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	server, err := stage.NewSSHGitServer(filepath.Join(y.dir, "ssh"), stage.SSHGitOptions{})
	must(t, err)
	t.Cleanup(func() { server.Close() })
	url, err := server.Create("deploy.git")
	must(t, err)
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	y.person(y.work, "push", "--quiet", server.Path("deploy.git"), "HEAD:main")
	key, known, nobody := filepath.Join(y.dir, "id"), filepath.Join(y.dir, "known"), filepath.Join(y.dir, "nobody")
	for path, content := range map[string][]byte{key: server.Key, known: server.KnownHosts, nobody: nil} {
		must(t, os.WriteFile(path, content, 0o600))
	}
	_, problem, err := y.run("automate", "--repo", url, "--branch", "main", "--ssh-key", key, "--ssh-known-hosts", nobody)
	if exitCode(err) != 1 || !strings.Contains(problem, "ssh-keyscan") {
		t.Errorf("an unknown server: %v: %s", err, problem)
	}
	_, problem, err = y.run("automate", "--repo", url, "--branch", "main", "--ssh-key", key, "--ssh-known-hosts", known)
	must(t, err)
	if got := y.person(server.Path("deploy.git"), "show", "main:shop.yaml"); !strings.Contains(got, "shop:1.1.0") {
		t.Errorf("%s\n%s", got, problem)
	}
}
