package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is an entry of a ConfigMap of the test's namespace.
func (w *world) entry(name, entry string) string {
	w.t.Helper()
	return w.kubectl("get", "configmap", name, "-n", w.name, "--ignore-not-found", "-o", "jsonpath={.data."+entry+"}")
}

// variables makes the ConfigMap of that name, or changes it.
func (w *world) variables(name, data string) {
	w.t.Helper()
	w.apply(fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {%s}\n", name, w.name, data))
}

// TestVariables substitutes values of the spec, of a ConfigMap and of a Secret, and
// follows them as they change.
func TestVariables(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.variables("cluster", `region: eu, port: "8080", note: "a: {b}\n- c"`)
	w.kubectl("create", "secret", "generic", "private", "-n", w.name, "--from-literal=token=t0ken")
	spec := w.source("tag: main", "  substitute: {color: blue}\n  substituteFrom: [{kind: ConfigMap, name: cluster}, {kind: Secret, name: private}, {kind: ConfigMap, name: absent, optional: true}]\n")
	w.deliver(spec)
	release := w.publish(map[string]string{"deploy/all.yaml": `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {port: "${port}"}}
data:
  region: ${region}-${color}
  token: ${token}
  note: ${note}
  size: ${size:-small}
  kept: $${region}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: "${port}", targetPort: "${port}"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: script, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {run: "echo ${HOME}"}
`})
	w.delivered(release)
	for entry, want := range map[string]string{"region": "eu-blue", "token": "t0ken", "note": "a: {b}\n- c", "size": "small", "kept": "${region}"} {
		if got := w.entry("settings", entry); got != want {
			t.Errorf("%s is %q, want %q", entry, got, want)
		}
	}
	if got := w.kubectl("get", "service", "shop", "-n", w.name, "-o", "jsonpath={.spec.ports[0].port}"); got != "8080" {
		t.Errorf("the port is %s", got)
	}
	if got := w.entry("script", "run"); got != "echo ${HOME}" {
		t.Errorf("the script is %s", got)
	}

	w.variables("cluster", `region: us, port: "8080", note: ""`)
	w.until("the object to follow the ConfigMap", func() bool { return w.entry("settings", "region") == "us-blue" })
	w.delivered(release)
	if drifted := w.kubectl("get", "events", "-n", w.name, "-o", "jsonpath={.items[*].reason}"); strings.Contains(drifted, "DriftCorrected") {
		t.Errorf("a changed variable counts as drift: %s", drifted)
	}
	w.kubectl("delete", "configmap", "cluster", "-n", w.name)
	if message := w.refused("SubstituteSourceNotFound"); !strings.Contains(message, "cluster") || !strings.Contains(message, "hint:") {
		t.Errorf("the message is %s", message)
	}
	if got := w.entry("settings", "region"); got != "us-blue" {
		t.Errorf("without its source the object was changed: %q", got)
	}
	w.variables("cluster", `region: asia`)
	message := w.refused("TailorFailed")
	for _, want := range []string{"spec.ports.0.port: the variable port has no value", "data.note: the variable note has no value"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message %q lacks %q", message, want)
		}
	}
	if got := w.entry("settings", "region"); got != "us-blue" {
		t.Errorf("with unknown variables the object was changed: %q", got)
	}
	w.variables("cluster", `region: asia, port: "1", note: x`)
	w.delivered(release)
	if got := w.entry("settings", "region"); got != "asia-blue" {
		t.Errorf("region is %q", got)
	}
}

// TestVariablesOfABrokenRelease: a release that failed because of its variables is
// tried again when they change, and the last good one comes back with today's.
func TestVariablesOfABrokenRelease(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.variables("cluster", `region: eu`)
	w.deliver(w.source("tag: main", "  substituteFrom: [{kind: ConfigMap, name: cluster}]\n"))
	good := w.publish(map[string]string{"deploy/a.yaml": configMap("settings", "${region}")})
	w.delivered(good)
	broken := w.publish(map[string]string{"deploy/a.yaml": configMap("settings", "${region} ${zone}")})
	w.refused("TailorFailed")
	w.variables("cluster", `region: us`)
	w.until("the last good release to follow", func() bool { return w.entry("settings", "value") == "us" })
	if got := w.status().Status.Applied.Digest; got != good.Digest {
		t.Errorf("applied is %s, want %s", got, good.Digest)
	}
	w.variables("cluster", `region: us, zone: b`)
	w.delivered(broken)
	if got := w.entry("settings", "value"); got != "us b" {
		t.Errorf("value is %q", got)
	}
}

const sealed = "../synchronizer/tailor/testdata/"

func sealedFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(sealed + name)
	must(t, err)
	return string(data)
}

// TestDecryption delivers what the sops command encrypted, to age and to OpenPGP keys.
func TestDecryption(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	secret := func(name string) string {
		return w.kubectl("get", "secret", name, "-n", w.name, "--ignore-not-found", "-o", "jsonpath={.data.password}")
	}
	const s3cret = "czNjcmV0"
	age, pgp := sealedFile(t, "age.enc.yaml"), sealedFile(t, "multi.enc.yaml")
	w.deliver(w.source("tag: main", ""))
	first := w.publish(map[string]string{"deploy/plain.yaml": configMap("plain", "x"), "deploy/age.yaml": age})
	if message := w.refused("TailorFailed"); !strings.Contains(message, "hint: set spec.decryption.secretRef") {
		t.Errorf("without decryption: %s", message)
	}
	if w.exists("configmap", "plain") || w.exists("secret", "token") {
		t.Error("something was written")
	}
	w.deliver(w.source("tag: main", "  decryption: {secretRef: {name: keys}}\n"))
	w.refused("DecryptionKeyNotFound")
	dir, err := filepath.Abs(sealed)
	must(t, err)
	w.kubectl("create", "secret", "generic", "keys", "-n", w.name, "--from-file="+dir+"/other.agekey")
	if message := w.refused("TailorFailed"); !strings.Contains(message, "it is encrypted for age age1l5g6kn") {
		t.Errorf("with another key: %s", message)
	}
	w.kubectl("delete", "secret", "keys", "-n", w.name)
	w.kubectl("create", "secret", "generic", "keys", "-n", w.name, "--from-file="+dir+"/ops.agekey", "--from-file="+dir+"/ops.asc")
	w.delivered(first)
	if got := secret("token"); got != s3cret {
		t.Errorf("the password is %q", got)
	}

	second := w.publish(map[string]string{"deploy/age.yaml": "", "deploy/multi.yaml": pgp})
	w.delivered(second)
	if secret("token") != s3cret || secret("other") != s3cret {
		t.Errorf("the passwords are %q and %q", secret("token"), secret("other"))
	}
	third := w.publish(map[string]string{"deploy/multi.yaml": sealedFile(t, "pgp.enc.yaml")})
	w.delivered(third)

	w.publish(map[string]string{"deploy/multi.yaml": strings.Replace(age, "type: Opaque", "type: example.com/other", 1)})
	if message := w.refused("TailorFailed"); !strings.Contains(message, "authentication code") {
		t.Errorf("tampered: %s", message)
	}
	if got := w.kubectl("get", "secret", "token", "-n", w.name, "-o", "jsonpath={.type}"); got != "Opaque" {
		t.Errorf("what was tampered with was written: %s", got)
	}
	if got := w.status().Status.Applied.Digest; got != third.Digest {
		t.Errorf("applied is %s, want %s", got, third.Digest)
	}
}

// TestPatches patches and moves what is released, and moves it back.
func TestPatches(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	other := w.name + "-other"
	w.kubectl("create", "namespace", other)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("one", "x") + "---\n" + configMap("two", "x") + `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: shop, namespace: default}]
`})
	patches := `  patches:
    - target: {kind: ConfigMap, name: "o.*"}
      patch: |
        - {op: replace, path: /data/value, value: patched}
    - patch: |
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: two}
        data: {more: "yes"}
`
	w.deliver(w.source("tag: main", patches))
	w.delivered(release)
	if w.entry("one", "value") != "patched" || w.entry("two", "value") != "x" || w.entry("two", "more") != "yes" {
		t.Errorf("one is %q, two is %q and %q", w.entry("one", "value"), w.entry("two", "value"), w.entry("two", "more"))
	}

	w.deliver(w.source("tag: main", patches+"  targetNamespace: "+other+"\n"))
	w.until("the objects to move", func() bool {
		return !w.exists("configmap", "one") && strings.Contains(w.kubectl("get", "configmap", "one", "-n", other, "--ignore-not-found", "-o", "name"), "one")
	})
	w.delivered(release)
	if w.exists("serviceaccount", "shop") || w.exists("rolebinding", "shop") {
		t.Error("objects stayed behind")
	}

	w.deliver(w.source("tag: main", "  patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: three}}'}]\n"))
	if message := w.refused("TailorFailed"); !strings.Contains(message, "three") {
		t.Errorf("a patch without an object: %s", message)
	}
	if w.exists("configmap", "one") {
		t.Error("a patch that fails moved the objects")
	}
}

// TestTailoringIsNoWayToASecret: whoever may make a Delivery and read no Secrets cannot
// have one written into a ConfigMap.
func TestTailoringIsNoWayToASecret(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.apply(fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: tenant, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant, namespace: %[1]s}
rules: [{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}
subjects: [{kind: ServiceAccount, name: tenant, namespace: %[1]s}]
`, w.name))
	w.kubectl("create", "secret", "generic", "private", "-n", w.name, "--from-literal=token=t0ken")
	w.deliver(w.source("tag: main", "  substituteFrom: [{kind: Secret, name: private}]\n"))
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", "-p", `{"spec":{"serviceAccountName":"tenant"}}`)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("leak", "${token}")})
	message := w.refused("Forbidden")
	if !strings.Contains(message, "Secret "+w.name+"/private") || !strings.Contains(message, "hint:") {
		t.Errorf("the message is %s", message)
	}
	if w.exists("configmap", "leak") {
		t.Error("the Secret was written into a ConfigMap")
	}
	w.kubectl("patch", "role", "tenant", "-n", w.name, "--type=json", "-p", `[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}}]`)
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=now")
	w.delivered(release)
}

// TestSecretsStayUntold: who refuses an object quotes what it holds; what came from a
// Secret is told neither by the status nor by Events.
func TestSecretsStayUntold(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.kubectl("create", "secret", "generic", "private", "-n", w.name, "--from-literal=token=t0ken-of-mine", "--from-literal=port=http")
	w.deliver(w.source("tag: main", "  substituteFrom: [{kind: Secret, name: private}]\n"))
	w.publish(map[string]string{"deploy/a.yaml": `
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {type: "${token}", ports: [{port: 80, targetPort: "${token}-${token}"}]}
`})
	message := w.refused("PreflightFailed")
	if !strings.Contains(message, "(masked)") || !strings.Contains(message, "spec.type") {
		t.Errorf("the message is %s", message)
	}
	told := w.kubectl("get", "deliveries,events", "-n", w.name, "-o", "yaml")
	if !strings.Contains(told, "PreflightFailed") || strings.Contains(told, "t0ken") {
		t.Errorf("the value of the Secret is told:\n%s", told)
	}
}
