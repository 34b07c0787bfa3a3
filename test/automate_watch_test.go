package test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// watcher is a running sealift automate --watch.
type watcher struct {
	mu  sync.Mutex
	log bytes.Buffer
	end func() error // by SIGTERM, and waits
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watcher) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func (y *yard) watch(args ...string) *watcher {
	y.t.Helper()
	cmd := y.command(append([]string{"automate", "--watch"}, args...)...)
	w := &watcher{}
	cmd.Stdout, cmd.Stderr = w, w
	must(y.t, cmd.Start())
	w.end = sync.OnceValue(func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		return cmd.Wait()
	})
	y.t.Cleanup(func() {
		_ = w.end() // the test has looked at it, or failed
		if y.t.Failed() {
			y.t.Logf("the automator's log:\n%s", w.said())
		}
	})
	return w
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}

// TestAutomateWatch: a notification wakes a watch whose interval is an hour, one without the secret
// does not, /metrics counts what was done, and SIGTERM ends it in good order.
func TestAutomateWatch(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	hooks, metrics, secret := freeAddress(t), freeAddress(t), filepath.Join(y.dir, "secret")
	must(t, os.WriteFile(secret, []byte("a-secret-of-some-length\n"), 0o600))
	w := y.watch("--repo", y.url, "--branch", "main", "--interval", "1h", "--webhook-address", hooks, "--webhook-secret-file", secret, "--metrics-address", metrics)
	y.until("the first pass's commit", func() bool { return strings.Contains(y.show("main", "shop.yaml"), "shop:1.1.0") })
	y.until("readiness", func() bool { code, _ := ask(t, "http://"+metrics+"/readyz"); return code == http.StatusOK })

	y.tag("shop", "1.2.0")
	notify := func(authorization string) int {
		body := strings.NewReader(`{"image":"` + y.image("shop") + `:1.2.0"}`)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hooks+"/hooks/generic", body)
		must(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", authorization)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		must(t, response.Body.Close())
		return response.StatusCode
	}
	if code := notify("Bearer guess"); code != http.StatusUnauthorized {
		t.Errorf("a notification without the secret is answered with %d", code)
	}
	if code := notify("Bearer a-secret-of-some-length"); code != http.StatusAccepted {
		t.Errorf("a notification is answered with %d", code)
	}
	y.until("the update that was notified", func() bool { return strings.Contains(y.show("main", "shop.yaml"), "shop:1.2.0") })
	if code, text := ask(t, "http://"+metrics+"/metrics"); code != http.StatusOK || !strings.Contains(text, "sealift_automate") {
		t.Errorf("/metrics answers %d: %s", code, text)
	}
	if err := w.end(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if log := w.said(); !strings.Contains(log, "1.2.0") || strings.Contains(log, "a-secret") {
		t.Errorf("the log is\n%s", log)
	}
	y.sound()
}

// TestAutomateWatchIsQuiet: idle passes say nothing, whatever their number.
func TestAutomateWatchIsQuiet(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	metrics := freeAddress(t)
	w := y.watch("--repo", y.url, "--branch", "main", "--interval", "1s", "--metrics-address", metrics)
	y.until("the first pass's commit", func() bool { return strings.Contains(y.show("main", "shop.yaml"), "shop:1.1.0") })
	y.until("a line about it", func() bool { return strings.Contains(w.said(), "1.1.0") })
	time.Sleep(1500 * time.Millisecond) // a pass after the one that changed something
	before := w.said()
	time.Sleep(3 * time.Second) // at least one more
	if now := w.said(); now != before {
		t.Errorf("idle passes say %q", strings.TrimPrefix(now, before))
	}
}

// TestAutomateManyRepositories: one process works on several, and a bad one does not stop another.
func TestAutomateManyRepositories(t *testing.T) {
	t.Parallel()
	y := newYard(t, yardOptions{})
	y.tag("shop", "1.0.0", "1.1.0")
	y.commit("one", map[string]string{"sealift.yaml": y.follows("", y.semver("shop", ">=1.0.0")), "shop.yaml": y.runs("shop", "1.0.0")})
	list := filepath.Join(y.dir, "repositories.yaml")
	must(t, os.WriteFile(list, []byte("repositories:\n  - url: "+y.git.URL+"/acme/missing.git\n    branch: main\n  - url: "+y.url+"\n    branch: main\n"), 0o644))
	out, problem, err := y.run("automate", "--repositories", list)
	if exitCode(err) != 1 || !strings.Contains(problem, "missing.git") {
		t.Errorf("%v: %s%s", err, out, problem)
	}
	y.holds(map[string]string{"shop.yaml": "shop:1.1.0"})
}
