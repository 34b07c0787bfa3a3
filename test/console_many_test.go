package test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// broken makes a second Delivery of the test's namespace, of which there is no release.
func (w *world) broken(name string) {
	w.t.Helper()
	w.apply(strings.NewReplacer("\n  name: "+w.name, "\n  name: "+name, "tag: main", "tag: nothing", "team: shop", "team: other").
		Replace(w.kubectl("get", "delivery", w.name, "-n", w.name, "-o", "yaml", "--show-managed-fields=false")))
}

// TestManyDeliveries: chosen by label or all together, Deliveries are asked, stopped and
// let go; each of them answers for itself.
func TestManyDeliveries(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.kubectl("label", "delivery", w.name, "-n", w.name, "team=shop")
	w.broken("second")

	_, problem := w.console(1, "reconcile", "--all")
	for _, want := range []string{w.name + " is ready", "second is not ready: ReleaseNotFound", "hint: sealift tree second"} {
		if !strings.Contains(problem, want) {
			t.Errorf("all are asked, and %q is missing: %s", want, problem)
		}
	}
	out, _ := w.console(0, "reconcile", "-l", "team=shop", "-o", "json")
	var list []struct{ Name, Ready string }
	must(t, json.Unmarshal([]byte(out), &list))
	if len(list) != 1 || list[0].Name != w.name || list[0].Ready != "True" {
		t.Errorf("those of a label: %s", out)
	}
	w.console(0, "suspend", "-l", "team=other")
	w.until("the other one suspended", func() bool {
		out, _ := w.console(0, "get", "second")
		return strings.Contains(out, "Suspended")
	})
	if _, problem = w.console(0, "reconcile", "--all"); !strings.Contains(problem, "second is suspended, and passed over") {
		t.Errorf("all are asked, of which one is suspended: %s", problem)
	}
	w.console(1, "reconcile", "second")
	if _, problem = w.console(0, "resume", "-l", "team=nobody"); !strings.Contains(problem, "there are no deliveries") {
		t.Errorf("a label of none: %s", problem)
	}
	for _, wrong := range [][]string{{"suspend"}, {"suspend", "a", "--all"}, {"resume", "--all", "-l", "x=y"}, {"reconcile", "a", "-l", "x=y"}} {
		w.console(2, wrong...)
	}
	w.unknown()
	w.hostileStatus("second")
}

// unknown has names that are not there, and those that a shell completes.
func (w *world) unknown() {
	w.t.Helper()
	if _, problem := w.console(1, "tree", "secnd"); !strings.Contains(problem, "hint: there is second") {
		w.t.Errorf("a name with a slip says %q", problem)
	}
	if _, problem, err := w.sealift("get", w.name, "-n", "default"); exitCode(err) != 1 || !strings.Contains(problem, w.name+" in namespace "+w.name) {
		w.t.Errorf("a name of another namespace says %q", problem)
	}
	for _, tt := range []struct{ begun, want string }{
		{"tree -n " + w.name + " s", "second"},
		{"get -n " + w.name[:len(w.name)-1], w.name},
		{"get --as x -o j", "json"},
		{"trace -n " + w.name + " config", "configmap/"},
		{"trace -n " + w.name + " configmap/a", "configmap/a"},
		{"rollback " + w.name + " -n " + w.name + " --to ", "0.0.1"},
	} {
		out, problem, _ := w.sealift(append([]string{"__complete"}, strings.Split(tt.begun, " ")...)...)
		if !strings.HasPrefix(out, tt.want) || strings.Count(out, "\n") != 2 {
			w.t.Errorf("%q is completed to %q: %s", tt.begun, out, problem)
		}
	}
	_, problem := w.console(1, "get", "--as", "nobody")
	if !strings.Contains(problem, `User "nobody" cannot list`) {
		w.t.Errorf("as somebody else: %s", problem)
	}
}

// hostileStatus has what a status says reach a terminal: printable, in one line.
func (w *world) hostileStatus(name string) {
	w.t.Helper()
	hostile := `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Suspended","lastTransitionTime":"2026-01-01T00:00:00Z","message":"\u001b]0;x\u0007\nNAME evil"}],` +
		`"applied":{"digest":"sha256:` + strings.Repeat("a", 64) + `","revision":"\u009b31m","version":"1\u202e","signedBy":["` + strings.Repeat("é", 50) + `"],"repository":"r"}}}`
	w.kubectl("patch", "delivery", name, "-n", w.name, "--subresource=status", "--type=merge", "--patch="+hostile)
	for _, args := range [][]string{{"get", name, "-o", "wide"}, {"tree", name}, {"rollback", name, "--list"}, {"get", name, "-o", "json"}, {"get", name, "-o", "yaml"}} {
		out, problem := w.console(0, args...)
		if strings.ContainsAny(out+problem, "\x1b\x07\u009b\u202e") || strings.Contains(out, "\nNAME evil") {
			w.t.Errorf("%v prints %q, %q", args, out, problem)
		}
	}
}

// TestWatchGoesOn: a watch that ends, and one whose version is too old, cost no news.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1")})
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	file, watches := w.troubled()
	rows := w.follow("get", w.name, "-n", w.name, "--watch", "--kubeconfig", file)
	w.until("the watch begun a third time", func() bool { return watches.Load() >= 3 })
	w.console(0, "suspend", w.name)
	rows.until("Suspended")
}

// troubled is a kubeconfig of the cluster behind a proxy that ends the first watch of
// Deliveries at once, answers the second one with 410, and lets others pass.
func (w *world) troubled() (string, *atomic.Int32) {
	w.t.Helper()
	admin, err := os.ReadFile(w.cluster.Kubeconfig)
	must(w.t, err)
	server := regexp.MustCompile(`https://[^"\s},]+`)
	to, err := url.Parse(server.FindString(string(admin)))
	must(w.t, err)
	var watches atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport, err = rest.TransportFor(w.cluster.AdminConfig())
	must(w.t, err)
	proxy.FlushInterval = -1
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") != "" && strings.HasSuffix(r.URL.Path, "/deliveries") {
			switch watches.Add(1) {
			case 1:
				rw.Header().Set("Content-Type", "application/json")
				return
			case 2:
				rw.Header().Set("Content-Type", "application/json")
				io.WriteString(rw, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version","reason":"Expired","code":410}}`+"\n")
				return
			}
		}
		proxy.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	file := filepath.Join(w.dir, "troubled.kubeconfig")
	must(w.t, os.WriteFile(file, []byte(server.ReplaceAllString(string(admin), front.URL)), 0o600))
	return file, &watches
}
