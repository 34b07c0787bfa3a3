package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// signingRig publishes one commit with the real program, next to a private Sigstore.
type signingRig struct {
	t        *testing.T
	dir, bin string
	sealift  string
	commit   string
	registry *stage.Registry
	sigstore *stage.Sigstore
}

func newSigningRig(t *testing.T) *signingRig {
	t.Helper()
	bin, err := parts.Ensure(t.Context(), os.Stderr, append(stage.SigstoreParts(), "cosign2", "cosign3")...)
	must(t, err)
	r := &signingRig{t: t, dir: t.TempDir(), bin: bin}
	r.sealift, err = binary()
	must(t, err)
	r.registry, err = stage.NewRegistry(stage.RegistryOptions{Referrers: true})
	must(t, err)
	t.Cleanup(func() { r.registry.Close() })
	r.sigstore, err = stage.StartSigstore(t.Context(), bin, t.TempDir())
	must(t, err)
	t.Cleanup(r.sigstore.Stop)
	r.commit = oneCommit(t, r.dir)
	return r
}

// oneCommit makes dir a Git repository with one manifest, and returns the commit's hash.
func oneCommit(t *testing.T, dir string) string {
	t.Helper()
	_, err := stage.Git(dir, "init", "--quiet", "--initial-branch=main")
	must(t, err)
	_, err = stage.Commit(dir, "one", map[string]string{"prod/a.yaml": configMap("a", "1")})
	must(t, err)
	commit, err := stage.Git(dir, "rev-parse", "HEAD")
	must(t, err)
	return strings.TrimSpace(commit)
}

// token is one that a job for the rig's commit gets, with other claims on top.
func (r *signingRig) token(issuer string, claims map[string]any) string {
	r.t.Helper()
	all := map[string]any{"sha": r.commit}
	if issuer == "kubernetes" || issuer == "email" {
		all = map[string]any{}
	}
	for name, value := range claims {
		all[name] = value
	}
	token, err := r.sigstore.Token(r.t.Context(), issuer, all)
	must(r.t, err)
	return token
}

// run runs a program away from the user's configuration; env goes on top.
func (r *signingRig) run(env []string, program string, args ...string) (string, error) {
	path := filepath.Join(r.bin, program)
	if program == "sealift" {
		path = r.sealift
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = r.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "DOCKER_CONFIG=" + r.dir,
		"COSIGN_PASSWORD=secret", "GIT_CONFIG_GLOBAL=" + os.DevNull}, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (r *signingRig) publish(repository string, env []string, more ...string) (string, error) {
	return r.run(env, "sealift", append([]string{"publish", "--to", "oci://" + r.registry.Host + "/" + repository,
		"--environment", "prod=prod", "--plain-http"}, more...)...)
}

// private are the flags that name the private instance.
func (r *signingRig) private() []string {
	return []string{"--signing-config", r.sigstore.SigningConfig, "--trusted-root", r.sigstore.TrustedRoot}
}

// dead is the signing config with services that nobody answers for.
func (r *signingRig) dead() string {
	r.t.Helper()
	data, err := os.ReadFile(r.sigstore.SigningConfig)
	must(r.t, err)
	text := string(data)
	for _, live := range []string{r.sigstore.Fulcio, r.sigstore.Rekor, r.sigstore.Timestamp} {
		text = strings.ReplaceAll(text, live, "http://127.0.0.1:1")
	}
	path := filepath.Join(r.dir, "dead.json")
	must(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestKeylessPublishing: each kind of identity is known before Fulcio is asked, so that
// publishing again asks nobody; what was signed is verified by all three programs.
func TestKeylessPublishing(t *testing.T) {
	r := newSigningRig(t)
	for issuer, subject := range map[string]string{
		"github":     "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main",
		"gitlab":     "https://gitlab.com/acme/deploy//.gitlab-ci.yml@refs/heads/main",
		"kubernetes": "https://kubernetes.io/namespaces/ci/serviceaccounts/publisher",
		"email":      "ann@example.com",
	} {
		t.Run(issuer, func(t *testing.T) {
			token := r.token(issuer, nil)
			file := filepath.Join(r.dir, issuer+".token")
			must(t, os.WriteFile(file, []byte(token), 0o600))
			out, err := r.publish(issuer, nil, append(r.private(), "--identity-token", file, "--bill")...)
			must(t, err)
			if want := fmt.Sprintf("signing as %q of the issuer %q (%s)", subject, r.sigstore.Issuers[issuer], file); !strings.Contains(out, want) {
				t.Errorf("%q is missing in %s", want, out)
			}
			noToken(t, token, out)
			out, err = r.publish(issuer, nil, "--signing-config", r.dead(), "--trusted-root", r.sigstore.TrustedRoot, "--identity-token", file, "--bill")
			if err != nil || !strings.Contains(out, "unchanged ") {
				t.Errorf("publishing again: %v, %s", err, out)
			}
			r.verified(t, r.registry.Host+"/"+issuer+":main", r.sigstore.Issuers[issuer], subject)
		})
	}
}

// verified wants a signature and provenance by an identity, and nothing by another.
func (r *signingRig) verified(t *testing.T, ref, issuer, subject string) {
	t.Helper()
	root := []string{"--trusted-root", r.sigstore.TrustedRoot}
	commands := map[string][]string{
		"sealift":             append([]string{"sealift", "verify", "oci://" + ref, "--plain-http"}, root...),
		"cosign 3":            append([]string{"cosign3", "verify", ref}, root...),
		"cosign 2":            append([]string{"cosign2", "verify", ref, "--use-signed-timestamps"}, root...),
		"cosign 3 provenance": append([]string{"cosign3", "verify-attestation", "--type", "slsaprovenance1", ref}, root...),
		"cosign 2 provenance": append([]string{"cosign2", "verify-attestation", "--new-bundle-format", "--use-signed-timestamps", "--type", "slsaprovenance1", ref}, root...),
		"cosign 3 bill":       append([]string{"cosign3", "verify-attestation", "--type", "cyclonedx", ref}, root...),
	}
	for name, command := range commands {
		as := func(subject string) error {
			_, err := r.run(nil, command[0], append(command[1:], "--certificate-identity", subject, "--certificate-oidc-issuer", issuer)...)
			return err
		}
		if err := as(subject); err != nil {
			t.Errorf("%s refuses: %v", name, err)
		}
		if err := as(subject + ".evil"); err == nil {
			t.Errorf("%s accepts another subject", name)
		}
	}
}

func noToken(t *testing.T, token, out string) {
	t.Helper()
	if signature := token[strings.LastIndexByte(token, '.')+1:]; strings.Contains(out, signature) {
		t.Errorf("the token is told: %s", out)
	}
}

// TestTokensOfCI: tokens from the environment, and from the runner of GitHub Actions.
func TestTokensOfCI(t *testing.T) {
	r := newSigningRig(t)
	token := r.token("github", nil)
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "bearer runner-secret" || q.URL.Query().Get("audience") != "sigstore" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"value": token})
	}))
	defer runner.Close()
	for name, env := range map[string][]string{
		"gitlab": {"SIGSTORE_ID_TOKEN=" + r.token("gitlab", nil), "GITLAB_CI=true", "CI_PROJECT_URL=https://gitlab.com/acme/deploy", "CI_RUNNER_ID=9"},
		"github": {"ACTIONS_ID_TOKEN_REQUEST_URL=" + runner.URL + "/?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner-secret",
			"GITHUB_ACTIONS=true", "GITHUB_SERVER_URL=https://github.com", "GITHUB_WORKFLOW_REF=acme/deploy/x.yml@refs/heads/main", "RUNNER_ENVIRONMENT=github-hosted"},
	} {
		out, err := r.publish("ci-"+name, env, r.private()...)
		must(t, err)
		noToken(t, token, out)
		if strings.Contains(out, "runner-secret") {
			t.Errorf("the runner's token is told: %s", out)
		}
		builder := map[string]string{"gitlab": "https://gitlab.com/acme/deploy/-/runners/9", "github": "https://github.com/acme/deploy/x.yml@refs/heads/main"}[name]
		policy := filepath.Join(r.dir, name+".yaml")
		must(t, os.WriteFile(policy, []byte(r.provenancePolicy(name, builder)), 0o600))
		if _, err := r.run(nil, "sealift", "verify", "oci://"+r.registry.Host+"/ci-"+name+":main", "--plain-http", "--policy", policy, "--trusted-root", r.sigstore.TrustedRoot); err != nil {
			t.Error(err)
		}
		must(t, os.WriteFile(policy, []byte(r.provenancePolicy(name, "https://sealift.dev/builders/local/v1")), 0o600))
		out, err = r.run(nil, "sealift", "verify", "oci://"+r.registry.Host+"/ci-"+name+":main", "--plain-http", "--policy", policy, "--trusted-root", r.sigstore.TrustedRoot)
		if exitCode(err) != 3 {
			t.Errorf("another builder: %v, %s", err, out)
		}
	}
}

// provenancePolicy wants provenance of the rig's commit, from a builder.
func (r *signingRig) provenancePolicy(issuer, builder string) string {
	return fmt.Sprintf(`apiVersion: sealift.dev/v1alpha1
kind: TrustPolicy
metadata: {name: ci}
spec:
  authorities:
    - name: ci
      keyless: {issuer: %q, subjectRegexp: '^https://.*$'}
  attestations:
    - predicateType: https://slsa.dev/provenance/v1
      authorities: [{name: ci}]
      maxAge: 1h
      conditions:
        - expression: predicate.runDetails.builder.id == %q
        - expression: predicate.buildDefinition.resolvedDependencies[0].digest.gitCommit == %q
        - expression: predicate.buildDefinition.externalParameters.revision == release.revision
`, r.sigstore.Issuers[issuer], builder, r.commit)
}

// TestTokensThatDoNotSign: each says why, and writes nothing that a tag leads to.
func TestTokensThatDoNotSign(t *testing.T) {
	r := newSigningRig(t)
	for name, test := range map[string]struct {
		token string
		flags []string
		want  []string
	}{
		"expired":          {r.token("github", map[string]any{"exp": 1}), r.private(), []string{"SIGSTORE_ID_TOKEN expired at 1970"}},
		"another audience": {r.token("github", map[string]any{"aud": "npm"}), r.private(), []string{"Fulcio", r.sigstore.Fulcio, "status 400"}},
		"another issuer":   {r.token("github", map[string]any{"iss": "https://evil.example.com"}), r.private(), []string{"Fulcio", `"https://evil.example.com"`}},
		"another commit":   {r.token("github", map[string]any{"sha": strings.Repeat("b", 40)}), r.private(), []string{"job for the commit \"bbb", "hint: publish the commit"}},
		"services are away": {r.token("github", nil), []string{"--signing-config", r.dead(), "--trusted-root", r.sigstore.TrustedRoot},
			[]string{"Fulcio", "http://127.0.0.1:1/", "4 attempts"}},
		"no signing config": {r.token("github", nil), []string{"--trusted-root", r.sigstore.TrustedRoot}, []string{"--signing-config"}},
	} {
		t.Run(name, func(t *testing.T) {
			repository := "bad-" + strings.ReplaceAll(name, " ", "-")
			out, err := r.publish(repository, []string{"SIGSTORE_ID_TOKEN=" + test.token}, test.flags...)
			if err == nil {
				t.Fatal("it is published")
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in %s", want, out)
				}
			}
			noToken(t, test.token, out)
			if _, err := r.run(nil, "sealift", "verify", "oci://"+r.registry.Host+"/"+repository+":main", "--plain-http",
				"--certificate-identity", "x", "--certificate-oidc-issuer", "y", "--trusted-root", r.sigstore.TrustedRoot); exitCode(err) != 1 {
				t.Errorf("a tag leads to it: %v", err)
			}
		})
	}
	out, err := r.publish("nobody", nil)
	if exitCode(err) != 2 || !strings.Contains(out, "SIGSTORE_ID_TOKEN is not set") || !strings.Contains(out, "hint: make a key pair with sealift keys generate") {
		t.Errorf("%v, %s", err, out)
	}
}

// TestKeysWithWitnesses: a key's bundle carries a timestamp and a log entry where a
// signing config is given, and both cosign CLIs verify its attestations.
func TestKeysWithWitnesses(t *testing.T) {
	r := newSigningRig(t)
	_, err := r.run(nil, "cosign2", "trusted-root", "create", "--out", "empty.json")
	must(t, err)
	_, err = r.run(nil, "sealift", "keys", "generate", "--output-prefix", "other")
	must(t, err)
	for kind, refusal := range map[string]string{"ecdsa-p256": "", "rsa-3072": "", "ed25519": "Rekor v2 takes no plain Ed25519", "ecdsa-p384": "SHA-384 only"} {
		t.Run(kind, func(t *testing.T) {
			_, err := r.run(nil, "sealift", "keys", "generate", "--type", kind, "--output-prefix", kind)
			must(t, err)
			out, err := r.publish(kind, nil, append(r.private(), "--key", kind+".key")...)
			if refusal != "" {
				if err == nil || !strings.Contains(out, refusal) {
					t.Errorf("%v, %s", err, out)
				}
				return
			}
			must(t, err)
			ref := r.registry.Host + "/" + kind + ":main"
			for _, command := range [][]string{
				{"cosign3", "verify", "--trusted-root", r.sigstore.TrustedRoot, ref}, // the log is not ignored
				{"cosign3", "verify-attestation", "--type", "slsaprovenance1", "--trusted-root", r.sigstore.TrustedRoot, ref},
				{"cosign2", "verify-attestation", "--new-bundle-format", "--use-signed-timestamps", "--type", "slsaprovenance1", "--trusted-root", r.sigstore.TrustedRoot, ref},
			} {
				if _, err := r.run(nil, command[0], append(command[1:], "--key", kind+".pub")...); err != nil {
					t.Error(err)
				}
			}
			_, err = r.run(nil, "sealift", "verify", "oci://"+ref, "--plain-http", "--key", kind+".pub")
			must(t, err)
		})
	}
	for _, kind := range []string{"ecdsa-p256", "ed25519", "ecdsa-p384", "rsa-3072"} {
		t.Run("bare "+kind, func(t *testing.T) { r.bareAttestations(kind) })
	}
}

// bareAttestations are those of a key alone, without any service.
func (r *signingRig) bareAttestations(kind string) {
	t := r.t
	_, err := r.publish("bare-"+kind, nil, "--key", kind+".key", "--bill")
	must(t, err)
	ref := r.registry.Host + "/bare-" + kind + ":main"
	for _, command := range [][]string{
		{"cosign3", "verify-attestation", "--type", "slsaprovenance1", "--insecure-ignore-tlog=true"},
		{"cosign3", "verify-attestation", "--type", "cyclonedx", "--insecure-ignore-tlog=true"},
		{"cosign2", "verify-attestation", "--type", "slsaprovenance1", "--insecure-ignore-tlog=true", "--new-bundle-format", "--trusted-root", "empty.json"},
	} {
		if _, err := r.run(nil, command[0], append(command[1:], "--key", kind+".pub", ref)...); err != nil {
			t.Error(err)
		}
		if _, err := r.run(nil, command[0], append(command[1:], "--key", "other.pub", ref)...); err == nil {
			t.Errorf("%v accepts a key that signed nothing", command)
		}
	}
}

// TestCosignSignsWithOurKeys: both CLIs take the pairs that keys generate makes.
func TestCosignSignsWithOurKeys(t *testing.T) {
	r := newSigningRig(t)
	_, err := r.run(nil, "cosign3", "signing-config", "create", "--out", "empty.json")
	must(t, err)
	_, err = r.run(nil, "sealift", "keys", "generate")
	must(t, err)
	_, err = r.publish("shop", nil, "--key", "cosign.key")
	must(t, err)
	ref := r.registry.Host + "/shop:main"
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-3072", "rsa-4096"} {
		for program, flags := range map[string][]string{
			"cosign3": {"--signing-config", "empty.json"}, "cosign2": {"--tlog-upload=false"},
		} {
			name := program + "-" + kind
			_, err := r.run(nil, "sealift", "keys", "generate", "--type", kind, "--output-prefix", name)
			must(t, err)
			verify := []string{"verify", "oci://" + ref, "--plain-http", "--key", name + ".pub"}
			if _, err := r.run(nil, "sealift", verify...); exitCode(err) != 3 {
				t.Errorf("%s verifies before it signed: %v", name, err)
			}
			_, err = r.run(nil, program, append([]string{"sign", "--yes", "--key", name + ".key", ref}, flags...)...)
			must(t, err)
			if _, err := r.run(nil, "sealift", verify...); err != nil {
				t.Error(err)
			}
		}
	}
}
