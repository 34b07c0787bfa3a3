package test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// admits has the API server judge a Delivery of the test's namespace, and stores nothing.
func (w *world) admits(spec string) error {
	w.t.Helper()
	client, err := dynamic.NewForConfig(onStage(w.t).AdminConfig())
	must(w.t, err)
	var d unstructured.Unstructured
	must(w.t, yaml.Unmarshal(fmt.Appendf(nil, "apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: shop, namespace: %s}\nspec: {%s}\n", w.name, spec), &d.Object))
	_, err = client.Resource(schema.GroupVersionResource{Group: "sealift.dev", Version: "v1alpha1", Resource: "deliveries"}).Namespace(w.name).
		Create(w.t.Context(), &d, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: "Strict"})
	return err
}

// refusedSpec is a spec beside one that differs in a fault only, and what is said of it.
type refusedSpec struct{ good, bad, words string }

// refusedSources are faults of spec.source, and of what stands beside it alone.
func refusedSources() []refusedSpec {
	const url = "source: {url: 'oci://r.example.com/shop', "
	digest := "digest: 'sha256:" + strings.Repeat("0", 64) + "'"
	return []refusedSpec{
		{url + "tag: main}", url + "}", "source needs exactly one of tag, semver and digest"},
		{url + "semver: '1.x'}", url + "tag: main, semver: '1.x'}", "source needs exactly one of tag, semver and digest"},
		{url + digest + "}", url + "tag: main, " + digest + "}", "source needs exactly one of tag, semver and digest"},
		{url + digest + "}", url + "digest: sha256:00}", "source.digest is sha256: and 64 hexadecimal digits"},
		{url + "tag: main}", "source: {url: 'https://r.example.com/shop', tag: main}", "source.url is oci://HOST/REPOSITORY, without a tag, a digest or a user"},
		{url + "tag: main}", "source: {url: 'oci://r.example.com', tag: main}", "source.url is oci://HOST/REPOSITORY, without a tag, a digest or a user"},
		{url + "tag: main}", "source: {url: 'oci://r.example.com/shop:main', tag: main}", "source.url is oci://HOST/REPOSITORY, without a tag, a digest or a user"},
		{url + "tag: main}", "source: {url: 'oci://user@r.example.com/shop', tag: main}", "source.url is oci://HOST/REPOSITORY, without a tag, a digest or a user"},
		{url + "tag: main}", "source: {url: 'oci://r.example.com/" + strings.Repeat("x", 512) + "', tag: main}", "may not be more than 512"},
		{url + "tag: main}", "source: {tag: main}", "spec.source.url: Required value"},
		{url + "tag: v1.0}", url + "tag: 'a b'}", "source.tag has letters, digits"},
		{url + "semver: '1.x'}", url + "semver: ''}", "at least 1 chars long"},
		{url + "tag: main, secretRef: {name: pull}}", url + "tag: main, secretRef: {name: ''}}", "at least 1 chars long"},
		{url + "tag: main, certSecretRef: {name: ca}}", url + "tag: main, certSecretRef: {}}", "certSecretRef.name: Required value"},
		{url + "tag: main}", "environment: prod", "spec.source: Required value"},
	}
}

// refusedFields are faults of the other fields.
func refusedFields() []refusedSpec {
	ignore := func(paths string) string { return "ignoreFields: [{kind: Service, paths: [" + paths + "]}]" }
	health := func(fields string) string { return "health: [{kind: Database" + fields + "}]" }
	until := func(time string) string {
		return "trust: {authorities: [{name: ci, key: {data: x, validUntil: '" + time + "'}}]}"
	}
	long := strings.Repeat("x", 4097)
	return []refusedSpec{
		{"environment: a/prod", "environment: /prod", "environment is a relative path inside the release, without '..'"},
		{"environment: a..b", "environment: a/../b", "environment is a relative path inside the release, without '..'"},
		{"environment: .", "environment: ''", "at least 1 chars long"},
		{"serviceAccountName: shop", "serviceAccountName: ''", "at least 1 chars long"},
		{"serviceAccountName: shop.eu-1", "serviceAccountName: 'system:serviceaccount:kube-system:admin'", "serviceAccountName is the name of a service account, without its namespace"},
		{"dependsOn: [{name: a}]", "dependsOn: [{name: other/a}]", "of the Delivery's own namespace"},
		{"dependsOn: [{name: a}]", "dependsOn: [{name: a, namespace: other}]", `unknown field "spec.dependsOn[0].namespace"`},
		{"decryption: {secretRef: {name: keys}}", "decryption: {secretRef: {name: other/keys}}", "of the Delivery's own namespace"},
		{"decryption: {secretRef: {name: keys}}", "decryption: {secretRef: {name: keys, namespace: other}}", `unknown field "spec.decryption.secretRef.namespace"`},
		{"substituteFrom: [{kind: Secret, name: a}]", "substituteFrom: [{kind: Secret, name: ../a}]", "of the Delivery's own namespace"},
		{"patches: [{patch: '- {op: remove, path: /x}', target: {}}]", "patches: [{patch: '- {op: remove, path: /x}'}]", "a patch that is a list of operations needs a target"},
		{"patches: [{patch: '--- {}'}]", "patches: [{patch: '[{\"op\": \"remove\"}]'}]", "a patch that is a list of operations needs a target"},
		{"interval: 90s", "interval: 90", "must be of type string"},
		{"interval: 1.5h", "interval: 2 minutes", "interval is between 1s and 24h, written as 30s, 5m or 1.5h"},
		{"interval: 1h30m0.5s", "interval: -5m", "interval is between 1s and 24h, written as 30s, 5m or 1.5h"},
		{"timeout: 500000ms", "timeout: 1x", "timeout is between 1s and 24h, written as 30s, 5m or 1.5h"},
		{"suspend: true", "suspend: 'yes'", "must be of type boolean"},
		{"interval: 1s", "interval: 999ms", "interval is between 1s and 24h"},
		{"interval: 24h", "interval: 24h1s", "interval is between 1s and 24h"},
		{"timeout: 1s", "timeout: 0s", "timeout is between 1s and 24h"},
		{"timeout: 24h", "timeout: 25h", "timeout is between 1s and 24h"},
		{"maxPrune: 0", "maxPrune: -1", "maxPrune is a number of objects, or a share of them from 0% to 100%"},
		{"maxPrune: '100%'", "maxPrune: '101%'", "maxPrune is a number of objects, or a share of them from 0% to 100%"},
		{"maxPrune: '5%'", "maxPrune: '5'", "maxPrune is a number of objects, or a share of them from 0% to 100%"},
		{"maxPrune: 1000000", "maxPrune: 2147483648", "maxPrune is a number of objects, or a share of them from 0% to 100%"},
		{until("2030-01-01T00:00:00.5+01:00"), until("2030-01-01t00:00:00z"), "should match '^[0-9]{4}-"},
		{until("2030-01-01T00:00:00Z"), until("2030-01-01T00:00:00X5Z"), "should match '^[0-9]{4}-"},
		{until("2030-01-01T00:00:00-23:59"), until("2030-01-01T00:00:00+99:99"), "should match '^[0-9]{4}-"},
		{"drift: Report", "drift: Ignore", `supported values: "Correct", "Report"`},
		{"onFailure: Hold", "onFailure: Stop", `supported values: "Rollback", "Hold"`},
		{"irreversible: Rollback", "irreversible: Ask", `supported values: "Hold", "Rollback"`},
		{"deletionPolicy: Orphan", "deletionPolicy: Keep", `supported values: "Prune", "Orphan", "WaitForTermination"`},
		{ignore("/spec/a~1b"), ignore("spec/a"), "ignoreFields.paths are JSON pointers, as /spec/replicas"},
		{ignore("/spec/a~0b"), ignore("/spec/a~2b"), "ignoreFields.paths are JSON pointers, as /spec/replicas"},
		{ignore("/spec"), ignore(""), "should have at least 1 items"},
		{ignore("/spec"), ignore("/s" + strings.Repeat(", /s", 32)), "must have at most 32 items"},
		{ignore("/spec"), "ignoreFields: [{paths: [/spec]}]", "kind: Required value"},
		{health(", current: 'true'"), health(""), "current: Required value"},
		{health(", current: 'true'"), health(", current: ''"), "at least 1 chars long"},
		{health(", current: 'true', failed: 'false'"), health(", current: 'true', failed: " + long), "may not be more than 4096"},
		{"dependsOn: [{name: other}]", "dependsOn: [{name: shop}]", "spec.dependsOn names the Delivery itself"},
		{"dependsOn: [{name: a}, {name: b}]", "dependsOn: [{name: a}, {name: a}]", "Duplicate value"},
		{"dependsOn: [{name: a, ready: 'true'}]", "dependsOn: [{name: a, ready: " + long + "}]", "may not be more than 4096"},
		{"dependsOn: [{name: a}]", "dependsOn: [{name: ''}]", "at least 1 chars long"},
		{"decryption: {secretRef: {name: keys}}", "decryption: {}", "decryption.secretRef: Required value"},
		{"patches: [{patch: x}]", "patches: [{patch: ''}]", "at least 1 chars long"},
		{"patches: [{patch: x, target: {kind: Service}}]", "patches: [{target: {kind: Service}}]", "patch: Required value"},
		{"patches: [{patch: x}]", "patches: [{patch: " + strings.Repeat("x", 65537) + "}]", "may not be more than 65536"},
		{"patches: [{patch: x}]", "patches: [{patch: x}" + strings.Repeat(", {patch: x}", 64) + "]", "must have at most 64 items"},
		{"targetNamespace: shop-eu", "targetNamespace: Shop", "targetNamespace is a namespace: lower-case letters, digits and '-'"},
		{"targetNamespace: shop-eu", "targetNamespace: " + strings.Repeat("x", 64), "may not be more than 63"},
		{"substitute: {region_1: eu}", "substitute: {region-1: eu}", "a variable's name has letters, digits and underscores, and begins with no digit"},
		{"substitute: {_1: eu}", "substitute: {'1': eu}", "a variable's name has letters, digits and underscores, and begins with no digit"},
		{"substitute: {a: x}", "substitute: {a: " + strings.Repeat("x", 65537) + "}", "may not be more than 65536"},
		{"substituteFrom: [{kind: Secret, name: a, optional: true}]", "substituteFrom: [{kind: Pod, name: a}]", `supported values: "ConfigMap", "Secret"`},
		{"substituteFrom: [{kind: Secret, name: a}]", "substituteFrom: [{kind: Secret}]", "name: Required value"},
		{"trust: {authorities: [{name: ci, key: {data: x}}]}", "trust: {authorities: [{name: ci}]}", "an authority has exactly one of key and keyless"},
		{"trust: {authorities: [{name: ci, key: {data: x}}]}", "trust: {authorities: [{name: ci, key: {data: x}}], require: {atLeast: 2}}", "require.atLeast is more than there are authorities"},
		{"prune: false, pruneProtected: true, suspend: true", "prune: never", "must be of type boolean"},
		{"drift: Report", "drfit: Report", `unknown field "spec.drfit"`},
	}
}

// TestDeliveryAdmission: the API server itself refuses what no Delivery can mean, in
// words that say what is wrong; the twin that differs in that only is admitted.
func TestDeliveryAdmission(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	tests := refusedSources()
	const source = "source: {url: 'oci://r.example.com/shop', tag: main}, "
	for _, f := range refusedFields() {
		tests = append(tests, refusedSpec{source + f.good, source + f.bad, f.words})
	}
	for _, test := range tests {
		shown := test.bad[:min(len(test.bad), 120)]
		if err := w.admits(test.bad); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: error %v, want one with %q", shown, err, test.words)
		}
		if err := w.admits(test.good); err != nil {
			t.Errorf("the twin of %s: %v", shown, err)
		}
	}
}

// TestLargestDeliveryIsAdmitted: a Delivery at the limits that rules look at passes the
// API server's budget for them; what is only long is as long as an object may be.
func TestLargestDeliveryIsAdmitted(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	list := func(n int, item func(i int) string) string {
		var all []string
		for i := range n {
			all = append(all, item(i))
		}
		return strings.Join(all, ", ")
	}
	name := func(i, length int) string { return fmt.Sprintf("n%0*d", length-1, i) }
	paths := list(32, func(i int) string { return "/spec/" + name(i, 60) })
	long := strings.Repeat("x", 1000)
	spec := []string{
		"source: {url: 'oci://r.example.com/" + strings.Repeat("x", 490) + "', semver: '" + strings.Repeat("1", 256) + "', secretRef: {name: " + name(0, 253) + "}}",
		"environment: '" + strings.Repeat("a/", 126) + "a', interval: 24h, timeout: 24h, maxPrune: '100%', serviceAccountName: " + name(0, 253),
		"trust: {authorities: [" + list(32, func(i int) string {
			return fmt.Sprintf("{name: a%d, keyless: {issuer: 'https://%s', subjectRegexp: '^%[2]s$', sourceRef: '%[2]s'}}", i, strings.Repeat("s", 1000))
		}) + "], require: {atLeast: 32}}",
		"ignoreFields: [" + list(64, func(i int) string { return "{kind: Service, name: " + name(i, 253) + ", paths: [" + paths + "]}" }) + "]",
		"health: [" + list(32, func(i int) string { return fmt.Sprintf("{kind: K%d, current: %s, failed: %[2]s}", i, long) }) + "]",
		"dependsOn: [" + list(32, func(i int) string { return "{name: " + name(i, 253) + ", ready: " + long + "}" }) + "]",
		"patches: [" + list(64, func(i int) string { return "{patch: " + long + ", target: {name: " + name(i, 253) + "}}" }) + "]",
		"substitute: {" + list(256, func(i int) string { return name(i, 250) + ": " + long }) + "}",
		"substituteFrom: [" + list(16, func(i int) string { return "{kind: Secret, name: " + name(i, 253) + "}" }) + "]",
		"decryption: {secretRef: {name: " + name(0, 253) + "}}, targetNamespace: " + name(0, 63),
	}
	if err := w.admits(strings.Join(spec, ", ")); err != nil {
		t.Error(err.Error()[:min(len(err.Error()), 2000)])
	}
}
