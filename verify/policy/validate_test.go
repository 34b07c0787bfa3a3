package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/verify/policy"
)

const (
	issuer  = "issuer: 'https://token.actions.githubusercontent.com'"
	subject = "subject: 'https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main'"
	root    = `trustedRoot: {data: '{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'}`
)

// keyless is an authority with the identity fields.
func keyless(name string, fields ...string) string {
	return "- {name: " + name + ", keyless: {" + strings.Join(fields, ", ") + "}}"
}

// windowed is an authority whose key has more fields.
func windowed(name, key, more string) string {
	quoted, _ := json.Marshal(key)
	return "- {name: " + name + ", key: {data: " + string(quoted) + ", " + more + "}}"
}

func TestParseIdentities(t *testing.T) {
	ci := keyless("ci", issuer, subject)
	tests := []struct{ name, text, want string }{
		{"literal", document("authorities:", ci), ""},
		{"everything", document("authorities:", keyless("ci", "issuerRegexp: '^https://gitlab\\.(?:example|acme)\\.com$'", "subjectRegexp: '^https://.*$'",
			"sourceRepository: 'https://github.com/acme/deploy'", "sourceRefRegexp: '^refs/(?:heads/main|tags/v.*)$'", "buildTrigger: push", "runnerEnvironment: github-hosted", root)), ""},
		{"neither", document("authorities:", "- name: ci"), `authority "ci" has neither key nor keyless`},
		{"both", document("authorities:", "- {name: ci, key: {data: x}, keyless: {"+issuer+", "+subject+"}}"), "both key and keyless"},
		{"no issuer", document("authorities:", keyless("ci", subject)), "issuer is missing; hint: write it, or issuerRegexp"},
		{"no subject", document("authorities:", keyless("ci", issuer)), "subject is missing; hint: write it, or subjectRegexp"},
		{"both forms", document("authorities:", keyless("ci", issuer, subject, "issuerRegexp: '^a$'")), "both issuer and issuerRegexp"},
		{"both forms of a claim", document("authorities:", keyless("ci", issuer, subject, "sourceRef: refs/heads/main", "sourceRefRegexp: '^a$'")), "both sourceRef and sourceRefRegexp"},
		{"pattern as issuer", document("authorities:", keyless("ci", "issuer: 'https://.*'", subject)), "looks like a pattern; hint: write an anchored regular expression as issuerRegexp"},
		{"pattern as subject", document("authorities:", keyless("ci", issuer, "subject: '^https://github.com/acme/.+$'")), "as subjectRegexp"},
		{"blank at the end", document("authorities:", keyless("ci", issuer, "subject: 'x '")), "blanks"},
		{"not anchored", document("authorities:", keyless("ci", issuer, "subjectRegexp: 'https://github.com/acme/.*'")), "whole strings only"},
		{"half anchored", document("authorities:", keyless("ci", issuer, "subjectRegexp: '^https://github.com/acme/.*'")), "whole strings only"},
		{"alternatives beside the anchors", document("authorities:", keyless("ci", issuer, "subjectRegexp: '^a|b$'")), "hint: write ^…$, and ^(?:a|b)$"},
		{"no expression", document("authorities:", keyless("ci", issuer, "subjectRegexp: '^($'")), "missing closing )"},
		{"too large an expression", document("authorities:", keyless("ci", issuer, "subjectRegexp: '^"+strings.Repeat("a{1000}", 20)+"$'")), "limit of 10000"},
		{"too long", document("authorities:", keyless("ci", issuer, "subject: "+strings.Repeat("x", 1025))), "more than 1024 bytes"},
		{"root without content", document("authorities:", keyless("ci", issuer, subject, "trustedRoot: {}")), "trustedRoot: it is no JSON"},
		{"another file as root", document("authorities:", keyless("ci", issuer, subject, `trustedRoot: {data: '{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}'}`)), "its mediaType is"},
		{"root from two places", document("authorities:", keyless("ci", issuer, subject, "trustedRoot: {data: x, secretRef: {name: z}}")), "both data and secretRef"},
		{"two of one identity", document("require: {atLeast: 2}", "authorities:", ci, keyless("twin", issuer, subject, "buildTrigger: push")), "1 different keys and identities"},
		{"two refs of one workflow", document("require: {atLeast: 2}", "authorities:", ci, keyless("tags", issuer, strings.Replace(subject, "heads/main", "tags/v1", 1))), "1 different keys and identities"},
		{"two refs of one workflow, one with an @", document("require: {atLeast: 2}", "authorities:", ci, keyless("tags", issuer, strings.Replace(subject, "heads/main", "tags/shop@1", 1))), "1 different keys and identities"},
		{"two people", document("require: {atLeast: 2}", "authorities:", keyless("ada", issuer, "subject: ada@example.com"), keyless("bob", issuer, "subject: bob@example.com")), ""},
		{"two that may be two", document("require: {atLeast: 2}", "authorities:", ci, keyless("any", issuer, "subjectRegexp: '^.+$'")), ""},
		{"a key and an identity", document("require: {atLeast: 2}", "authorities:", ci, authority("key", edKey(t))), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(test.text))
			wantError(t, err, test.want)
		})
	}
}

func TestParseTheRest(t *testing.T) {
	key := edKey(t)
	ci := authority("ci", key)
	with := func(lines ...string) string { return document(append([]string{"authorities:", ci}, lines...)...) }
	attestation := func(fields string) string {
		return with("attestations:", "- {predicateType: 'https://slsa.dev/provenance/v1', "+fields+"}")
	}
	digest, id := "sha256:"+strings.Repeat("a", 64), strings.Repeat("b", 64)
	tests := []struct{ name, text, want string }{
		{"window", document("authorities:", windowed("ci", key, "validFrom: '2026-01-01T00:00:00Z', validUntil: '2027-01-01T00:00:00Z'")), ""},
		{"window the wrong way round", document("authorities:", windowed("ci", key, "validFrom: '2027-01-01T00:00:00Z', validUntil: '2026-01-01T00:00:00Z'")), "validFrom 2027-01-01T00:00:00Z is not before validUntil 2026-01-01T00:00:00Z"},
		{"no time", document("authorities:", windowed("ci", key, "validFrom: yesterday")), "yesterday"},
		{"secret", document("authorities:", "- {name: ci, key: {secretRef: {name: ci-key}}}"), ""},
		{"secret without a name", document("authorities:", "- {name: ci, key: {secretRef: {}}}"), "secretRef has no name"},
		{"data and secret", document("authorities:", windowed("ci", key, "secretRef: {name: x}")), "both data and secretRef"},
		{"attestation", attestation("authorities: [{name: ci}], maxAge: 720h, conditions: [{expression: 'predicate.passed', message: it passed}]"), ""},
		{"another attestor", attestation("authorities: [{name: scanner, keyless: {" + issuer + ", " + subject + "}}]"), ""},
		{"unknown attestor", attestation("authorities: [{name: scanner}]"), `authority "scanner" is none of the policy's`},
		{"attestor twice", attestation("authorities: [{name: ci}, {name: ci}]"), "listed twice"},
		{"attestor with a name that is taken", attestation("authorities: [{name: ci, keyless: {" + issuer + ", " + subject + "}}]"), "has the name of one of the policy's"},
		{"bad attestor", attestation("authorities: [{name: scanner, keyless: {" + issuer + "}}]"), "subject is missing"},
		{"nobody attests", attestation("authorities: []"), "nobody could attest"},
		{"no age", attestation("authorities: [{name: ci}], maxAge: 0s"), "maxAge is 0s"},
		{"bad condition", attestation("authorities: [{name: ci}], conditions: [{expression: 'predicate.'}]"), `attestation 1 ("https://slsa.dev/provenance/v1"): the condition`},
		{"condition of another type", attestation("authorities: [{name: ci}], conditions: [{expression: '1 + 1'}]"), "not bool"},
		{"no type", with("attestations: [{authorities: [{name: ci}]}]"), "predicateType is missing"},
		{"a signature", with("attestations: [{predicateType: 'https://sigstore.dev/cosign/sign/v1', authorities: [{name: ci}]}]"), "that of signatures"},
		{"too many", with("attestations: [" + strings.Repeat("{predicateType: x, authorities: [{name: ci}]}, ", 17) + "]"), "limit of 16"},
		{"mirrors", with("mirrors: [{of: r.example.com/deploy, at: mirror.example.com:5000/r/deploy}, {of: other.example.com, at: mirror.example.com:5000/other}]"), ""},
		{"mirror pattern", with("mirrors: [{of: r.example.com/**, at: mirror.example.com}]"), "is a pattern"},
		{"mirror with a scheme", with("mirrors: [{of: r.example.com, at: 'https://mirror.example.com'}]"), "scheme"},
		{"mirror of itself", with("mirrors: [{of: r.example.com, at: r.example.com}]"), "overlap"},
		{"mirror inside", with("mirrors: [{of: r.example.com/a, at: r.example.com/a/mirror}]"), "overlap"},
		{"mirror of itself in another spelling", with("mirrors: [{of: r.example.com/a, at: R.example.com:443/a}]"), "overlap"},
		{"mirror around", with("mirrors: [{of: r.example.com/a, at: r.example.com}]"), "overlap"},
		{"two of one place", with("mirrors: [{of: a.example.com, at: m.example.com}, {of: b.example.com, at: m.example.com}]"), "not clear what is mirrored"},
		{"one place inside another", with("mirrors: [{of: a.example.com, at: m.example.com/x}, {of: b.example.com, at: m.example.com}]"), "not clear what is mirrored"},
		{"mirror twice", with("mirrors: [{of: a.example.com, at: m.example.com}, {of: a.example.com, at: m.example.com}]"), "listed twice"},
		{"revoked", with("revoked: {digests: [" + digest + "], keys: [" + id + "]}"), ""},
		{"digest without algorithm", with("revoked: {digests: [" + id + "]}"), "is no digest"},
		{"key with algorithm", with("revoked: {keys: [" + digest + "]}"), "is no key ID"},
		{"revoked twice", with("revoked: {keys: [" + id + ", " + id + "]}"), "listed twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := policy.Parse([]byte(test.text))
			wantError(t, err, test.want)
		})
	}
}

func TestAnchored(t *testing.T) {
	for pattern, whole := range map[string]bool{
		`^a$`: true, `^a.*b$`: true, `^(?:a|b)$`: true, `^(a|b)$`: true, `\Aa\z`: false,
		`a`: false, `^a`: false, `a$`: false, `^a|b$`: false, `^a$|^b$`: false, `^a\$`: false, `(?m)^a$`: false,
		`^(?m)a$`: false, `^(?:a$|b)`: false, `(^a$)?`: false, `^`: false, ``: false, `^$`: false,
	} {
		if _, err := policy.Anchored(pattern); (err == nil) != whole {
			t.Errorf("%q: error %v, want one: %v", pattern, err, !whole)
		}
	}
	matcher, err := policy.Anchored(`^https://github\.com/acme/.*$`)
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"https://github.com/acme/deploy": true, "https://githubXcom/acme/deploy": false,
		"https://evil.example/https://github.com/acme/": false, "https://github.com/acme/deploy\n": false, "x\nhttps://github.com/acme/a": false,
	} {
		if matcher.MatchString(s) != want {
			t.Errorf("matches %q: %v", s, !want)
		}
	}
}

func TestOfIdentity(t *testing.T) {
	named, err := policy.OfIdentity(policy.Keyless{Issuer: "https://accounts.example.com", Subject: "robot@example.com"})
	if err != nil || named.Name != "identity" || len(named.Policy.Formats) != 2 {
		t.Errorf("%+v, %v", named, err)
	}
	_, err = policy.OfIdentity(policy.Keyless{Issuer: "https://accounts.example.com", SubjectRegexp: ".*@example.com"})
	wantError(t, err, "whole strings only")
}

// TestResolve: what a policy refers to is read from Secrets, and nobody takes a
// policy with open references for whole.
func TestResolve(t *testing.T) {
	key := edKey(t)
	policies, err := policy.Parse([]byte(document("authorities:", "- {name: ci, key: {secretRef: {name: ci-key}}}",
		keyless("build", issuer, subject, "trustedRoot: {secretRef: {name: roots, key: private.json}}"),
		"attestations: [{predicateType: x, authorities: [{name: ci}, {name: scanner, key: {secretRef: {name: scan-key}}}]}]")))
	if err != nil {
		t.Fatal(err)
	}
	open := policies[0].Policy
	wantError(t, open.Validate(), `the key of authority "ci" is in the Secret "ci-key", and only the synchronizer reads`)
	if got := fmt.Sprint(open.Secrets()); got != "[ci-key roots scan-key]" {
		t.Errorf("it refers to %s", got)
	}
	stored := map[policy.SecretKey]string{
		{Name: "ci-key", Key: "cosign.pub"}:   key,
		{Name: "scan-key", Key: "cosign.pub"}: edKey(t),
		{Name: "roots", Key: "private.json"}:  `{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`,
	}
	read := func(ref policy.SecretKey) ([]byte, error) {
		if data, found := stored[ref]; found {
			return []byte(data), nil
		}
		return nil, errors.New("no such secret")
	}
	whole, err := open.Resolve(read)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, whole.Validate(), "")
	if whole.Authorities[0].Key.Data != key || len(whole.Secrets()) != 0 {
		t.Errorf("resolved to %+v", whole.Authorities[0].Key)
	}
	if open.Authorities[0].Key.SecretRef == nil || open.Authorities[0].Key.Data != "" {
		t.Error("resolving changed the policy that was given")
	}
	if got := whole.Attestors(whole.Attestations[0]); len(got) != 2 || got[0].Key.Data != key || got[1].Name != "scanner" {
		t.Errorf("attestors %+v", got)
	}
	delete(stored, policy.SecretKey{Name: "scan-key", Key: "cosign.pub"})
	_, err = open.Resolve(read)
	wantError(t, err, `the key of authority "scanner": no such secret`)
	stored[policy.SecretKey{Name: "scan-key", Key: "cosign.pub"}] = "nonsense"
	whole, err = open.Resolve(read)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, whole.Validate(), `authority "scanner": the key is not PEM`)
}

// A host has one spelling, whatever a policy writes.
func TestMirrorOfAnotherSpelling(t *testing.T) {
	m := policy.Mirror{Of: "R.example.com:443/deploy", At: "M.example.com.:5000/r"}
	if at, ok := m.Place("r.example.com/deploy/shop"); !ok || at != "m.example.com:5000/r/shop" {
		t.Errorf("it is at %q, %v", at, ok)
	}
	origins := policy.Policy{Mirrors: []policy.Mirror{m}}.Origins("m.example.com:5000/r/shop")
	if len(origins) != 2 || origins[1] != "r.example.com/deploy/shop" {
		t.Errorf("origins %q", origins)
	}
}

func TestMirrorPlace(t *testing.T) {
	m := policy.Mirror{Of: "r.example.com/deploy", At: "m.example.com/r"}
	for repository, want := range map[string]string{
		"r.example.com/deploy/shop": "m.example.com/r/shop", "r.example.com/deploy": "m.example.com/r",
		"r.example.com/deployed": "", "other.example.com/deploy/shop": "", "": "",
	} {
		place, ok := m.Place(repository)
		if ok != (want != "") || ok && place != want {
			t.Errorf("%q is at %q, %v, want %q", repository, place, ok, want)
		}
	}
}

// A subject binds a release to a ref only where it names one.
func TestSubjectWithoutRef(t *testing.T) {
	for subject, warned := range map[string]bool{
		"ada@example.com": true, "https://github.com/acme/deploy/.github/workflows/publish.yml@refs/heads/main": false,
	} {
		named, err := policy.OfIdentity(policy.Keyless{Issuer: "https://accounts.example.com", Subject: subject})
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Join(named.Explain(time.Now()).Warnings, "\n")
		if strings.Contains(told, "any branch or tag") != warned {
			t.Errorf("%s: warnings %s", subject, told)
		}
	}
}
