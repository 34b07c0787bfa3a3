package test

import (
	"strings"
	"testing"
)

// run waits for the Job of a hook with generateName that runs in a phase and is not
// the former one; it returns name and UID.
func (w *world) run(prefix, phase, former string) (name, uid string) {
	w.t.Helper()
	w.until(phase+" of "+prefix, func() bool {
		for line := range strings.Lines(w.kubectl("get", "jobs", "-n", w.name, "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.annotations.sealift\.dev/hook-run}{"\n"}{end}`)) {
			parts := strings.Fields(line)
			if len(parts) == 4 && strings.HasPrefix(parts[0], prefix) && parts[1] != former && parts[2] == phase {
				name, uid = parts[0], parts[1]
				return true
			}
		}
		return false
	})
	return name, uid
}

// succeed plays the kubelet for the pod of one Job.
func (w *world) succeed(uid string) {
	w.t.Helper()
	var pod string
	w.until("a pod of the Job "+uid, func() bool {
		pod = strings.TrimSpace(w.kubectl("get", "pods", "-n", w.name, "-l", "batch.kubernetes.io/controller-uid="+uid, "-o", "name"))
		return pod != ""
	})
	w.kubectl("patch", pod, "-n", w.name, "--subresource=status", "--type=merge", `--patch={"status":{"phase":"Succeeded"}}`)
}

// TestHooksWithGeneratedNames: a hook as Argo CD's users write it, in two phases and
// with generateName, runs once for each phase and release, and leaves one object.
func TestHooksWithGeneratedNames(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	hook := func(more string) string {
		manifest := noted(endless("NAME"), `argocd.argoproj.io/hook: "PreSync, PostSync"`,
			"argocd.argoproj.io/hook-delete-policy: BeforeHookCreation", `argocd.argoproj.io/sync-wave: "-5"`)
		return strings.NewReplacer("name: NAME", "generateName: migrate-", "it:1", "it:"+more).Replace(manifest)
	}
	w.deliver(w.source("tag: main", ""))
	p := w.publish(map[string]string{"deploy/migrate.yaml": hook("1"), "deploy/a.yaml": configMap("a", "1")})
	name, before := w.run("migrate-", "PreSync", "")
	if w.exists("configmap", "a") {
		t.Error("the release did not wait for its first hook")
	}
	w.succeed(before)
	again, after := w.run("migrate-", "PostSync", before)
	if again != name || w.value("a") != "1" {
		t.Errorf("the hook is %s before and %s after the release, which holds %s", name, again, w.value("a"))
	}
	w.succeed(after)
	w.delivered(p)

	p = w.publish(map[string]string{"deploy/migrate.yaml": hook("2"), "deploy/a.yaml": configMap("a", "2")})
	other, before := w.run("migrate-", "PreSync", after)
	if other == name {
		t.Errorf("another hook has the same name %s", name)
	}
	w.succeed(before)
	_, after = w.run(other, "PostSync", before)
	w.succeed(after)
	w.delivered(p)
	w.until("one hook left", func() bool {
		return strings.TrimSpace(w.kubectl("get", "jobs", "-n", w.name, "-o", "name")) == "job.batch/"+other
	})
}
