package test

import (
	"fmt"
	"strings"
	"testing"
)

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
