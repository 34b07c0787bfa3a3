package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
	"sealift.dev/test/stage/keys"
)

// TestCosign holds the commands of docs/trust.md: both cosign CLIs accept what
// Sealift signed, and Sealift accepts what each of them signed, on registries
// with and without the referrers API. A key that signed nothing fails every time.
func TestCosign(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, "cosign2", "cosign3", "registry")
	must(t, err)
	distribution, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{})
	must(t, err)
	t.Cleanup(distribution.Stop)
	withAPI, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true})
	must(t, err)
	t.Cleanup(func() { withAPI.Close() })
	for name, host := range map[string]string{"referrers API": withAPI.Host, "referrers tag": distribution.Host} {
		t.Run(name, func(t *testing.T) { newCosignRig(t, bin, host).play() })
	}
}

type cosignRig struct {
	t            *testing.T
	bin, sealift string
	host, dir    string
	ci, stranger keys.Pair
	other        keys.Pair // signs nothing
}

func newCosignRig(t *testing.T, bin, host string) *cosignRig {
	t.Helper()
	sealift, err := binary()
	must(t, err)
	r := &cosignRig{t: t, bin: bin, sealift: sealift, host: host, dir: t.TempDir()}
	r.ci, err = keys.New(r.dir, "ci", "secret")
	must(t, err)
	r.stranger, err = keys.New(r.dir, "stranger", "secret")
	must(t, err)
	r.other, err = keys.New(r.dir, "other", "secret")
	must(t, err)
	_, err = stage.Git(r.dir, "init", "--quiet", "--initial-branch=main")
	must(t, err)
	for file, args := range map[string][]string{
		"trusted-root.json":   {"cosign2", "trusted-root", "create", "--out"},
		"signing-config.json": {"cosign3", "signing-config", "create", "--out"},
	} {
		r.ok(args[0], append(args[1:], filepath.Join(r.dir, file))...)
	}
	return r
}

// run runs cosign2, cosign3 or sealift, away from the user's configuration.
func (r *cosignRig) run(program string, args ...string) (string, error) {
	path := filepath.Join(r.bin, program)
	if program == "sealift" {
		path = r.sealift
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "DOCKER_CONFIG=" + r.dir, "COSIGN_PASSWORD=secret", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	out, err := cmd.Output()
	if exit, failed := err.(*exec.ExitError); failed {
		return string(out), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

func (r *cosignRig) ok(program string, args ...string) string {
	r.t.Helper()
	out, err := r.run(program, args...)
	must(r.t, err)
	return out
}

// verifiers are the commands of docs/trust.md, by what they are called in failures.
func (r *cosignRig) verifiers(ref string) map[string]func(key string) error {
	return map[string]func(string) error{
		"cosign 3.1.3": func(key string) error {
			_, err := r.run("cosign3", "verify", "--key", key, "--insecure-ignore-tlog=true", ref)
			return err
		},
		"cosign 2.6.5": func(key string) error {
			_, err := r.run("cosign2", "verify", "--key", key, "--insecure-ignore-tlog=true", "--trusted-root", "trusted-root.json", ref)
			return err
		},
		"sealift": func(key string) error {
			_, err := r.run("sealift", "verify", "oci://"+ref, "--key", key, "--plain-http")
			return err
		},
	}
}

// accepted wants CI's key accepted and another's, which signed nothing, refused.
func (r *cosignRig) accepted(t *testing.T, ref string, by ...string) {
	t.Helper()
	all := r.verifiers(ref)
	for _, name := range by {
		if err := all[name](r.ci.Public); err != nil {
			t.Errorf("%s refuses: %v", name, err)
		}
		if err := all[name](r.other.Public); err == nil {
			t.Errorf("%s accepts %s with a key that signed nothing", name, ref)
		}
	}
}

func (r *cosignRig) play() {
	t := r.t
	published := r.publish(1)
	r.accepted(t, published, "cosign 3.1.3", "cosign 2.6.5", "sealift")
	t.Run("signed by cosign 3.1.3", func(t *testing.T) {
		ref := r.resigned("cosign3", "sign", "--key", r.ci.Private, "--signing-config", "signing-config.json", "--yes")
		r.accepted(t, ref, "cosign 3.1.3", "sealift")
	})
	t.Run("signed by cosign 2.6.5", func(t *testing.T) {
		ref := r.resigned("cosign2", "sign", "--key", r.ci.Private, "--tlog-upload=false", "--yes")
		r.accepted(t, ref, "sealift") // cosign itself looks only at the stranger's bundle
	})
	t.Run("signed by cosign 2.6.5 as a bundle", func(t *testing.T) {
		ref := r.resigned("cosign2", "sign", "--key", r.ci.Private, "--tlog-upload=false", "--new-bundle-format", "--yes")
		r.accepted(t, ref, "cosign 3.1.3", "sealift")
	})
}

// publish makes a release of a new commit and returns its reference.
func (r *cosignRig) publish(round int) string {
	r.t.Helper()
	return r.publishTo("shop", r.ci, round)
}

func (r *cosignRig) publishTo(repository string, key keys.Pair, round int) string {
	r.t.Helper()
	_, err := stage.Commit(r.dir, "change", map[string]string{"prod/a.yaml": configMap("a", fmt.Sprint(round))})
	must(r.t, err)
	out := r.ok("sealift", "publish", "--to", "oci://"+r.host+"/"+repository, "--key", key.Private, "--environment", "prod=prod", "--plain-http", "-o", "json")
	var p published
	must(r.t, json.Unmarshal([]byte(out), &p))
	return p.Reference
}

// resigned is a release that only a stranger signed, and then cosign with CI's key.
func (r *cosignRig) resigned(program string, args ...string) string {
	r.t.Helper()
	ref := r.publishTo(fmt.Sprintf("resigned-%s-%d", program, len(args)), r.stranger, len(args))
	if err := r.verifiers(ref)["sealift"](r.ci.Public); err == nil {
		r.t.Fatal("it is trusted before it is signed")
	}
	r.ok(program, append(args, ref)...)
	return ref
}
