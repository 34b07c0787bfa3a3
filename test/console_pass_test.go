package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lot is a ConfigMap of a release, as chance made it.
type lot struct {
	value       int
	annotations string // of the object, as YAML; empty: none
	frozen      bool   // immutable, and created again when it changes
}

func (l lot) manifest(name string) string {
	m := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, annotations: {%s}}\ndata: {value: \"%d\"}\n", name, l.annotations, l.value)
	if l.frozen {
		m = strings.Replace(m, "annotations: {", "annotations: {sealift.dev/recreate: enabled", 1) + "immutable: true\n"
	}
	return m
}

// draw makes a lot for each of some names; about a third are absent.
func draw(chance *rand.Rand) map[string]lot {
	drawn := map[string]lot{}
	for i := range 12 {
		l := lot{value: chance.IntN(3)}
		switch i % 4 {
		case 1:
			l.annotations = []string{"", "sealift.dev/prune: disabled"}[chance.IntN(2)]
		case 2:
			l.annotations = []string{"", "sealift.dev/apply: IfNotPresent", "sealift.dev/reconcile: disabled"}[chance.IntN(3)]
		case 3:
			l.frozen = i == 7
		}
		if chance.IntN(3) > 0 {
			drawn[fmt.Sprintf("m%02d", i)] = l
		}
	}
	drawn["always"] = lot{}
	return drawn
}

// seen is what the cluster has of a ConfigMap.
type seen struct{ uid, version, value, managers string }

func (w *world) seen() map[string]seen {
	w.t.Helper()
	var list struct {
		Items []struct {
			Metadata struct {
				Name, UID, ResourceVersion string
				ManagedFields              []struct{ Manager string }
			}
			Data map[string]string
		}
	}
	must(w.t, json.Unmarshal([]byte(w.kubectl("get", "configmaps", "-n", w.name, "-o", "json", "--show-managed-fields")), &list))
	found := map[string]seen{}
	for _, o := range list.Items {
		s := seen{uid: o.Metadata.UID, version: o.Metadata.ResourceVersion, value: o.Data["value"]}
		for _, m := range o.Metadata.ManagedFields {
			s.managers += m.Manager + " "
		}
		found[o.Metadata.Name] = s
	}
	return found
}

// happened says in the words of a plan what became of an object.
func happened(before, after seen) string {
	switch {
	case before == after:
		return ""
	case before.uid == "":
		return "Create"
	case after.uid == "":
		return "Prune"
	case before.uid != after.uid:
		return "Recreate"
	case strings.Contains(before.managers, "kubectl-client-side-apply") && !strings.Contains(after.managers, "kubectl-client-side-apply"):
		return "Adopt"
	}
	return "Update"
}

// TestDiffIsTheNextPass: over some releases that chance made, with drift and with objects
// of others in between, the next pass does just what the diff said, and nothing else. Who
// may only act as its service account is told the same.
func TestDiffIsTheNextPass(t *testing.T) {
	t.Parallel()
	w := onSync(t)
	tenant := w.tenantOf()
	chance := rand.New(rand.NewPCG(20, 26))
	release := draw(chance)
	w.publish(releaseOf(nil, release))
	w.deliver(w.source("tag: main", "  maxPrune: 100%\n"))
	w.until("the first release", func() bool { status, _, _ := w.status().ready(); return status == "True" })
	told := map[string]int{}
	for range 6 {
		w.console(0, "suspend", w.name)
		w.refused("Suspended")
		next := draw(chance)
		w.disturb(chance, next)
		w.publish(releaseOf(release, next))
		release = next
		before := w.seen()
		if !strings.HasPrefix(before["always"].value, "drift-") {
			t.Fatal("a suspended Delivery corrects drift")
		}
		plan := w.planned(4, "--exit-code")
		if same := w.planned(4, "--exit-code", "--kubeconfig", tenant); !reflect.DeepEqual(plan.Objects, same.Objects) {
			t.Fatalf("who may only act as the service account is told\n%v, and not\n%v", same.Objects, plan.Objects)
		}
		if out, problem := w.console(0, "resume", w.name, "--wait"); !strings.Contains(problem, "is ready") {
			t.Fatalf("resumed: %s%s", out, problem)
		}
		w.cameTrue(plan, before, w.seen(), told)
	}
	for _, action := range []string{"Create", "Update", "Prune", "Recreate", "Adopt", "Keep", "Skip"} {
		if told[action] == 0 {
			t.Errorf("chance brought no %s; hint: another seed", action)
		}
	}
}

// cameTrue holds what a plan said against what became of the objects.
func (w *world) cameTrue(p planned, before, after map[string]seen, told map[string]int) {
	w.t.Helper()
	said := map[string]string{}
	for _, o := range p.Objects {
		said[o.Name] = o.Action
		told[o.Action]++
		for _, f := range o.Fields {
			if f.Path == "data.value" && after[o.Name].value != f.New {
				w.t.Errorf("%s has the value %s, and the diff said %v", o.Name, after[o.Name].value, f.New)
			}
		}
	}
	names := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		want := said[name]
		if want == "Keep" || want == "Skip" {
			want = ""
		}
		if got := happened(before[name], after[name]); got != want {
			w.t.Errorf("%s: the diff said %q, and the pass did %q: %+v became %+v", name, said[name], got, before[name], after[name])
		}
	}
}

// disturb changes one live object, and makes another that a release holds next.
func (w *world) disturb(chance *rand.Rand, next map[string]lot) {
	w.t.Helper()
	live := w.seen()
	w.kubectl("patch", "configmap", "always", "-n", w.name, "--type=merge", fmt.Sprintf(`--patch={"data":{"value":"drift-%d"}}`, chance.IntN(1000)))
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if _, there := live[name]; !there && next[name].annotations == "" && !next[name].frozen {
			w.apply(strings.Replace(lot{value: 9}.manifest(name), "{name: ", "{namespace: "+w.name+", name: ", 1))
			return
		}
	}
}

// releaseOf are the files that make of one set of objects another.
func releaseOf(before, next map[string]lot) map[string]string {
	files := map[string]string{}
	for name := range before {
		files["deploy/"+name+".yaml"] = ""
	}
	for name, l := range next {
		files["deploy/"+name+".yaml"] = l.manifest(name)
	}
	return files
}

// tenantOf makes a kubeconfig for somebody who may read the Deliveries of the namespace, and
// act as its service account, and nothing else.
func (w *world) tenantOf() string {
	w.t.Helper()
	w.kubectl("create", "serviceaccount", "tenant", "-n", w.name)
	w.kubectl("create", "role", "tenant", "-n", w.name, "--verb=get,list", "--resource=deliveries.sealift.dev")
	w.kubectl("create", "rolebinding", "tenant", "-n", w.name, "--role=tenant", "--serviceaccount="+w.name+":tenant")
	w.kubectl("create", "role", "deployer", "-n", w.name, "--verb=impersonate", "--resource=serviceaccounts", "--resource-name=deployer")
	w.kubectl("create", "rolebinding", "deployer", "-n", w.name, "--role=deployer", "--serviceaccount="+w.name+":tenant")
	return w.kubeconfigOf("tenant")
}
