package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// commands are the block of docs/operations.md that has a text in it, for this world: the Delivery shop
// of the namespace shop is the world's.
func (w *world) commands(having string) string {
	w.t.Helper()
	for _, block := range w.blocks("operations.md") {
		if strings.Contains(block, having) {
			return strings.NewReplacer("shop.shop", w.name+"."+w.name, "delivery shop", "delivery "+w.name, "delivery/shop", "delivery/"+w.name, "-n shop", "-n "+w.name).Replace(block)
		}
	}
	w.t.Fatalf("docs/operations.md has no commands with %q", having)
	return ""
}

// blocks are what a page of the docs has to be typed.
func (w *world) blocks(page string) []string {
	w.t.Helper()
	content, err := os.ReadFile("../docs/" + page)
	must(w.t, err)
	var blocks []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(content), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// types runs commands as a person at the administrator's terminal does, in the test's folder.
func (w *world) types(commands string) {
	w.t.Helper()
	w.terminal(nil, "sh", "-ec", commands)
}

// terminal is types with a shell of one's own, and more of an environment; it gives what is printed.
func (w *world) terminal(environment []string, shell ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), shell[0], shell[1:]...)
	cmd.Dir = w.dir
	path := strings.Join([]string{w.cluster.Bin, filepath.Dir(w.sealiftIn), os.Getenv("PATH")}, ":")
	cmd.Env = append(slices.DeleteFunc(w.environment(), func(s string) bool { return strings.HasPrefix(s, "PATH=") }), append(environment, "PATH="+path)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v: %s", shell, err, out)
	}
	return string(out)
}

// TestRecoveryAsWritten types what docs/operations.md says under disaster recovery, into an empty
// cluster, and then what it says under uninstalling.
func TestRecoveryAsWritten(t *testing.T) {
	old := onSync(t)
	release := old.publish(map[string]string{"deploy/web.yaml": deployment("web", 2, "example.com/web:1"), "deploy/a.yaml": configMap("a", "1")})
	old.deliver(old.source("tag: main", ""))
	old.equals(release)
	old.types(old.commands("> accepted.yaml"))

	rebuilt := *old
	w := &rebuilt
	w.cluster = ownStage(t).cluster
	must(t, os.Mkdir(filepath.Join(w.dir, "cluster"), 0o755))
	w.file("cluster/1-admission.yaml", admission(w.name))
	w.file("cluster/2-delivery.yaml", w.manifest(w.source("tag: main", "")))
	install, rest, _ := strings.Cut(w.commands("kubectl apply -f accepted.yaml"), "\n")
	w.types(install)
	running, err := startSync(w.cluster) // kwok starts no programs
	must(t, err)
	defer func() { running.end(os.Interrupt) }()
	w.types(rest)
	w.equals(release)

	w.types(strings.Replace(w.commands("sealift uninstall"), "--delete-namespace", "--delete-namespace --yes", 1))
	w.untilGone("namespace", "sealift-system")
	if !w.exists("deployment", "web") || !w.exists("configmap", "a") {
		t.Error("what was delivered is gone")
	}
}

// TestTheWayBack types what docs/operations.md says for leaving: the objects stay, and Flux has them
// again as if nothing had happened, no pod restarted. It may apply beside Sealift until then.
func TestTheWayBack(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	all := deployment("web", 1, "example.com/web:1") + "---\n" + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {value: '1', dropped: 'yes'}\n"
	flux := func(manifest string) {
		t.Helper()
		w.kubectl("apply", "-n", w.name, "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", w.file("flux.yaml", manifest))
	}
	flux(all)
	w.kubectl("rollout", "status", "deployment", "web", "-n", w.name, "--timeout=60s")
	pods := w.pods()
	release := w.publish(map[string]string{"deploy/all.yaml": all})
	w.deliver(w.source("tag: main", ""))
	w.equals(release)
	for range 8 { // it is not suspended
		flux(all)
	}
	w.equals(release)
	if d := w.status(); len(d.Status.Drifted) > 0 {
		t.Errorf("applying the same is a drift: %q", d.Status.Drifted)
	}

	w.types(w.commands(`{"deletionPolicy":"Orphan"}}'` + "\nkubectl delete"))
	w.types(w.commands("--show-managed-fields"))
	flux(strings.Replace(all, ", dropped: 'yes'", "", 1))
	if now := w.pods(); now != pods {
		t.Errorf("pods were replaced:\n%s\nbefore:\n%s", now, pods)
	}
	for kind, name := range map[string]string{"deployment": "web", "configmap": "a"} {
		m := w.managed(kind, name)
		for _, f := range m.Metadata.ManagedFields {
			if f.Manager == "sealift" {
				t.Errorf("Sealift has fields of %s: %s", name, f.FieldsV1.GetRawBytes())
			}
		}
		if len(m.Metadata.Labels) > 0 {
			t.Errorf("%s has the labels %v", name, m.Metadata.Labels)
		}
	}
	if left := w.kubectl("get", "configmap", "a", "-n", w.name, "-o", "jsonpath={.data.dropped}"); left != "" {
		t.Errorf("what Flux dropped is left: %s", left)
	}
}

// TestKeyRotation follows docs/operations.md: a second key, a second signature of the same digest,
// the first key gone. Nothing is applied for it, and trust never ends.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	authority := func(name, pem string) string { return fmt.Sprintf("{name: %s, key: {data: %q}}", name, pem) }
	former, next := authority("former", w.ci.PublicPEM), authority("next", w.stranger.PublicPEM)
	w.trustPolicy("authorities: [" + former + "]")
	w.deliverBare(w.source("tag: main", ""))
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.delivered(release)
	stored := w.stored()

	w.trustPolicy("authorities: [" + former + ", " + next + "]")
	if again := w.publishHead(w.stranger); again.Digest != release.Digest {
		t.Errorf("signing again made %s of %s", again.Digest, release.Digest)
	}
	w.trustPolicy("authorities: [" + next + "]")
	w.until("the new signer", func() bool {
		return strings.Contains(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "jsonpath={.status.applied.signedBy}"), "next")
	})
	w.delivered(release)
	if events := w.events("TrustRevoked"); len(events) > 0 {
		t.Errorf("trust ended on the way: %q", events)
	}
	if now := w.stored(); now != stored {
		t.Errorf("objects were written:\n%s\nbefore:\n%s", now, stored)
	}
}

// TestRegistryMoves follows docs/operations.md: a copy, a mirror in the policy, another URL. Nothing is
// applied for it, and an older release is refused there as well.
func TestRegistryMoves(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	older := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.trustPolicy(fmt.Sprintf("authorities: [{name: ci, key: {data: %q}}]", w.ci.PublicPEM),
		fmt.Sprintf("mirrors: [{of: %[1]s/deploy, at: %[1]s/moved}]", w.registry.Host))
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(older)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.delivered(release)
	stored := w.stored()

	moved := strings.Replace(w.repository(), "/deploy/", "/moved/", 1)
	copied := func(tag, digest string) {
		t.Helper()
		_, problem, err := w.sealift("copy", w.repository()+"@"+digest, moved+":"+tag, "--from-plain-http", "--to-plain-http", "--key", w.ci.Public)
		if err != nil {
			t.Fatalf("%v: %s", err, problem)
		}
	}
	copied("main", release.Digest)
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"source":{"url":"`+moved+`"}}}`)
	w.delivered(release)
	if now := w.stored(); now != stored {
		t.Errorf("objects were written:\n%s\nbefore:\n%s", now, stored)
	}
	copied("main", older.Digest)
	w.refused("Downgrade")
}

// TestLostStatus: a Delivery whose status is gone, as after it was restored from a copy, is taken up again:
// nothing that agrees is written, and what its release no longer holds goes, also of another kind.
func TestLostStatus(t *testing.T) {
	w := onFragile(t)
	w.bystanders()
	running, err := startSync(w.cluster)
	must(t, err)
	w.deliver(w.source("tag: main", ""))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/s.yaml": service("s"), "deploy/web.yaml": deployment("web", 1, "example.com/web:1")}))
	running.end(os.Interrupt)
	pods := w.pods()
	stored := w.stored()
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--subresource=status", "--type=json", `--patch=[{"op":"remove","path":"/status"}]`)
	release := w.publish(map[string]string{"deploy/s.yaml": ""})
	w.runs()
	w.equals(release)
	if now := w.pods(); now != pods {
		t.Errorf("pods were replaced:\n%s\nbefore:\n%s", now, pods)
	}
	if now := w.stored(); now != stored {
		t.Errorf("objects were written:\n%s\nbefore:\n%s", now, stored)
	}
}

// TestLostStatusBesideABrokenKind: a kind that cannot be listed while a status is taken up again,
// as behind a dead conversion webhook, holds up nothing; what it holds goes once it can be listed.
func TestLostStatusBesideABrokenKind(t *testing.T) {
	w := onFragile(t)
	w.apply(gadgets(w.group()))
	definition := "customresourcedefinition/gadgets." + w.group()
	t.Cleanup(func() { w.cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", definition, "--wait=false") })
	w.kubectl("wait", "--for=condition=Established", definition)
	running, err := startSync(w.cluster)
	must(t, err)
	w.deliver(w.source("tag: main", ""))
	w.equals(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/g.yaml": gadget(w.group(), "g", "1")}))
	running.end(os.Interrupt)
	w.kubectl("patch", definition, "--type=json", `--patch=[
		{"op": "add", "path": "/spec/versions/-", "value": {"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}}},
		{"op": "add", "path": "/spec/conversion", "value": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/convert"}}}}]`)
	w.until("gadgets that cannot be listed", func() bool {
		_, err := w.cluster.Kubectl(t.Context(), "get", "gadgets.v2."+w.group(), "-n", w.name)
		return err != nil && strings.Contains(err.Error(), "conversion webhook") &&
			strings.Contains(w.kubectl("get", "--raw", "/apis/"+w.group()), `"preferredVersion":{"groupVersion":"`+w.group()+`/v2"`)
	})
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--subresource=status", "--type=json", `--patch=[{"op":"remove","path":"/status"}]`)
	release := w.publish(map[string]string{"deploy/g.yaml": ""})
	w.runs()
	w.delivered(release)
	w.kubectl("patch", definition, "--type=merge", `--patch={"spec": {"conversion": {"strategy": "None", "webhook": null}}}`)
	w.equals(release)
}
