package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sealift.dev/test/stage/keys"
	"sealift.dev/verify/policy"
)

// trustPolicy creates or changes the test's TrustPolicy: lines of its spec, in which
// [CI] and [STRANGER] stand for authorities with these keys. The test's end removes it.
func (w *world) trustPolicy(lines ...string) {
	w.t.Helper()
	authority := func(name, pem string) string {
		return fmt.Sprintf("[{name: %s, key: {data: %q}}]", name, pem)
	}
	spec := strings.NewReplacer("[CI]", authority("ci", w.ci.PublicPEM), "[STRANGER]", authority("stranger", w.stranger.PublicPEM)).
		Replace(strings.Join(lines, "\n  "))
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %[1]s}\nspec:\n  match: {namespaces: [%[1]s]}\n  %[2]s\n", w.name, spec))
	w.t.Cleanup(w.noPolicy)
}

func (w *world) noPolicy() {
	w.cluster.Kubectl(context.Background(), "delete", "trustpolicy", w.name, "--ignore-not-found")
}

// deliverBare is deliver without a trust of the Delivery's own.
func (w *world) deliverBare(spec string) {
	w.t.Helper()
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: %[1]s, namespace: %[1]s}\nspec:\n  environment: prod\n  serviceAccountName: deployer\n  interval: 1s\n%[2]s", w.name, spec))
}

// events are the notes of the Delivery's Events of one reason.
func (w *world) events(reason string) []string {
	w.t.Helper()
	var list struct {
		Items []struct {
			Note   string
			Series *struct{ Count int }
		}
	}
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "events.events.k8s.io", "-n", w.name, "--field-selector", "reason="+reason, "-o", "json")), &list))
	var notes []string
	for _, e := range list.Items {
		notes = append(notes, e.Note)
		if e.Series != nil {
			notes = append(notes, e.Note)
		}
	}
	return notes
}

// once checks that one Event of that reason was written, with words in it.
func (w *world) once(reason, words string) {
	w.t.Helper()
	w.until("an Event "+reason, func() bool { return len(w.events(reason)) > 0 })
	if notes := w.events(reason); len(notes) != 1 || !strings.Contains(notes[0], words) {
		w.t.Errorf("%d Events %s, want one with %q: %q", len(notes), reason, words, notes)
	}
}

func (w *world) keyID(pair keys.Pair) string {
	w.t.Helper()
	public, err := policy.Key{Data: pair.PublicPEM}.Public()
	must(w.t, err)
	return public.ID
}

// frozen drifts a field and waits: it stays, and so does what is named.
func (w *world) frozen(kept ...string) {
	w.t.Helper()
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"drifted"}}`)
	time.Sleep(4 * time.Second) // four intervals
	if w.value("a") != "drifted" {
		w.t.Error("a frozen Delivery healed drift")
	}
	for _, name := range kept {
		if !w.exists("configmap", name) {
			w.t.Errorf("a frozen Delivery deleted %s", name)
		}
	}
}

// TestRevocationFreezes: each way in which trust ends freezes what runs, also while the
// source names another refused release; and it thaws by itself.
func TestRevocationFreezes(t *testing.T) {
	tests := []struct {
		name    string
		revoke  func(w *world, first published) []string
		message string
	}{
		{"key", func(w *world, _ published) []string {
			return []string{"authorities: [CI]", "revoked: {keys: ['" + w.keyID(w.ci) + "']}"}
		}, "revoked.keys"},
		{"policy", func(*world, published) []string { return []string{"authorities: [STRANGER]"} }, "another key"},
		{"source", func(*world, published) []string {
			return []string{"authorities: [CI]", "source: {repositories: ['https://git.example.com/other']}"}
		}, "source.repositories"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := onSync(t)
			w.trustPolicy("authorities: [CI]")
			first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/b.yaml": configMap("b", "1")})
			w.deliverBare(w.source("tag: main", ""))
			w.delivered(first)

			w.trustPolicy(test.revoke(w, first)...)
			if message := w.refused("TrustRevoked"); !strings.Contains(message, test.message) {
				t.Errorf("the message does not say why: %s", message)
			}
			w.frozen("a", "b")
			second := w.publish(map[string]string{"deploy/b.yaml": "", "deploy/c.yaml": configMap("c", "1")})
			w.frozen("a", "b")
			if w.exists("configmap", "c") {
				t.Error("an untrusted release was applied")
			}
			w.refused("TrustRevoked")
			w.once("TrustRevoked", first.Digest)

			w.trustPolicy("authorities: [CI]", "revoked: {}", "source: {}")
			w.delivered(second)
			if got := w.value("a"); got != "1" {
				t.Errorf("the drift of before stayed: %s", got)
			}
			w.until("b pruned", func() bool { return !w.exists("configmap", "b") })
		})
	}
}

// TestRevokedDigestIsReplaced: a trusted newer release takes the place of a revoked one.
func TestRevokedDigestIsReplaced(t *testing.T) {
	w := onSync(t)
	w.trustPolicy("authorities: [CI]")
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(first)
	w.trustPolicy("authorities: [CI]", "revoked: {digests: ['"+first.Digest+"']}")
	w.refused("TrustRevoked")
	w.frozen("a")
	w.delivered(w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")}))
	w.healed("a", "2")
}

// TestNoPolicyLeft: the last policy that goes away takes the trust with it.
func TestNoPolicyLeft(t *testing.T) {
	w := onSync(t)
	w.trustPolicy("authorities: [CI]")
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(first)
	w.noPolicy()
	w.refused("TrustRevoked")
	w.frozen("a")
	w.trustPolicy("authorities: [CI]")
	w.healed("a", "1")
	w.delivered(first)
}

// TestKeyValidityEnds: the end of a key's validity is met when it comes, not when the
// registry is asked next.
func TestKeyValidityEnds(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.trustPolicy(fmt.Sprintf("authorities: [{name: ci, key: {data: %q, validUntil: %q}}]", w.ci.PublicPEM, time.Now().Add(15*time.Second).UTC().Format(time.RFC3339)))
	w.deliverBare(w.source("tag: main", ""))
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"interval":"1h"}}`)
	w.delivered(first)
	if message := w.refused("TrustRevoked"); !strings.Contains(message, "ci") {
		t.Errorf("the message does not name the authority: %s", message)
	}
	w.frozen("a")
}

// TestKeyInSecret: keys in Secrets, of the synchronizer's namespace for a TrustPolicy and
// of its own for a Delivery, are met when they change.
func TestKeyInSecret(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	store := func(namespace, name, entry, pem string) {
		w.apply(fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData:\n  %s: %q\n", name, namespace, entry, pem))
	}
	t.Cleanup(func() { w.cluster.Kubectl(context.Background(), "delete", "secret", w.name, "-n", "sealift-system") })
	w.trustPolicy("authorities: [{name: ci, key: {secretRef: {name: " + w.name + "}}}]")
	w.deliverBare(w.source("tag: main", "  trust: {authorities: [{name: own, key: {secretRef: {name: own, key: signing.pub}}}]}\n"))
	if message := w.refused("TrustSecretNotFound"); !strings.Contains(message, "sealift-system/"+w.name) {
		t.Errorf("the message does not name the Secret: %s", message)
	}
	store("sealift-system", w.name, "cosign.pub", w.ci.PublicPEM)
	w.until("the Delivery's own Secret missed", func() bool {
		_, _, message := w.status().ready()
		return strings.Contains(message, w.name+"/own does not exist")
	})
	store(w.name, "own", "signing.pub", w.ci.PublicPEM)
	w.delivered(first)

	store("sealift-system", w.name, "cosign.pub", w.stranger.PublicPEM)
	w.refused("TrustRevoked")
	w.frozen("a")
	store("sealift-system", w.name, "cosign.pub", w.ci.PublicPEM)
	w.healed("a", "1")
	store(w.name, "own", "signing.pub", w.stranger.PublicPEM)
	w.refused("TrustRevoked")
	store(w.name, "own", "signing.pub", "nonsense")
	w.refused("InvalidSpec")
	store(w.name, "own", "signing.pub", w.ci.PublicPEM)
	w.delivered(first)
}

// TestMirror: a copy is let in where a policy declares it, and keeps the count of what
// was accepted from the original.
func TestMirror(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	mirror := strings.Replace(w.repository(), "/deploy/", "/copies/", 1)
	mirrored := func() {
		_, problem, err := w.sealift("copy", w.repository()+":main", mirror+":main", "--from-plain-http", "--to-plain-http")
		if err != nil {
			t.Fatalf("%v: %s", err, problem)
		}
	}
	mirrored()
	fromMirror := strings.Replace(w.source("tag: main", ""), w.repository(), mirror, 1)
	w.trustPolicy("authorities: [CI]")
	w.deliverBare(fromMirror)
	if message := w.refused("StatementMismatch"); !strings.Contains(message, "mirrors") {
		t.Errorf("the message does not help: %s", message)
	}
	host := strings.TrimPrefix(strings.Split(w.repository(), "/deploy/")[0], "oci://")
	w.trustPolicy("authorities: [CI]", "mirrors: [{of: "+host+"/deploy, at: "+host+"/copies}]")
	w.delivered(first)

	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(second)
	w.deliverBare(fromMirror)
	w.refused("Downgrade")
	w.healed("a", "2")
	mirrored()
	w.delivered(second)
}

// TestAuditFindingIsToldOnce: what Audit lets pass is an Event, once.
func TestAuditFindingIsToldOnce(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.trustPolicy("mode: Audit", "authorities: [STRANGER]")
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	time.Sleep(3 * time.Second) // three intervals
	w.once("AuditFinding", "TrustPolicy "+w.name)
}

// TestPinnedOlderIsTold: a digest is a person's word, and going back an Event.
func TestPinnedOlderIsTold(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(second)
	w.deliver(w.source("digest: '"+first.Digest+"'", ""))
	w.delivered(first)
	w.once("PinnedOlder", "older than a release accepted before")
	w.deliver(w.source("tag: main", ""))
	w.delivered(second)
}

// TestTrustStaysWithWhatRuns: a source that moves elsewhere takes what runs out of no
// policy of the place that it came from, and loses none that lets it in.
func TestTrustStaysWithWhatRuns(t *testing.T) {
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	here := strings.TrimPrefix(w.repository(), "oci://")
	govern := func(lines ...string) {
		w.trustPolicy(append([]string{"authorities: [CI]"}, lines...)...)
		w.kubectl("patch", "trustpolicy", w.name, "--type=merge", `--patch={"spec":{"match":{"repositories":["`+here+`"]}}}`)
	}
	govern()
	moved := strings.Replace(w.source("tag: main", ""), w.repository(), w.repository()+"-elsewhere", 1)
	w.deliverBare(w.source("tag: main", ""))
	w.delivered(first)

	w.deliver(moved) // the Delivery's own trust counts there, and lets in the same key
	w.refused("ReleaseNotFound")
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"drifted"}}`)
	w.healed("a", "1")
	govern("revoked: {digests: ['" + first.Digest + "']}")
	w.refused("TrustRevoked")
	w.frozen("a")

	govern("revoked: {}")
	w.healed("a", "1")
	w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: TrustPolicy\nmetadata: {name: %[1]s-elsewhere}\nspec:\n  match: {namespaces: [%[1]s], repositories: ['%[2]s-elsewhere']}\n  authorities: [{name: stranger, key: {data: %[3]q}}]\n", w.name, here, w.stranger.PublicPEM))
	t.Cleanup(func() { w.cluster.Kubectl(context.Background(), "delete", "trustpolicy", w.name+"-elsewhere") })
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=json", `--patch=[{"op":"remove","path":"/spec/trust"}]`)
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"drifted"}}`)
	w.healed("a", "1")
	w.refused("ReleaseNotFound")
}
