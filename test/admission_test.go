package test

import (
	"fmt"
	"strings"
	"testing"
)

// TestAdmission: the API server itself refuses what no policy can mean, in words
// that say what to write instead; the twin that differs in that only is stored.
func TestAdmission(t *testing.T) {
	w := onSync(t)
	pem := strings.ReplaceAll(strings.TrimSpace(w.ci.PublicPEM), "\n", "\\n")
	const issuer = "issuer: 'https://token.actions.githubusercontent.com'"
	const subject = "subject: 'https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main'"
	key := fmt.Sprintf("key: {data: %q}", "PEM") // replaced below
	ci := "authorities: [{name: ci, " + key + "}]"
	keyless := func(fields ...string) string {
		return "authorities: [{name: ci, keyless: {" + strings.Join(fields, ", ") + "}}]"
	}
	attestation := func(fields string) string {
		return ci + ", attestations: [{predicateType: 'https://slsa.dev/provenance/v1', " + fields + "}]"
	}
	tests := []struct{ name, good, bad, words string }{
		{"signer", ci, "authorities: [{name: ci}]", "an authority has exactly one of key and keyless"},
		{"authorities", ci, "authorities: []", "should have at least 1 items"},
		{"name", ci, "authorities: [{name: ci, " + key + "}, {name: ci, " + key + "}]", "Duplicate value"},
		{"key", "authorities: [{name: ci, key: {secretRef: {name: ci}}}]", "authorities: [{name: ci, key: {data: x, secretRef: {name: ci}}}]", "a key has exactly one of data and secretRef"},
		{"window", "authorities: [{name: ci, key: {secretRef: {name: ci}, validFrom: '2026-01-01T00:00:00Z', validUntil: '2027-01-01T00:00:00Z'}}]",
			"authorities: [{name: ci, key: {secretRef: {name: ci}, validFrom: '2027-01-01T00:00:00Z', validUntil: '2026-01-01T00:00:00Z'}}]", "validFrom must be before validUntil"},
		{"issuer", keyless(issuer, subject), keyless(subject), "keyless needs exactly one of issuer and issuerRegexp"},
		{"subject", keyless(issuer, subject), keyless(issuer, subject, "subjectRegexp: '^x$'"), "keyless needs exactly one of subject and subjectRegexp"},
		{"literal", keyless(issuer, subject), keyless("issuer: 'https://.*'", subject), "this is compared as it is written, and looks like a pattern"},
		{"anchors", keyless(issuer, "subjectRegexp: '^https://github[.]com/acme/.*$'"), keyless(issuer, "subjectRegexp: 'https://github[.]com/acme/.*'"), "a regular expression begins with ^ and ends with $"},
		{"claim", keyless(issuer, subject, "sourceRef: refs/heads/main"), keyless(issuer, subject, "sourceRef: refs/heads/main, sourceRefRegexp: '^x$'"), "at most one of sourceRef and sourceRefRegexp"},
		{"root", keyless(issuer, subject, "trustedRoot: {data: '{}'}"), keyless(issuer, subject, "trustedRoot: {}"), "a trusted root has exactly one of data and secretRef"},
		{"threshold", ci + ", require: {atLeast: 1}", ci + ", require: {atLeast: 2}", "require.atLeast is more than there are authorities"},
		{"attestor", attestation("authorities: [{name: ci}]"), attestation("authorities: [{name: scanner}]"), "has neither key nor keyless, and is none of the policy's"},
		{"age", attestation("authorities: [{name: ci}], maxAge: 1h"), attestation("authorities: [{name: ci}], maxAge: 0s"), "maxAge must be more than 0s"},
		{"predicate", attestation("authorities: [{name: ci}]"), ci + ", attestations: [{predicateType: 'https://sigstore.dev/cosign/sign/v1', authorities: [{name: ci}]}]", "that of signatures"},
		{"mirror", ci + ", mirrors: [{of: a.example.com/x, at: b.example.com/x}]", ci + ", mirrors: [{of: a.example.com/x, at: a.example.com/x/y}]", "of and at must not overlap"},
		{"mirror pattern", ci + ", mirrors: [{of: a.example.com, at: b.example.com}]", ci + ", mirrors: [{of: 'a.example.com/*', at: b.example.com}]", "not patterns"},
		{"digest", ci + ", revoked: {digests: ['sha256:" + strings.Repeat("0", 64) + "']}", ci + ", revoked: {digests: ['" + strings.Repeat("0", 64) + "']}", "should match '^sha256:"},
		{"key ID", ci + ", revoked: {keys: ['" + strings.Repeat("0", 64) + "']}", ci + ", revoked: {keys: ['sha256:" + strings.Repeat("0", 64) + "']}", "should match '^[0-9a-f]"},
		{"repository", ci + ", match: {repositories: ['r.example.com/**']}", ci + ", match: {repositories: ['oci://r.example.com/**']}", "a repository is HOST/PATH, without a scheme"},
		{"host alone", ci + ", match: {repositories: ['r.example.com/**']}", ci + ", match: {repositories: ['r.example.com']}", "a host alone matches nothing"},
		{"namespace", ci + ", match: {namespaces: [shop]}", ci + ", match: {namespaces: ['shop-*']}", "should match"},
		{"ref", ci + ", source: {refs: [refs/heads/main]}", ci + ", source: {refs: [main]}", "a ref is a full Git ref"},
		{"mode", ci + ", mode: Audit", ci + ", mode: Warn", `supported values: "Enforce", "Audit"`},
		{"unknown field", ci, ci + ", revoke: {}", `unknown field "spec.revoke"`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			write := func(spec string) string {
				return strings.ReplaceAll(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %s-%d}\nspec: {match: {namespaces: [nowhere]}, %s}\n", w.name, i, spec), "PEM", pem)
			}
			bad, good := write(test.bad), write(test.good)
			if strings.Contains(test.bad, "match:") {
				bad, good = strings.Replace(bad, "match: {namespaces: [nowhere]}, ", "", 1), strings.Replace(good, "match: {namespaces: [nowhere]}, ", "", 1)
			}
			for verb, dry := range map[string]string{"create": "--dry-run=server", "apply": "--dry-run=server"} {
				_, err := w.cluster.KubectlInput(t.Context(), bad, verb, dry, "--validate=strict", "-f", "-")
				if err == nil || !strings.Contains(err.Error(), test.words) {
					t.Errorf("%s: error %v, want one with %q", verb, err, test.words)
				}
				if _, err := w.cluster.KubectlInput(t.Context(), good, verb, dry, "--validate=strict", "-f", "-"); err != nil {
					t.Errorf("%s of the twin: %v", verb, err)
				}
			}
		})
	}
}

// TestLargestPolicyIsAdmitted: a policy at every limit passes the API server's
// budget for the rules above.
func TestLargestPolicyIsAdmitted(t *testing.T) {
	w := onSync(t)
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %s}\nspec:\n  match: {namespaces: [nowhere]}\n  authorities:\n", w.name)
	signer := func(indent, name string) {
		fmt.Fprintf(&b, "%s- {name: %s, keyless: {issuer: 'https://%s', subjectRegexp: '^%s$', sourceRepositoryRegexp: '^%[4]s$', sourceRef: '%[4]s'}}\n",
			indent, name, strings.Repeat("i", 1000), strings.Repeat("s", 1000))
	}
	for i := range 32 {
		signer("    ", fmt.Sprintf("a%d", i))
	}
	b.WriteString("  attestations:\n")
	for i := range 4 { // 16 would be larger than an object may be
		fmt.Fprintf(&b, "    - predicateType: https://example.com/%d\n      authorities:\n", i)
		for j := range 32 {
			signer("        ", fmt.Sprintf("b%d", j))
		}
	}
	b.WriteString("  mirrors:\n")
	for i := range 64 {
		fmt.Fprintf(&b, "    - {of: 'o%d.example.com/%s', at: 'm%[1]d.example.com/%s'}\n", i, strings.Repeat("x", 480), strings.Repeat("y", 480))
	}
	b.WriteString("  revoked:\n    digests:\n")
	for i := range 1024 {
		fmt.Fprintf(&b, "      - sha256:%064x\n", i)
	}
	w.createLarge(b.String())
	w.kubectl("delete", "trustpolicy", w.name)
}

// createLarge creates what is too large for the annotation that kubectl apply adds.
func (w *world) createLarge(manifest string) {
	w.t.Helper()
	if out, err := w.cluster.KubectlInput(w.t.Context(), manifest, "create", "-f", "-"); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}
