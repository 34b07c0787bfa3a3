package test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"sealift.dev/artifact"
	"sealift.dev/publisher/signer"
	"sealift.dev/test/stage"
)

// yard is what one test of the automator has to itself: a registry and a Git server, each behind
// faults, and a person's clone.
type yard struct {
	t        *testing.T
	binary   string
	registry *stage.Registry
	faults   *stage.Faults
	git      *stage.GitServer
	url      string
	dir      string
	work     string
	env      []string // beside what every run has
	flags    []string // of every automate
}

// yardOptions stand something in front of the servers. The zero value: nothing.
type yardOptions struct {
	registry func(http.Handler) http.Handler
	git      stage.GitOptions
}

// deployPath is the repository's path on the Git server, as a forge has it.
const deployPath = "acme/deploy.git"

func newYard(t *testing.T, options yardOptions) *yard {
	t.Helper()
	sealift, err := binary()
	must(t, err)
	y := &yard{t: t, binary: sealift, faults: &stage.Faults{}, dir: t.TempDir()}
	wrap := y.faults.Wrap
	if options.registry != nil {
		wrap = func(next http.Handler) http.Handler { return y.faults.Wrap(options.registry(next)) }
	}
	y.registry, err = stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: wrap})
	must(t, err)
	t.Cleanup(func() { y.registry.Close() })
	y.git, err = stage.NewGitServer(filepath.Join(y.dir, "git"), options.git)
	must(t, err)
	t.Cleanup(func() { y.git.Close() })
	y.url, err = y.git.Create(deployPath)
	must(t, err)
	y.work = filepath.Join(y.dir, "work")
	y.person(y.dir, "clone", "--quiet", y.bare(), y.work) // past the faults
	return y
}

// bare is where the repository lies on disk.
func (y *yard) bare() string { return y.git.Path(deployPath) }

// person is git as a person uses it.
func (y *yard) person(dir string, args ...string) string {
	y.t.Helper()
	out, err := stage.Git(dir, args...)
	must(y.t, err)
	return out
}

// commit writes files (by path; empty removes) as a person, on what is there, and pushes.
func (y *yard) commit(message string, files map[string]string) string {
	y.t.Helper()
	y.pull()
	id, err := stage.Commit(y.work, message, files)
	must(y.t, err)
	y.person(y.work, "push", "--quiet", "origin", "HEAD:main")
	return id
}

// pull brings the clone to the tip, where there is one.
func (y *yard) pull() {
	y.t.Helper()
	y.person(y.work, "fetch", "--quiet", "--prune", "origin")
	if y.person(y.work, "branch", "--remotes", "--list", "origin/main") != "" {
		y.person(y.work, "checkout", "--quiet", "-B", "main", "origin/main")
	}
}

// image is the repository's name in the registry.
func (y *yard) image(name string) string { return y.registry.Host + "/apps/" + name }

// tag pushes images; each tag has a digest of its own.
func (y *yard) tag(repository string, tags ...string) {
	y.t.Helper()
	for _, tag := range tags {
		y.push(repository, tag, mutate.Annotations(empty.Image, map[string]string{"of": repository + ":" + tag}).(v1.Image))
	}
}

func (y *yard) push(repository, tag string, image v1.Image) v1.Hash {
	y.t.Helper()
	ref, err := name.ParseReference(y.image(repository)+":"+tag, name.Insecure)
	must(y.t, err)
	must(y.t, remote.Write(ref, image))
	digest, err := image.Digest()
	must(y.t, err)
	return digest
}

// digest is what a tag names now.
func (y *yard) digest(repository, tag string) string {
	y.t.Helper()
	ref, err := name.ParseReference(y.image(repository)+":"+tag, name.Insecure)
	must(y.t, err)
	found, err := remote.Head(ref)
	must(y.t, err)
	return found.Digest.String()
}

// sign signs what a tag names now, with one of the pairs that all tests share: ci or stranger.
func (y *yard) sign(who, repository, tag string) {
	y.t.Helper()
	dir, err := pairs()
	must(y.t, err)
	sealed, err := os.ReadFile(filepath.Join(dir, who+".key"))
	must(y.t, err)
	key, err := signer.Load(sealed, func() ([]byte, error) { return []byte("secret"), nil })
	must(y.t, err)
	at, err := artifact.ParseRepository("oci://" + y.image(repository))
	must(y.t, err)
	registry := artifact.NewRegistry(artifact.Options{PlainHTTP: true})
	ref, err := registry.Resolve(y.t.Context(), at, tag)
	must(y.t, err)
	_, err = signer.New(key, registry).Sign(y.t.Context(), ref)
	must(y.t, err)
}

// trust is a TrustPolicy document for every image of the yard: signed by CI.
func (y *yard) trust() string {
	y.t.Helper()
	dir, err := pairs()
	must(y.t, err)
	public, err := os.ReadFile(filepath.Join(dir, "ci.pub"))
	must(y.t, err)
	return fmt.Sprintf(`apiVersion: sealift.dev/v1alpha1
kind: TrustPolicy
metadata: {name: images}
spec:
  match: {repositories: ["%s/**"]}
  authorities:
    - name: ci
      key:
        data: |
          %s
`, y.registry.Host, strings.ReplaceAll(strings.TrimSpace(string(public)), "\n", "\n          "))
}

// follows is a sealift.yaml of images in their own words: lines of an entry, "name: x" first. More
// are lines of automate.
func (y *yard) follows(more string, images ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: sealift.dev/v1alpha1\nkind: Config\nautomate:\n")
	if more != "" {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(strings.TrimSpace(more), "\n", "\n  "))
	}
	b.WriteString("  images:\n")
	for _, image := range images {
		fmt.Fprintf(&b, "    - %s\n", strings.ReplaceAll(strings.TrimSpace(image), "\n", "\n      "))
	}
	return b.String()
}

// semver is an entry of follows.
func (y *yard) semver(name, bounds string, more ...string) string {
	lines := append([]string{"name: " + name, "image: " + y.image(name), "select: {semver: \"" + bounds + "\"}"}, more...)
	return strings.Join(lines, "\n")
}

// runs is a manifest with a marked image.
func (y *yard) runs(name, tag string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %[1]s}\nspec:\n  containers:\n    - name: %[1]s\n      image: %[2]s:%[3]s # {\"$imagepolicy\": \"%[1]s:%[1]s\"}\n", name, y.image(name), tag)
}

// pass is what one run of sealift automate did.
type pass struct {
	out, problem string
	code         int

	Tip     string
	Commit  string
	Pushed  bool
	Changes []struct{ File, Image, Old, New string }
	Images  []struct{ Name, Tag, Reason, Error string }
	Diff    string
}

// automate makes one pass.
func (y *yard) automate(more ...string) pass {
	y.t.Helper()
	p, err := y.attempt(more...)
	must(y.t, err)
	return p
}

// attempt is automate for other goroutines than the test's.
func (y *yard) attempt(more ...string) (pass, error) {
	args := slices.Concat([]string{"automate", "--repo", y.url, "--branch", "main", "-o", "json"}, y.flags, more)
	var p pass
	out, problem, err := y.run(args...)
	p.out, p.problem, p.code = out, problem, exitCode(err)
	if err != nil && p.code == 0 {
		return p, err
	}
	if out == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return p, fmt.Errorf("%w in: %s", err, out)
	}
	return p, nil
}

// run plays the binary.
func (y *yard) run(args ...string) (out, problem string, err error) {
	cmd := y.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func (y *yard) command(args ...string) *exec.Cmd {
	cmd := exec.Command(y.binary, args...)
	cmd.Dir = y.dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + y.dir, "DOCKER_CONFIG=" + y.dir, "COSIGN_PASSWORD=secret",
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
	}, y.env...)
	return cmd
}

// bumps wants a pass that pushed, and each file's image at a tag.
func (y *yard) bumps(want map[string]string, more ...string) pass {
	y.t.Helper()
	p := y.automate(more...)
	if p.code != 0 || !p.Pushed {
		y.t.Errorf("exit %d, pushed %v: %s%s", p.code, p.Pushed, p.out, p.problem)
	}
	y.holds(want)
	return p
}

// stays wants a pass that pushed nothing, and the tip where it was.
func (y *yard) stays(more ...string) pass {
	y.t.Helper()
	before := y.tip()
	p := y.automate(more...)
	if p.Pushed || y.tip() != before {
		y.t.Errorf("the branch moved from %.7s to %.7s: %s%s", before, y.tip(), p.out, p.problem)
	}
	return p
}

// holds wants texts in files at the tip of main.
func (y *yard) holds(want map[string]string) {
	y.t.Helper()
	for file, text := range want {
		if got := y.show("main", file); !strings.Contains(got, text) {
			y.t.Errorf("%s at %.7s has no %q:\n%s", file, y.tip(), text, got)
		}
	}
}

// show is a file of a branch on the server.
func (y *yard) show(branch, file string) string {
	y.t.Helper()
	return y.person(y.bare(), "show", branch+":"+file)
}

// tip is the commit of main, or of another branch, on the server; empty: there is none.
func (y *yard) tip(branch ...string) string {
	out, err := stage.Git(y.bare(), "rev-parse", "--verify", "--quiet", "refs/heads/"+cmp.Or(strings.Join(branch, ""), "main"))
	if err != nil {
		return ""
	}
	return out
}

// log has a line for each commit of main, newest first.
func (y *yard) log(format string) []string {
	y.t.Helper()
	return strings.Split(y.person(y.bare(), "log", "--format="+format, "main"), "\n")
}

// sound wants every object of the repository whole and reachable ones there.
func (y *yard) sound() {
	y.t.Helper()
	if _, err := stage.Git(y.bare(), "fsck", "--full", "--strict", "--no-dangling"); err != nil {
		y.t.Error(err)
	}
}

// says wants texts in what a run told, on either stream.
func (p pass) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.out+p.problem, text) {
			t.Errorf("nothing says %q:\n%s%s", text, p.out, p.problem)
		}
	}
}

// until asks again and again until it holds, for thirty seconds at most.
func (y *yard) until(what string, holds func() bool) {
	y.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			y.t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// hook makes the server run a script.
func (y *yard) hook(name, script string) {
	y.t.Helper()
	must(y.t, os.WriteFile(filepath.Join(y.bare(), "hooks", name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// unhook takes it away.
func (y *yard) unhook(name string) {
	y.t.Helper()
	must(y.t, os.Remove(filepath.Join(y.bare(), "hooks", name)))
}

// built is an image for a platform of Linux.
func (y *yard) built(tag, architecture string) v1.Image {
	y.t.Helper()
	config, err := empty.Image.ConfigFile()
	must(y.t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Config.Labels = map[string]string{"tag": tag}
	image, err := mutate.ConfigFile(empty.Image, config)
	must(y.t, err)
	return image
}
