package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealift.dev/test/parts"
	"sealift.dev/test/stage"
)

// TestCopyOverTheGap carries a release in a folder from one registry to others,
// with and without the referrers API: the digest stays, and both cosign CLIs and
// Sealift accept the copy's signatures, by the key that made them only.
func TestCopyOverTheGap(t *testing.T) {
	bin, err := parts.Ensure(t.Context(), os.Stderr, "cosign2", "cosign3", "registry")
	must(t, err)
	d := newDesk(t)
	d.programs["cosign2"], d.programs["cosign3"] = filepath.Join(bin, "cosign2"), filepath.Join(bin, "cosign3")
	_, err = d.run("cosign2", "trusted-root", "create", "--out", "trusted-root.json")
	must(t, err)
	source, err := stage.NewRegistry(stage.RegistryOptions{Referrers: true})
	must(t, err)
	defer source.Close()
	p := d.publish(source.Host + "/deploy/shop")
	_, err = d.run("sealift", "copy", "oci://"+source.Host+"/deploy/shop:main", "oci-layout:gap", "--images", "--key", d.ci.Public, "--from-plain-http")
	must(t, err)

	distribution, err := stage.StartDistribution(t.Context(), bin, t.TempDir(), stage.DistributionOptions{})
	must(t, err)
	defer distribution.Stop()
	targets := map[string]string{"distribution": distribution.Host}
	for name, referrers := range map[string]bool{"referrers API": true, "referrers tag": false} {
		registry, err := stage.NewRegistry(stage.RegistryOptions{Referrers: referrers})
		must(t, err)
		defer registry.Close()
		targets[name] = registry.Host
	}
	for name, host := range targets {
		t.Run(name, func(t *testing.T) {
			_, err := d.run("sealift", "copy", "oci-layout:gap:main", "oci://"+host+"/mirror/shop", "--images", "--to-plain-http")
			must(t, err)
			d.accepted(t, host+"/mirror/shop@"+p.Digest, source.Host+"/deploy/shop", host+"/mirror/shop")
		})
	}
}

// accepted wants the release accepted with CI's key, and refused with another.
func (d *desk) accepted(t *testing.T, ref, of, at string) {
	t.Helper()
	for _, who := range []struct {
		key  string
		want bool
	}{{d.ci.Public, true}, {d.stranger.Public, false}} {
		policy := d.policy(who.key, of, at)
		for name, args := range map[string][]string{
			"cosign3": {"verify", "--key", who.key, "--insecure-ignore-tlog=true", ref},
			"cosign2": {"verify", "--key", who.key, "--insecure-ignore-tlog=true", "--trusted-root", "trusted-root.json", ref},
			"sealift": {"verify", "oci://" + ref, "--policy", policy, "--plain-http"},
		} {
			if _, err := d.run(name, args...); (err == nil) != who.want {
				t.Errorf("%s, with the key %s: %v", name, filepath.Base(who.key), err)
			}
		}
	}
	// Without the mirror, the copy is another's release.
	if out, err := d.run("sealift", "verify", "oci://"+ref, "--key", d.ci.Public, "--plain-http", "-o", "json"); err == nil || !strings.Contains(out, "StatementMismatch") {
		t.Errorf("without a mirror: %v: %s", err, out)
	}
}

func (d *desk) policy(key, of, at string) string {
	d.t.Helper()
	data, err := os.ReadFile(key)
	must(d.t, err)
	text := fmt.Sprintf(`apiVersion: sealift.dev/v1alpha1
kind: TrustPolicy
metadata: {name: gap}
spec:
  formats: [bundle, legacy]
  authorities: [{name: ci, key: {data: %q}}]
  mirrors: [{of: %q, at: %q}]
`, data, of, at)
	path := filepath.Join(d.dir, filepath.Base(key)+".policy.yaml")
	must(d.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
