package test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sealift.dev/test/stage"
)

// faulty is a registry that a test can take down, and that counts requests.
type faulty struct {
	*stage.Registry
	down  atomic.Bool
	heads atomic.Int64 // for the tag main
	token atomic.Int64 // tokens given; none are asked for unless tokens is set
	busy  atomic.Bool  // 429, for an hour
}

// faultyRegistry moves the world to a registry of its own. With tokens it wants a
// bearer token from everybody.
func (w *world) faultyRegistry(tokens bool) *faulty {
	w.t.Helper()
	f := &faulty{}
	var err error
	f.Registry, err = stage.NewRegistry(stage.RegistryOptions{Referrers: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/manifests/main") && r.Header.Get("User-Agent") != "" {
				f.heads.Add(1)
			}
			switch {
			case f.down.Load():
				http.Error(rw, "down", http.StatusServiceUnavailable)
			case f.busy.Load():
				rw.Header().Set("Retry-After", "3600")
				http.Error(rw, "busy", http.StatusTooManyRequests)
			case r.URL.Path == "/token":
				f.token.Add(1)
				fmt.Fprint(rw, `{"token":"let-me-in"}`)
			case tokens && r.Header.Get("Authorization") != "Bearer let-me-in":
				rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="registry"`, r.Host))
				rw.WriteHeader(http.StatusUnauthorized)
			default:
				next.ServeHTTP(rw, r)
			}
		})
	}})
	must(w.t, err)
	w.t.Cleanup(func() { f.Close() })
	w.registry = f.Registry
	return f
}

// TestOneHeadForMany: ten Deliveries of one tag ask once an interval together, with one
// token, and a busy registry is left alone for as long as it asks, while what runs is
// kept.
func TestOneHeadForMany(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	registry := w.faultyRegistry(true)
	release := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(release)
	tokens := registry.token.Load()
	w.tagged(10)
	if n := registry.token.Load() - tokens; n > 1 {
		t.Errorf("%d tokens for ten Deliveries of one repository", n)
	}
	heads, begun := registry.heads.Load(), time.Now()
	time.Sleep(4 * time.Second)
	intervals := int64(time.Since(begun)/(900*time.Millisecond)) + 1
	if n := registry.heads.Load() - heads; n < 1 || n > 2*intervals { // a HEAD without a token is asked again with it
		t.Errorf("%d HEADs of eleven Deliveries in %d intervals", n, intervals)
	}

	registry.busy.Store(true)
	if message := w.refused("RegistryUnavailable"); !strings.Contains(message, "429") {
		t.Errorf("the message does not tell why: %s", message)
	}
	heads = registry.heads.Load()
	w.healed("a", "1")
	w.kubectl("annotate", "delivery", w.name, "-n", w.name, "sealift.dev/requestedAt=now")
	time.Sleep(3 * time.Second)
	if n := registry.heads.Load() - heads; n > 0 {
		t.Errorf("a registry that asked for an hour was asked %d times", n)
	}
}

// tagged makes more Deliveries of the same tag, which are refused: each finds the one
// object to be another's. It waits until all have tried.
func (w *world) tagged(n int) {
	w.t.Helper()
	own := w.name
	made := w.kubectl("get", "delivery", own, "-n", own, "-o", "jsonpath={.spec}")
	for i := range n {
		w.apply(fmt.Sprintf(`{"apiVersion":"sealift.dev/v1alpha1","kind":"Delivery","metadata":{"name":"%s-%d","namespace":"%s"},"spec":%s}`, own, i, own, made))
	}
	w.until("all have tried", func() bool {
		reasons := w.kubectl("get", "deliveries", "-n", own, "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].reason}{"\n"}{end}`)
		return strings.Count(reasons, "OwnedByAnother") == n
	})
}

// cached is the number of releases that lie in a cache.
func cached(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "releases"))
	must(t, err)
	return len(entries)
}

// TestCacheOutlivesRegistry: with one worker, and registries that never answer beside
// it, a release comes in; then its registry goes down, and restarted synchronizers keep
// it, go back to it and refuse what is broken or another tenant's, from the cache.
func TestCacheOutlivesRegistry(t *testing.T) {
	t.Parallel()
	w := ownStage(t)
	dir := filepath.Join(t.TempDir(), "cache")
	start := func() *synchronizer {
		running, err := startSync(w.cluster, "--workers", "1", "--cache", dir, "--cache-size", "64Mi")
		must(t, err)
		return running
	}
	running := start()
	defer func() { running.end(os.Kill) }()

	tarpit, err := stage.NewScripted(stage.ScriptedOptions{})
	must(t, err)
	t.Cleanup(func() { tarpit.Close() })
	tarpit.On("", "*", stage.Answer{Do: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	for i := range 3 {
		w.apply(fmt.Sprintf("apiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: tarpit-%[1]d, namespace: %[2]s}\nspec:\n  source: {url: oci://%[3]s/deploy/%[1]d, tag: main, insecure: true}\n  trust: {authorities: [{name: ci, key: {data: %[4]q}}]}\n", i, w.name, tarpit.Host, w.ci.PublicPEM))
	}
	w.until("the tarpits are asked", func() bool { return len(tarpit.Asked()) >= 3 })
	registry := w.faultyRegistry(false)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/web.yaml": deployment("web", 1, "example.com/web:1")})
	w.deliver(w.source("tag: main", "  timeout: 2m\n"))
	w.delivered(first)
	w.until("the release in the cache", func() bool { return cached(t, dir) == 1 })

	t.Log("drift is corrected by a process that never saw the registry")
	running.end(os.Kill)
	registry.down.Store(true)
	w.kubectl("patch", "configmap", "a", "-n", w.name, "--type=merge", `--patch={"data":{"value":"by hand"}}`)
	running = start()
	w.until("the value healed", func() bool { return w.value("a") == "1" })
	if message := w.refused("RegistryUnavailable"); !strings.Contains(message, "still running") {
		t.Errorf("the message does not tell what runs: %s", message)
	}

	t.Log("a broken release is taken back by a process that cannot ask for either")
	registry.down.Store(false)
	w.delivered(first)
	broken := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/new.yaml": configMap("new", "1"), "deploy/web.yaml": unschedulable("web", 1, "example.com/web:2")})
	w.until("the broken release on its way", func() bool { return w.value("a") == "2" && w.exists("configmap", "new") })
	registry.down.Store(true)
	running.end(os.Kill)
	running = start()
	w.until("the cluster as before", func() bool { return w.value("a") == "1" && !w.exists("configmap", "new") })
	if got := w.status().Status; got.Applied.Digest != first.Digest {
		t.Errorf("applied is %s, not the last good %s; the broken one is %s", got.Applied.Digest, first.Digest, broken.Digest)
	}

	t.Log("a flipped byte is a miss, and fetched again")
	running.end(os.Kill)
	registry.down.Store(false)
	flipped := flipAll(t, filepath.Join(dir, "sha256"))
	running = start()
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", fmt.Sprintf(`--patch={"spec":{"source":{"tag":null,"digest":%q}}}`, first.Digest))
	w.delivered(first)
	w.until("whole content", func() bool { return len(flippedIn(t, filepath.Join(dir, "sha256"), flipped)) < len(flipped) })

	t.Log("another tenant does not read it from the cache")
	registry.down.Store(true)
	w.apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %[1]s-thief}\n---\napiVersion: sealift.dev/v1alpha1\nkind: Delivery\nmetadata: {name: thief, namespace: %[1]s-thief}\nspec:\n  environment: prod\n  source: {url: %[2]s, digest: %[3]q, insecure: true}\n  trust: {authorities: [{name: ci, key: {data: %[4]q}}]}\n",
		w.name, w.repository(), first.Digest, w.ci.PublicPEM))
	w.until("the thief refused", func() bool {
		out := w.kubectl("get", "delivery", "thief", "-n", w.name+"-thief", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].reason}`)
		return out == "Unavailable"
	})
}

// flipAll flips a byte of every file of a folder, and gives what is there now, by name.
func flipAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	flipped := map[string]string{}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		data, err := os.ReadFile(file)
		must(t, err)
		data[len(data)/2] ^= 1
		must(t, os.WriteFile(file, data, 0o600))
		flipped[entry.Name()] = string(data)
	}
	return flipped
}

// flippedIn names the files that are still as flipAll left them.
func flippedIn(t *testing.T, dir string, flipped map[string]string) []string {
	t.Helper()
	var still []string
	for name, was := range flipped {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil && string(data) == was {
			still = append(still, name)
		}
	}
	return still
}
