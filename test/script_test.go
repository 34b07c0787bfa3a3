package test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// pairs are made once: ci, and a stranger.
var pairs = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(common.scratch, "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"ci", "stranger"} {
		if _, err := keys.New(dir, name, "secret"); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// TestScripts plays testdata/*.txtar: the command line, as a person would use it,
// between a registry and a Git server of each script's own.
func TestScripts(t *testing.T) {
	sealift, err := binary()
	must(t, err)
	keyDir, err := pairs()
	must(t, err)
	docs, err := filepath.Abs("../docs")
	must(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true})
			if err != nil {
				return err
			}
			closed, err := stage.NewRegistry(stage.RegistryOptions{User: "ci", Password: "secret"})
			if err != nil {
				return err
			}
			git, err := stage.NewGitServer(filepath.Join(e.WorkDir, ".git-server"), stage.GitOptions{})
			if err != nil {
				return err
			}
			e.Defer(func() { registry.Close(); closed.Close(); git.Close() })
			for _, pair := range [][2]string{
				{"HOME", e.WorkDir}, {"DOCKER_CONFIG", e.WorkDir}, {"COSIGN_PASSWORD", "secret"},
				{"GIT_CONFIG_GLOBAL", os.DevNull}, {"GIT_CONFIG_NOSYSTEM", "1"},
				{"GIT_AUTHOR_NAME", "Ada"}, {"GIT_AUTHOR_EMAIL", "ada@example.com"},
				{"GIT_COMMITTER_NAME", "Ada"}, {"GIT_COMMITTER_EMAIL", "ada@example.com"},
				{"PATH", filepath.Dir(sealift) + string(os.PathListSeparator) + os.Getenv("PATH")},
				{"REGISTRY", registry.Host}, {"CLOSED", closed.Host}, {"GIT", git.URL}, {"KEYS", keyDir}, {"DOCS", docs},
			} {
				e.Setenv(pair[0], pair[1])
			}
			_, err = git.Create("shop.git")
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE sealift ARG... wants this very exit code.
			"exits": exits,
			// image REPOSITORY:TAG pushes an image.
			"image": func(ts *testscript.TestScript, _ bool, args []string) {
				image, err := random.Image(64, 1)
				ts.Check(err)
				reference, err := name.ParseReference(args[0], name.Insecure)
				ts.Check(err)
				ts.Check(remote.Write(reference, image))
			},
			"unsigned": unsigned,
			"strange":  strange,
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := exitCode(ts.Exec(args[1], args[2:]...)); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// unsigned REPOSITORY:TAG moves the tag to a copy of what it names, which nobody signed.
func unsigned(ts *testscript.TestScript, _ bool, args []string) {
	reference, err := name.ParseReference(args[0], name.Insecure)
	ts.Check(err)
	image, err := remote.Image(reference)
	ts.Check(err)
	ts.Check(remote.Write(reference, mutate.Annotations(image, map[string]string{"x": "y"}).(v1.Image)))
}

// strange REPOSITORY:TAG pushes an image whose annotations speak to the terminal.
func strange(ts *testscript.TestScript, _ bool, args []string) {
	image, err := random.Image(64, 1)
	ts.Check(err)
	reference, err := name.ParseReference(args[0], name.Insecure)
	ts.Check(err)
	annotations := map[string]string{"org.opencontainers.image.source": "\x1b[31mred\u009b"}
	ts.Check(remote.Write(reference, mutate.Annotations(image, annotations).(v1.Image)))
}
