package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// console runs the command line against the test's namespace, and wants an exit code.
func (w *world) console(code int, args ...string) (out, problem string) {
	w.t.Helper()
	out, problem, err := w.sealift(append(args, "-n", w.name)...)
	if exitCode(err) != code {
		w.t.Fatalf("sealift %s: exit code %d, want %d: %s%s", strings.Join(args, " "), exitCode(err), code, out, problem)
	}
	return out, problem
}

// golden compares what a person reads with golden/NAME.txt, digests, commits, ages
// and the test's name aside. GOLDEN=write writes it anew.
func (w *world) golden(name, got string) {
	w.t.Helper()
	for _, r := range []struct{ what, with string }{
		{regexp.QuoteMeta(w.registry.Host), "REGISTRY"},
		{regexp.QuoteMeta(w.name), "SHOP"},
		{`sha256:[0-9a-f]{64}`, "DIGEST"},
		{`@[0-9a-f]{8}\b`, "@COMMIT"},
		{`@sha1:[0-9a-f]{40}`, "@sha1:COMMIT"},
		{`\b0\.0\.[0-9]+[-+.0-9a-z]*`, "VERSION"},
		{`\b([0-9]+m)?[0-9]+s\b`, "AGE"},
		{`\b(SHOP-web|web)-[0-9a-f]{6,10}(-[0-9a-z]{5})?`, "$1-ID"},
		{` {2,}`, "  "},
	} {
		got = regexp.MustCompile(r.what).ReplaceAllString(got, r.with)
	}
	path := filepath.Join("golden", name+".txt")
	if os.Getenv("GOLDEN") == "write" {
		must(w.t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(w.t, err)
	if got != string(want) {
		w.t.Errorf("%s is not as in %s:\n%s\nwant:\n%s", name, path, got, want)
	}
}

// TestGetReconcileSuspend: what a person sees of a Delivery from its first release
// on, and how it is asked, stopped and let go.
func TestGetReconcileSuspend(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	if _, problem := w.console(0, "get"); !strings.Contains(problem, "no deliveries in namespace") {
		t.Errorf("an empty namespace says %q", problem)
	}
	if _, problem := w.console(1, "get", "nothing"); !strings.Contains(problem, "not found") {
		t.Errorf("a missing Delivery says %q", problem)
	}
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	out, _ := w.console(0, "get")
	w.golden("get", out)
	out, _ = w.console(0, "get", w.name, "-o", "wide")
	w.golden("get-wide", out)
	if out, _ = w.console(0, "get", "-o", "name"); out != "delivery.sealift.dev/"+w.name+"\n" {
		t.Errorf("-o name prints %q", out)
	}
	w.documents(first)

	rows := w.follow("get", w.name, "--watch", "-n", w.name)
	w.console(0, "suspend", w.name)
	w.refused("Suspended")
	rows.until("Suspended")
	if _, problem := w.console(1, "reconcile", w.name); !strings.Contains(problem, "sealift resume") {
		t.Errorf("a suspended Delivery says %q", problem)
	}
	second := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2")})
	_, problem := w.console(0, "resume", "--all", "--wait")
	if !strings.Contains(problem, "is ready") || w.value("a") != "2" {
		t.Errorf("resumed and waited: %q, a is %s", problem, w.value("a"))
	}
	rows.until("Delivered")

	w.console(0, "reconcile", w.name)
	if d := w.status(); d.Status.Applied.Digest != second.Digest {
		t.Errorf("reconciled to %s", d.Status.Applied.Digest)
	}
	w.publishHead(w.stranger, "--version", "6.6.6", "--channel", "main")
	_, problem = w.console(1, "reconcile", w.name)
	if !strings.Contains(problem, "Untrusted") && !strings.Contains(problem, "StatementMismatch") && !strings.Contains(problem, "not ready") {
		t.Errorf("a release by a stranger says %q", problem)
	}
}

// TestReconcileAfterRefusal: who mends a refused release and asks for a pass is told what
// became of the new one, and not once more what was wrong with the old one.
func TestReconcileAfterRefusal(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.apply(strings.Replace(w.manifest(w.source("tag: main", "")), "interval: 1s", "interval: 1h", 1))
	w.console(0, "reconcile", w.name)
	for i := range 3 {
		w.publish(map[string]string{"deploy/bad.yaml": strings.Replace(service("bad"), "port: 80", "port: 99999999", 1)})
		if _, problem := w.console(1, "reconcile", w.name); !strings.Contains(problem, "PreflightFailed") {
			t.Errorf("round %d: a refused release says %q", i, problem)
		}
		mended := w.publish(map[string]string{"deploy/bad.yaml": ""})
		w.console(0, "reconcile", w.name)
		if d := w.status(); d.Status.Applied.Digest != mended.Digest {
			t.Errorf("round %d: reconciled to %s", i, d.Status.Applied.Digest)
		}
	}
}

// documents checks what programs read: one object, or a List.
func (w *world) documents(p published) {
	w.t.Helper()
	var one struct {
		Kind   string
		Status struct{ Applied struct{ Digest string } }
	}
	out, _ := w.console(0, "get", w.name, "-o", "json")
	must(w.t, json.Unmarshal([]byte(out), &one))
	if one.Kind != "Delivery" || one.Status.Applied.Digest != p.Digest || strings.Contains(out, "managedFields") {
		w.t.Errorf("-o json of one prints %s", out)
	}
	var list struct {
		Kind  string
		Items []any
	}
	out, _ = w.console(0, "get", "-o", "json")
	must(w.t, json.Unmarshal([]byte(out), &list))
	if list.Kind != "List" || len(list.Items) != 1 {
		w.t.Errorf("-o json of all prints %s", out)
	}
}

// following is a command that goes on.
type following struct {
	w   *world
	out *synchronizer
}

// follow starts a command; the test's end ends it.
func (w *world) follow(args ...string) *following {
	w.t.Helper()
	f := &following{w: w, out: &synchronizer{cmd: exec.Command(w.sealiftIn, args...), log: &bytes.Buffer{}}}
	f.out.cmd.Dir, f.out.cmd.Env, f.out.cmd.Stdout, f.out.cmd.Stderr = w.work, w.environment(), f.out, f.out
	must(w.t, f.out.cmd.Start())
	w.t.Cleanup(func() {
		must(w.t, f.out.cmd.Process.Signal(os.Interrupt))
		var exit *exec.ExitError
		if err := f.out.cmd.Wait(); err != nil && errors.As(err, &exit) {
			w.t.Errorf("sealift %s ends with %v: %s", strings.Join(args, " "), err, f.out.output())
		}
	})
	f.until("")
	return f
}

// until waits for text that was not there before.
func (f *following) until(text string) {
	f.w.t.Helper()
	f.w.until(text+" in the output", func() bool { return strings.Contains(f.out.output(), text) && f.out.output() != "" })
	f.out.mu.Lock()
	defer f.out.mu.Unlock()
	f.out.log.Reset()
}
