package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/test/stage"
	"sealift.dev/verify"
)

const (
	acme     = "https://github.com/acme/deploy" // the repository of the stage's tokens
	workflow = acme + "/.github/workflows/publish.yml@refs/heads/main"
)

// cosignRig runs sealift and both cosign CLIs in one folder with keys of every type.
type cosignRig struct {
	t        *testing.T
	bin      string
	dir      string
	sealift  string
	commit   string // that sealift publishes
	sigstore *stage.Sigstore
	registry *artifact.Registry
}

func newCosignRig(t *testing.T, bin string) *cosignRig {
	t.Helper()
	sealift, err := binary()
	must(t, err)
	r := &cosignRig{t: t, bin: bin, sealift: sealift, dir: t.TempDir(), registry: artifact.NewRegistry(artifact.Options{PlainHTTP: true})}
	r.sigstore, err = stage.StartSigstore(t.Context(), bin, t.TempDir())
	must(t, err)
	t.Cleanup(r.sigstore.Stop)
	for _, id := range identities() {
		for _, name := range []string{"ci", "other"} { // the other one signs nothing
			if id.keyType != "" {
				r.ok("sealift", "keys", "generate", "--type", id.keyType, "--output-prefix", name+"-"+id.keyType)
			}
		}
	}
	r.ok("cosign2", "trusted-root", "create", "--out", "trusted-root.json")
	r.ok("cosign3", "signing-config", "create", "--out", "signing-config.json")
	r.commit = oneCommit(t, r.dir)
	return r
}

// run runs cosign2, cosign3 or sealift away from the user's configuration, and from any network.
func (r *cosignRig) run(program string, args ...string) (string, error) {
	path := filepath.Join(r.bin, program)
	if program == "sealift" {
		path = r.sealift
	}
	cmd := exec.CommandContext(r.t.Context(), path, args...)
	cmd.Dir = r.dir
	const nobody = "http://127.0.0.1:1" // no port that anything listens on
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "DOCKER_CONFIG=" + r.dir, "COSIGN_PASSWORD=secret", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"HTTP_PROXY=" + nobody, "HTTPS_PROXY=" + nobody, "NO_PROXY=127.0.0.1",
	}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
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

// signed is a release with a signature, and what to ask of it.
type signed struct {
	ref     string
	by      trusted // that signed it
	another trusted // that did not
	other   string  // another release, under which the same signature lies
}

// trusted is whom a verifier is told to trust.
type trusted struct {
	key     string // path of a public key; empty: keyless
	subject string
}

func (w trusted) name() string { return w.key + w.subject }

func (r *cosignRig) sign(t trip) (signed, error) {
	name := strings.NewReplacer(" ", "-", ",", "", ".", "-").Replace(strings.ToLower("trip-" + t.id.name + "-" + t.way.name))
	repository, err := artifact.ParseRepository("oci://" + t.host + "/" + name)
	if err != nil {
		return signed{}, err
	}
	s := signed{by: trusted{subject: workflow}, another: trusted{subject: workflow + "2"}}
	if t.id.keyType != "" {
		s.by, s.another = trusted{key: "ci-" + t.id.keyType + ".pub"}, trusted{key: "other-" + t.id.keyType + ".pub"}
	}
	if s.ref, err = r.signOne(t, repository); err != nil {
		return s, err
	}
	other, err := r.push(repository, "other")
	if err != nil {
		return s, err
	}
	address, err := artifact.ParseAddress("oci://" + s.ref)
	if err != nil {
		return s, err
	}
	s.other = other.String()
	return s, r.copySignatures(repository.At(address.Digest), other)
}

// signOne makes a release with one signature and returns its reference.
func (r *cosignRig) signOne(t trip, repository artifact.Repository) (string, error) {
	args, commit := t.way.keyed, strings.Repeat("a", 40) // what the stage's tokens name
	if t.id.keyType != "" {
		args = append([]string{"--key", "ci-" + t.id.keyType + ".key"}, args...)
	} else {
		if t.way.program == "sealift" {
			commit = r.commit
		}
		token, err := r.sigstore.Token(r.t.Context(), "github", map[string]any{"sha": commit, "workflow_sha": commit})
		if err != nil {
			return "", err
		}
		path := filepath.Join(r.dir, strings.NewReplacer("/", "-", ":", "-").Replace(repository.String())+".token")
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			return "", err
		}
		args = append([]string{"--identity-token", path, "--signing-config", r.sigstore.SigningConfig, "--trusted-root", r.sigstore.TrustedRoot}, t.way.keyless...)
	}
	if t.way.program == "sealift" {
		return r.publish(repository, args)
	}
	ref, err := r.push(repository, "release")
	if err != nil {
		return "", err
	}
	_, err = r.run(t.way.program, append(append([]string{"sign", "--yes"}, args...), ref.String())...)
	return ref.String(), err
}

func (r *cosignRig) publish(repository artifact.Repository, args []string) (string, error) {
	out, err := r.run("sealift", append([]string{"publish", "--to", "oci://" + repository.String(), "--source", acme,
		"--environment", "prod=prod", "--plain-http", "-o", "json"}, args...)...)
	if err != nil {
		return "", err
	}
	var p published
	err = json.Unmarshal([]byte(out), &p)
	return p.Reference, err
}

// push makes a release that nobody has signed.
func (r *cosignRig) push(repository artifact.Repository, name string) (artifact.Ref, error) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name},
	}}
	packed, err := artifact.Pack(artifact.Statement{
		Source: acme, Revision: "main@sha1:" + strings.Repeat("a", 40), Version: "1.0.0", Created: time.Unix(1, 0),
		Repository: repository.String(), Epoch: 1, Sequence: 1, Ref: "refs/heads/main",
	}, map[string][]*unstructured.Unstructured{"prod": {object}})
	if err != nil {
		return artifact.Ref{}, err
	}
	ref, _, err := r.registry.Push(r.t.Context(), repository, packed)
	return ref, err
}

// copySignatures puts what signs one release beside another, in both formats.
func (r *cosignRig) copySignatures(from, to artifact.Ref) error {
	ctx, copied := r.t.Context(), 0
	referrers, err := r.registry.Referrers(ctx, from, "", 100)
	if err != nil {
		return err
	}
	for _, referrer := range referrers {
		manifest, err := r.registry.Manifest(ctx, from.Repository.At(referrer.Digest))
		if err != nil {
			return err
		}
		if len(manifest.Layers) != 1 {
			continue
		}
		layer, err := r.registry.Blob(ctx, from.Repository, manifest.Layers[0], 1<<20)
		if err != nil {
			return err
		}
		blob := artifact.Blob{MediaType: manifest.Layers[0].MediaType, Data: layer}
		if _, err := r.registry.Attach(ctx, to, manifest.ArtifactType, blob, manifest.Annotations); err != nil {
			return err
		}
		copied++
	}
	legacy, err := r.registry.Resolve(ctx, from.Repository, verify.LegacyTag(from.Digest))
	switch {
	case err == nil:
		err = r.registry.Tag(ctx, legacy, verify.LegacyTag(to.Digest))
		copied++
	case errors.Is(err, artifact.ErrNotFound):
		err = nil
	}
	if err == nil && copied == 0 {
		err = errors.New("it has no signature")
	}
	return err
}

// verify runs the commands of docs/trust.md.
func (r *cosignRig) verify(verifier, ref string, by trusted) error {
	var args []string
	switch {
	case by.key != "" && verifier == "sealift":
		args = []string{"--key", by.key}
	case by.key != "":
		args = []string{"--key", by.key, "--insecure-ignore-tlog=true"}
		if verifier == "cosign 2.6.5" {
			args = append(args, "--trusted-root", "trusted-root.json")
		}
	default:
		args = []string{"--certificate-identity", by.subject, "--certificate-oidc-issuer", r.sigstore.Issuers["github"], "--trusted-root", r.sigstore.TrustedRoot}
		if verifier == "cosign 2.6.5" {
			args = append(args, "--use-signed-timestamps")
		}
	}
	program := map[string]string{"sealift": "sealift", "cosign 3.1.3": "cosign3", "cosign 2.6.5": "cosign2"}[verifier]
	if program == "sealift" {
		args, ref = append(args, "--plain-http"), "oci://"+ref
	}
	_, err := r.run(program, append(append([]string{"verify"}, args...), ref)...)
	return err
}
