package policy

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// seedPolicies are bodies of a spec, each with whatever a field may hold.
func seedPolicies() []string {
	const key = "authorities: [{name: ci, key: {data: \"-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\\n-----END PUBLIC KEY-----\\n\"}}]\n"
	const keyless = "authorities: [{name: ci, keyless: {issuer: https://token.actions.githubusercontent.com, subjectRegexp: '^https://github\\.com/acme/.*$', sourceRepository: https://github.com/acme/deploy}}]\n"
	return []string{
		key, keyless, key + "mode: Audit\nformats: [bundle, legacy]\nrequire: {atLeast: 1}\n",
		key + "match: {namespaces: [shop], repositories: ['r.example.com/**']}\nsource: {repositories: ['https://git.example.com/a'], refs: [refs/heads/main]}\n",
		key + "mirrors: [{of: r.example.com/a, at: m.example.com/b}]\nrevoked: {digests: ['sha256:" + strings.Repeat("0", 64) + "'], keys: ['" + strings.Repeat("0", 64) + "']}\n",
		key + "attestations: [{predicateType: https://slsa.dev/provenance/v1, authorities: [{name: ci}], maxAge: 720h, conditions: [{expression: 'predicate.a == 1'}]}]\n",
		strings.Replace(keyless, "subjectRegexp: '^", "subjectRegexp: '", 1), key + "x: &x [*x]\n", key + "match: {repositories: []}\n", key + "mode: enforce\nMode: Audit\n", key + "require: {atLeast: 2}\n",
		strings.Replace(key, "data:", "validFrom: 2026-01-02T03:04:05Z, validUntil: 2027-01-02T03:04:05Z, data:", 1),
	}
}

const head = "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: shop}\nspec:\n"

// FuzzPolicy: a policy that is accepted is accepted again when it is written, and
// says the same.
func FuzzPolicy(f *testing.F) {
	for _, seed := range seedPolicies() {
		text := head + "  " + strings.ReplaceAll(strings.TrimSpace(seed), "\n", "\n  ") + "\n"
		f.Add([]byte(text))
		f.Add([]byte(text + "---\n" + strings.Replace(text, "name: shop", "name: other", 1)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		policies, err := Parse(data)
		if err != nil {
			return
		}
		for _, named := range policies {
			written, err := yaml.Marshal(document{APIVersion: apiVersion, Kind: kind, Metadata: metadata{Name: named.Name}, Spec: named.Policy})
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(written)
			if err != nil {
				t.Fatalf("written again: %v in\n%s", err, written)
			}
			if len(again) != 1 || !equality.Semantic.DeepEqual(again[0], named) {
				t.Fatalf("%+v became %+v in\n%s", named, again, written)
			}
			if len(named.Policy.Authorities) == 0 || named.Policy.Require.AtLeast < 1 || named.Policy.Require.AtLeast > len(named.Policy.Authorities) {
				t.Fatalf("nobody has to sign: %+v", named)
			}
			named.Policy.Matches("shop", "r.example.com/shop")
		}
	})
}

// TestSeedPolicies: what the fuzzer starts from is accepted at least in part.
func TestSeedPolicies(t *testing.T) {
	accepted := 0
	for _, seed := range seedPolicies() {
		if _, err := Parse([]byte(head + "  " + strings.ReplaceAll(strings.TrimSpace(seed), "\n", "\n  ") + "\n")); err == nil {
			accepted++
		} else {
			t.Log(err)
		}
	}
	if accepted < 6 {
		t.Errorf("%d of %d are accepted", accepted, len(seedPolicies()))
	}
}
