package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// planned is what tests look at in `sealift diff --delivery -o json`.
type planned struct {
	Different bool
	SignedBy  []string
	Objects   []struct {
		Action, Kind, Name, Reason, Refused string
		Fields                              []struct {
			Path     string
			Old, New any
		}
	}
}

func (w *world) planned(code int, args ...string) planned {
	w.t.Helper()
	out, _ := w.console(code, append([]string{"diff", "--delivery", w.name, "-o", "json"}, args...)...)
	var p planned
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		w.t.Fatalf("%v: %q", err, out)
	}
	return p
}

// of is "ACTION PATH..." of one object.
func (p planned) of(kind, name string) string {
	for _, o := range p.Objects {
		if o.Kind == kind && o.Name == name {
			said := o.Action
			for _, f := range o.Fields {
				said += fmt.Sprintf(" %s:%v>%v", f.Path, f.Old, f.New)
			}
			return said
		}
	}
	return ""
}

func secret(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\nstringData: {password: %s}\n", name, value)
}

// TestDiffAgainstCluster: the plan of the next pass, and of another release, with
// Secrets masked; drift; a refused object; a release that is not trusted. None of it
// writes anything.
func TestDiffAgainstCluster(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	first := w.publish(map[string]string{"deploy/a.yaml": configMap("a", "1"), "deploy/gone.yaml": configMap("gone", "1"),
		"deploy/s.yaml": secret("s", "geheim-1"), "deploy/web.yaml": deployment("web", 1, "example.com/web:1")}, "--allow-secrets")
	w.deliver(w.source("tag: main", ""))
	w.delivered(first)
	w.console(0, "suspend", w.name)
	w.refused("Suspended")
	begun := time.Now()
	if p := w.planned(0, "--exit-code"); p.Different || len(p.Objects) > 0 || fmt.Sprint(p.SignedBy) != "[ci]" {
		t.Errorf("what runs differs from itself: %+v", p)
	}
	w.kubectl("scale", "deployment", "web", "-n", w.name, "--replicas=3")
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "2"), "deploy/gone.yaml": "", "deploy/new.yaml": configMap("new", "1"),
		"deploy/s.yaml": secret("s", "geheim-2")}, "--allow-secrets")
	p := w.planned(4, "--exit-code")
	for _, want := range []struct{ kind, name, is string }{
		{"ConfigMap", "a", "Update data.value:1>2"},
		{"ConfigMap", "new", "Create"},
		{"ConfigMap", "gone", "Prune"},
		{"Secret", "s", "Update data.password:(masked)>(masked)"},
		{"Deployment", "web", "Update spec.replicas:3>1"},
	} {
		if got := p.of(want.kind, want.name); got != want.is {
			t.Errorf("%s %s: %q, want %q", want.kind, want.name, got, want.is)
		}
	}
	out, _ := w.console(0, "diff", "--delivery", w.name)
	w.golden("diff", out)
	if out, _ = w.console(0, "diff", "--delivery", w.name, "-o", "markdown", "--as-self"); !strings.Contains(out, "-   3\n+   1\n") || strings.Contains(out, "geheim") {
		t.Errorf("as Markdown:\n%s", out)
	}
	if got := w.planned(4, w.repository()+"@"+first.Digest, "--exit-code").of("Deployment", "web"); got != "Update spec.replicas:3>1" {
		t.Errorf("the release that runs, by its digest: %q", got)
	}

	w.reader()
	w.publish(map[string]string{"deploy/svc.yaml": strings.Replace(service("bad"), "port: 80", "port: 99999999", 1)}, "--allow-secrets")
	refused := false
	for _, o := range w.planned(1).Objects {
		refused = refused || o.Name == "bad" && strings.Contains(o.Refused, "65535")
	}
	if !refused {
		t.Error("the refused object does not say why")
	}
	w.publishHead(w.stranger, "--version", "6.6.6", "--channel", "main", "--allow-secrets")
	if out, _ = w.console(3, "diff", "--delivery", w.name); out != "" {
		t.Errorf("a release that is not trusted is shown: %s", out)
	}
	w.console(2, "diff", "--delivery", w.name, "--key", w.ci.Public)
	w.quiet(begun)
	w.masked()
}

// masked has a value of a Secret in a ConfigMap, by a variable.
func (w *world) masked() {
	w.t.Helper()
	w.kubectl("create", "secret", "generic", "private", "-n", w.name, "--from-literal=token=geheim-3")
	w.kubectl("patch", "delivery", w.name, "-n", w.name, "--type=merge", `--patch={"spec":{"substituteFrom":[{"kind":"Secret","name":"private"}]}}`)
	w.publish(map[string]string{"deploy/a.yaml": configMap("a", "x ${token}"), "deploy/b.yaml": configMap("b", "${token}")}, "--allow-secrets")
	if got := w.planned(0).of("ConfigMap", "a"); got != "Update data.value:(masked)>(masked)" {
		w.t.Errorf("a value of a Secret in a ConfigMap: %q", got)
	}
	for _, format := range []string{"json", "markdown"} {
		if out, problem := w.console(0, "diff", "--delivery", w.name, "-o", format); strings.Contains(out+problem, "geheim") {
			w.t.Errorf("a value of a Secret is shown: %s%s", out, problem)
		}
	}
}

// reader compares as somebody who may read all, and neither impersonate nor write.
func (w *world) reader() {
	w.t.Helper()
	w.kubectl("create", "serviceaccount", "reader", "-n", w.name)
	w.kubectl("create", "clusterrole", w.name+"-reader", "--verb=get,list,watch", "--resource=*.*")
	w.kubectl("create", "clusterrolebinding", w.name+"-reader", "--clusterrole="+w.name+"-reader", "--serviceaccount="+w.name+":reader")
	file := w.kubeconfigOf("reader")
	out, problem := w.console(1, "diff", "--delivery", w.name, "--kubeconfig", file)
	if out != "" || !strings.Contains(problem, "--as-self") {
		w.t.Errorf("who may not impersonate reads %q, %q", out, problem)
	}
	if _, problem = w.console(1, "diff", "--delivery", w.name, "--kubeconfig", file, "--as-self"); !strings.Contains(problem, "forbidden") {
		w.t.Errorf("who may not write reads %q", problem)
	}
	w.console(0, "tree", w.name, "--kubeconfig", file)
}

// kubeconfigOf makes a kubeconfig for a service account of the test's namespace.
func (w *world) kubeconfigOf(account string) string {
	w.t.Helper()
	token := strings.TrimSpace(w.kubectl("create", "token", account, "-n", w.name))
	admin, err := os.ReadFile(w.cluster.Kubeconfig)
	must(w.t, err)
	file := filepath.Join(w.dir, account+".kubeconfig")
	own := regexp.MustCompile(`"?token"?: *"?[^"\s},]+"?`).ReplaceAllString(string(admin), `"token": "`+token+`"`)
	must(w.t, os.WriteFile(file, []byte(own), 0o600))
	return file
}

// quiet looks through the audit log for writes to the test's namespace.
func (w *world) quiet(since time.Time) {
	w.t.Helper()
	// As the user whom the audit log is about.
	_, problem, err := w.sealift("diff", "--delivery", w.name, "-n", w.name, "--kubeconfig", w.cluster.SealiftKubeconfig)
	if exitCode(err) != 3 {
		w.t.Fatalf("as the synchronizer's user: %v: %s", err, problem)
	}
	tag := w.publish(map[string]string{"deploy/svc.yaml": "", "deploy/more.yaml": configMap("more", "1")}, "--allow-secrets")
	out, problem, err := w.sealift("diff", "--delivery", w.name, "-n", w.name, "--kubeconfig", w.cluster.SealiftKubeconfig)
	if err != nil || !strings.Contains(out, tag.Digest) {
		w.t.Fatalf("as the synchronizer's user: %v: %s%s", err, out, problem)
	}
	requests, err := w.cluster.Requests()
	must(w.t, err)
	tried := 0
	for _, r := range requests {
		if r.Received.Before(since) || !strings.Contains(r.URI, "/namespaces/"+w.name+"/") {
			continue
		}
		switch r.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
			if tried++; !strings.Contains(r.URI, "dryRun=All") {
				w.t.Errorf("%s %s writes", r.Verb, r.URI)
			}
		}
	}
	if tried == 0 {
		w.t.Error("the audit log shows no dry run")
	}
}
