package policy_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"sealift.dev/verify/policy"
)

func encode(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func ecKey(t *testing.T, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, key.Public())
}

func rsaKey(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, key.Public())
}

func edKey(t *testing.T) string {
	t.Helper()
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, key)
}

func TestKeys(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	good := ecKey(t, elliptic.P256())
	tests := []struct{ name, data, want string }{
		{"P-256", good, ""},
		{"P-384", ecKey(t, elliptic.P384()), ""},
		{"RSA 3072", rsaKey(t, 3072), ""},
		{"Ed25519", edKey(t), ""},
		{"P-224", ecKey(t, elliptic.P224()), "P-224"},
		{"P-521", ecKey(t, elliptic.P521()), "P-521"},
		{"RSA 1024", rsaKey(t, 1024), "1024 bits"},
		{"RSA 2048", rsaKey(t, 2048), "2048 bits"},
		{"no PEM", "cosign.pub", "not PEM"},
		{"empty", "", "not PEM"},
		{"two keys", good + good, "followed by more data"},
		{"private key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "private key"},
		{"certificate", strings.ReplaceAll(good, "PUBLIC KEY", "CERTIFICATE"), "CERTIFICATE"},
		{"cut short", good[:60] + "\n-----END PUBLIC KEY-----\n", "key"},
		{"too large", good + strings.Repeat("\n", 9000), "limit of 8192"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Key{Data: test.data}.Public()
			wantError(t, err, test.want)
			_, err = policy.OfKey([]byte(test.data))
			wantError(t, err, test.want)
		})
	}
}

func TestKeyIDIgnoresEncoding(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	one, err := policy.Key{Data: key}.Public()
	if err != nil {
		t.Fatal(err)
	}
	two, err := policy.Key{Data: "# the key of CI\n" + strings.ReplaceAll(key, "\n", "\r\n")}.Public()
	if err != nil {
		t.Fatal(err)
	}
	if one.ID != two.ID || len(one.ID) != 64 {
		t.Errorf("IDs of two encodings: %q and %q", one.ID, two.ID)
	}
}

// wantError checks that err mentions want; an empty want means no error.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error: %v", err)
	case want != "" && err == nil:
		t.Errorf("no error, want one with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want one with %q", err, want)
	}
}

// document writes a TrustPolicy with a spec of lines.
func document(lines ...string) string {
	return "apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: shop}\nspec:\n  " + strings.Join(lines, "\n  ") + "\n"
}

func authority(name, key string) string {
	quoted, _ := json.Marshal(key)
	return "- {name: " + name + ", key: {data: " + string(quoted) + "}}"
}

func TestParse(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	ci, other, twin := authority("ci", key), authority("other", edKey(t)), authority("twin", key)
	good := document("authorities:", ci)
	tests := []struct{ name, text, want string }{
		{"least", good, ""},
		{"comments and empty documents", "# trust\n---\n" + good + "---\n# end\n", ""},
		{"everything", document("mode: Audit", "formats: [bundle, legacy]", "match: {namespaces: [shop], repositories: ['r.example.com:5000/**/shop-*']}",
			"require: {atLeast: 2}", "source: {repositories: ['https://git.example.com/shop'], refs: [refs/heads/main]}", "authorities:", ci, other), ""},
		{"two of two", document("require: {atLeast: 2}", "authorities:", ci, other), ""},
		{"two of one key", document("require: {atLeast: 2}", "authorities:", ci, twin), "1 different keys"},
		{"none needed", document("require: {atLeast: -1}", "authorities:", ci), "atLeast is -1"},
		{"no authority", document("authorities: []"), "no authorities"},
		{"name twice", document("authorities:", ci, ci), `authority "ci" is listed twice`},
		{"bad key", document("authorities:", authority("ci", ecKey(t, elliptic.P224()))), `authority "ci": the key is on the curve P-224`},
		{"unknown mode", document("mode: Warn", "authorities:", ci), `mode "Warn"`},
		{"unknown format", document("formats: [pgp]", "authorities:", ci), `format "pgp"`},
		{"format twice", document("formats: [bundle, bundle]", "authorities:", ci), "listed twice"},
		{"unknown field", document("revoke: {}", "authorities:", ci), `unknown field "spec.revoke"`},
		{"field in another case", document("Mode: Audit", "authorities:", ci), `unknown field "spec.Mode"`},
		{"duplicate key", document("mode: Audit", "mode: Enforce", "authorities:", ci), "mode"},
		{"scheme", document("match: {repositories: ['oci://r/x']}", "authorities:", ci), "scheme"},
		{"a host alone", document("match: {repositories: ['r.example.com']}", "authorities:", ci), "matches nothing; hint: write r.example.com/**"},
		{"a star alone", document("match: {repositories: ['*']}", "authorities:", ci), "matches nothing"},
		{"two stars alone", document("match: {repositories: ['**']}", "authorities:", ci), ""},
		{"glob we lack", document("match: {repositories: ['r/x?']}", "authorities:", ci), "path element"},
		{"stars in a word", document("match: {repositories: ['r/a**']}", "authorities:", ci), "whole path elements"},
		{"empty element", document("match: {repositories: ['r//a']}", "authorities:", ci), "path element"},
		{"namespace pattern", document("match: {namespaces: ['shop-*']}", "authorities:", ci), "namespace"},
		{"short ref", document("source: {refs: [main]}", "authorities:", ci), "full Git ref"},
		{"other kind", strings.Replace(good, "TrustPolicy", "Policy", 1), "kind: TrustPolicy"},
		{"other version", strings.Replace(good, "v1alpha1", "v2", 1), "apiVersion"},
		{"no name", strings.Replace(good, "{name: shop}", "{}", 1), "metadata.name"},
		{"same name twice", good + "---\n" + good, `"shop" is taken`},
		{"nothing", "# nothing\n", "no document"},
		{"a list", "- 1\n", "document 1"},
		{"not YAML", "{", "document 1"},
		{"too large", good + strings.Repeat("#\n", policy.MaxDocumentBytes/2), "limit of 1048576"},
		{"too many", strings.Repeat(good+"---\n", 65), "more than 64"},
		{"alias bomb", bomb(), "document 1"},
		{"quadratic aliases", "a: &a " + strings.Repeat("x", 500_000) + "\nb: [" + strings.Repeat("*a, ", 100_000) + "]\n", "over the limit"},
		{"deep", document("match: " + strings.Repeat("[", 100_000)), "document 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(test.text))
			wantError(t, err, test.want)
		})
	}
}

// bomb is YAML whose aliases expand to 10^9 strings.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for _, c := range "12345678" {
		before := string(c - 1)
		b.WriteString("a" + string(c) + ": &a" + string(c) + " [" + strings.Repeat("*a"+before+",", 9) + "*a" + before + "]\n")
	}
	return b.String()
}

func TestParseAppliesDefaults(t *testing.T) {
	policies, err := policy.Parse([]byte(document("authorities:", authority("ci", edKey(t)))))
	if err != nil {
		t.Fatal(err)
	}
	p := policies[0].Policy
	if err := (policy.Policy{Trust: policy.Trust{Authorities: p.Authorities}}).Validate(); err != nil {
		t.Errorf("without defaults: %v", err)
	}
	if policies[0].Name != "shop" || p.Mode != policy.Enforce || p.Require.AtLeast != 1 || len(p.Formats) != 1 || p.Formats[0] != policy.Bundle {
		t.Errorf("parsed %+v", policies[0])
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		namespaces, patterns  []string
		namespace, repository string
		want                  bool
	}{
		{nil, nil, "shop", "r.example.com/deploy/shop", true},
		{[]string{"shop"}, nil, "shop", "r/x", true},
		{[]string{"shop"}, nil, "shops", "r/x", false},
		{[]string{"shop"}, nil, "", "r/x", true},
		{nil, []string{"r/deploy/*"}, "", "r/deploy/shop", true},
		{nil, []string{"r/deploy/*"}, "", "r/deploy/team/shop", false},
		{nil, []string{"r/deploy/*"}, "", "r/deploy", false},
		{nil, []string{"r/deploy/**"}, "", "r/deploy/team/shop", true},
		{nil, []string{"r/deploy/**"}, "", "r/deploy", true},
		{nil, []string{"r/deploy/**"}, "", "r/deployed/x", false},
		{nil, []string{"r/**/shop"}, "", "r/a/b/c/shop", true},
		{nil, []string{"r/**/shop"}, "", "r/shop", true},
		{nil, []string{"r/**/shop"}, "", "r/shop/x", false},
		{nil, []string{"r/a*b*c"}, "", "r/a-b-b-c", true},
		{nil, []string{"r/a*b*c"}, "", "r/a-c", false},
		{nil, []string{"r/a*a"}, "", "r/a", false},
		{nil, []string{"r.example.com/x"}, "", "r.example.com.evil/x", false},
		{nil, []string{"r.example.com/x"}, "", "rXexample.com/x", false},
		{nil, []string{"other/x", "r/x"}, "", "r/x", true},
		{[]string{"shop"}, []string{"r/x"}, "other", "r/x", false},
		{nil, []string{"R.example.com:443/x"}, "", "r.example.com/x", true},
		{nil, []string{"r.example.com.:80/**"}, "", "r.example.com/x", true},
		{nil, []string{"*.Example.com.:5000/x"}, "", "r.example.com:5000/x", true},
		{nil, []string{"r.example.com/x"}, "", "R.example.com:443/x", true},
		{nil, []string{"[::1]:5000/x", "[2001:db8::443]/x"}, "", "[2001:db8::443]/x", true},
		{nil, []string{"r.example.com:4430/x"}, "", "r.example.com/x", false},
		{nil, []string{"r.example.com/X"}, "", "r.example.com/x", false},
		{nil, []string{strings.Repeat("**/", 150) + "z"}, "", strings.Repeat("a/", 250) + "b", false},
	}
	for _, test := range tests {
		p := policy.Policy{Match: policy.Match{Namespaces: test.namespaces, Repositories: test.patterns}}
		if got := p.Matches(test.namespace, test.repository); got != test.want {
			t.Errorf("%v %v matches %q %q: %v", test.namespaces, test.patterns, test.namespace, test.repository, got)
		}
	}
}

func TestSource(t *testing.T) {
	source := policy.Source{Repositories: []string{"https://git.example.com/acme/deploy"}, Refs: []string{"refs/heads/main"}}
	for url, want := range map[string]bool{
		"https://git.example.com/acme/deploy":      true,
		"https://git.example.com/acme/deploy.git":  true,
		"https://git.example.com/acme/deploy/":     true,
		"https://git.example.com/acme/deploy-evil": false,
		"https://git.example.com/acme":             false,
		"http://git.example.com/acme/deploy":       false,
		"":                                         false,
	} {
		if got := source.AllowsRepository(url); got != want {
			t.Errorf("repository %q: %v", url, got)
		}
	}
	for ref, want := range map[string]bool{"refs/heads/main": true, "refs/heads/main2": false, "refs/tags/main": false, "": false} {
		if got := source.AllowsRef(ref); got != want {
			t.Errorf("ref %q: %v", ref, got)
		}
	}
	if open := (policy.Source{}); open.Restricted() || !open.AllowsRepository("") || !open.AllowsRef("x") {
		t.Error("an empty source restricts")
	}
}
