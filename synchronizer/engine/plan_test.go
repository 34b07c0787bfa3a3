package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const me, you = Owner("shop.app"), Owner("shop.other")

func thing(kind, name string) item {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": name}}}
	return item{ref: ObjectRef{Kind: kind, Namespace: "shop", Name: name}, manifest: packed(o)}
}

// drafted decides about each item in full.
func drafted(t Target, items []item, records map[ObjectRef]record, now time.Time) (*Plan, error) {
	return draft(t, items, make([]bool, len(items)), records, now)
}

func packed(o *unstructured.Unstructured) *manifest {
	m, err := pack(o)
	if err != nil {
		panic(err)
	}
	return &m
}

func wantedOf(t *testing.T, it item) digest {
	t.Helper()
	s, err := newStep(it, Target{Owner: me})
	if err != nil {
		t.Fatal(err)
	}
	return s.wanted
}

func TestDecide(t *testing.T) {
	now := time.Unix(1000, 0)
	it := thing("ConfigMap", "one")
	same := &applied{owner: me, wanted: wantedOf(t, it), rv: 5}
	other := &applied{owner: me, rv: 5}
	drift := &Drift{Reason: Changed, Observed: now}
	missing := &Drift{Reason: Missing, Observed: now}
	mine := record{ref: it.ref, owner: me, owned: true, rv: 5, applied: same}
	with := func(change func(*record)) *record { r := mine; change(&r); return &r }
	for _, test := range []struct {
		name   string
		record *record
		report bool
		want   Action
		reason string
	}{
		{"never seen", nil, false, Create, ""},
		{"seen, from an earlier process", with(func(r *record) { r.applied = nil }), false, Update, "not confirmed since start"},
		{"as applied", &mine, false, Unchanged, ""},
		{"changed", with(func(r *record) { r.applied = other }), false, Update, "changed"},
		{"changed and drifted", with(func(r *record) { r.applied, r.drift = other, drift }), true, Update, "changed"},
		{"changed and gone", with(func(r *record) { r.applied, r.lost, r.rv = other, missing, 0 }), false, Create, ""},
		{"drifted", with(func(r *record) { r.drift = drift }), false, Heal, "changed"},
		{"gone", with(func(r *record) { r.lost, r.rv = missing, 0 }), false, Heal, "deleted or unlabelled"},
		{"drifted, reported", with(func(r *record) { r.drift = drift }), true, Drifted, "changed"},
		{"drifted, contested", with(func(r *record) { r.drift, r.fight.until = drift, now.Add(1) }), false, Contested, "changed"},
		{"drifted, contest over", with(func(r *record) { r.drift, r.fight.until = drift, now }), false, Heal, "changed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			records := map[ObjectRef]record{}
			if test.record != nil {
				records[it.ref] = *test.record
			}
			p, err := drafted(Target{Owner: me, Correct: !test.report}, []item{it}, records, now)
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Steps[0]; s.Action != test.want || s.Reason != test.reason {
				t.Errorf("%s (%s)", s.Action, s.Reason)
			}
			if contested := test.want == Contested; p.NextCheck.IsZero() == contested {
				t.Errorf("next check at %s", p.NextCheck)
			}
		})
	}
}

// TestDecideSpentJob creates a Job again only when it cannot have finished.
func TestDecideSpentJob(t *testing.T) {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "one"}, "spec": map[string]any{"ttlSecondsAfterFinished": int64(1)}}}
	job := item{ref: ObjectRef{Group: "batch", Kind: "Job", Namespace: "shop", Name: "one"}, manifest: packed(o)}
	unstructured.RemoveNestedField(o.Object, "spec", "ttlSecondsAfterFinished")
	endless := item{ref: job.ref, manifest: packed(o)}
	lost := record{ref: job.ref, owner: me, applied: &applied{owner: me, wanted: wantedOf(t, job), rv: 5}, lost: &Drift{Reason: Missing}}
	done := lost
	done.verdict = verdict{status: "Terminating", done: true} // its controller deletes it in the foreground
	for _, test := range []struct {
		name    string
		it      item
		record  record
		settled bool
		want    Action
	}{
		{"new", job, record{}, false, Create},
		{"applied by an earlier process", job, record{}, true, Unchanged},
		{"without a time to live", endless, record{}, true, Create},
		{"there", job, record{ref: job.ref, owner: me, owned: true, rv: 5}, true, Update},
		{"seen to finish", job, done, true, Unchanged},
		{"deleted before it finished", job, lost, true, Heal},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := Target{Owner: me, Correct: true, Settled: test.settled}
			p, err := drafted(target, []item{test.it}, map[ObjectRef]record{test.it.ref: test.record}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Steps[0]; s.Action != test.want || (s.Reason == jobSpent) != (test.want == Unchanged) {
				t.Errorf("%s (%s)", s.Action, s.Reason)
			}
			if test.record.rv > 0 {
				return // health would read it
			}
			if v, err := (&Engine{}).diagnose(t.Context(), target, test.it, test.record); err != nil || (v.status == "Current") != (test.want == Unchanged) {
				t.Errorf("health is %s: %v", v.status, err)
			}
		})
	}
}

func TestDecideRefusesAnothersObject(t *testing.T) {
	it := thing("ConfigMap", "one")
	it.resource.gvr.Resource = "configmaps"
	theirs := record{ref: it.ref, owner: you, owned: true, rv: 1}
	_, err := drafted(Target{Owner: me}, []item{it}, map[ObjectRef]record{it.ref: theirs}, time.Now())
	if !errors.Is(err, ErrOwnedByAnother) || !strings.Contains(err.Error(), string(you)) || !strings.Contains(err.Error(), "ConfigMap shop/one") {
		t.Errorf("error is %v", err)
	}
	if !strings.HasSuffix(err.Error(), ": kubectl label configmaps one sealift.dev/delivery- -n shop") {
		t.Errorf("no way out in %v", err)
	}
	theirs.owned = false
	if _, err := drafted(Target{Owner: me}, []item{it}, map[ObjectRef]record{it.ref: theirs}, time.Now()); err != nil {
		t.Errorf("a label alone is no claim: %v", err)
	}
}

func TestStrays(t *testing.T) {
	stays := thing("ConfigMap", "stays")
	for _, test := range []struct {
		name   string
		kind   schema.GroupKind
		change func(*record, *Target)
		empty  bool
		want   Action
	}{
		{"unwanted", schema.GroupKind{Kind: "ConfigMap"}, func(*record, *Target) {}, false, Prune},
		{"empty set", schema.GroupKind{Kind: "ConfigMap"}, func(*record, *Target) {}, true, Keep},
		{"pruning off", schema.GroupKind{Kind: "ConfigMap"}, func(_ *record, t *Target) { t.Prune = false }, false, Keep},
		{"annotated", schema.GroupKind{Kind: "ConfigMap"}, func(r *record, _ *Target) { r.keep = "because" }, false, Keep},
		{"a copy", schema.GroupKind{Kind: "ConfigMap"}, func(r *record, _ *Target) { r.owned = false }, false, ""},
		{"another's", schema.GroupKind{Kind: "ConfigMap"}, func(r *record, _ *Target) { r.owner = you }, false, ""},
		{"gone", schema.GroupKind{Kind: "ConfigMap"}, func(r *record, _ *Target) { r.rv = 0 }, false, ""},
		{"Namespace", schema.GroupKind{Kind: "Namespace"}, func(*record, *Target) {}, false, Keep},
		{"Namespace, allowed", schema.GroupKind{Kind: "Namespace"}, func(_ *record, t *Target) { t.PruneProtected = true }, false, Prune},
		{"PersistentVolumeClaim", schema.GroupKind{Kind: "PersistentVolumeClaim"}, func(*record, *Target) {}, false, Keep},
		{"definition", schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}, func(*record, *Target) {}, false, Keep},
		{"someone's Namespace kind", schema.GroupKind{Group: "example.com", Kind: "Namespace"}, func(*record, *Target) {}, false, Prune},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref := ObjectRef{Group: test.kind.Group, Kind: test.kind.Kind, Namespace: "shop", Name: "gone"}
			r, target := record{ref: ref, owner: me, owned: true, rv: 3, uid: "u"}, Target{Owner: me, Prune: true}
			test.change(&r, &target)
			items := []item{stays}
			if test.empty {
				items = nil
			}
			p, err := drafted(target, items, map[ObjectRef]record{ref: r}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			got := Action("")
			for _, s := range p.Steps[len(items):] {
				got = s.Action
			}
			if got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	kinds := []struct {
		group, kind string
		fresh       bool
	}{
		{"apiextensions.k8s.io", "CustomResourceDefinition", false},
		{"", "Namespace", false},
		{"rbac.authorization.k8s.io", "ClusterRole", false},
		{"storage.k8s.io", "StorageClass", false},
		{"rbac.authorization.k8s.io", "ClusterRoleBinding", false},
		{"", "ResourceQuota", false},
		{"", "ServiceAccount", false},
		{"rbac.authorization.k8s.io", "Role", false},
		{"", "ConfigMap", false},
		{"", "Secret", false},
		{"", "Service", false},
		{"apps", "Deployment", false},
		{"apps", "StatefulSet", false},
		{"networking.k8s.io", "Ingress", false},
		{"example.com", "Boat", true},
		{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", false},
	}
	var last *Step
	for _, k := range kinds {
		s := &Step{Ref: ObjectRef{Group: k.group, Kind: k.kind, Name: "x"}}
		s.stage, s.rank = place(s.Ref.GroupKind(), k.fresh)
		if last != nil && compareSteps(last, s) >= 0 {
			t.Errorf("%s is not before %s", last.Ref, s.Ref)
		}
		last = s
	}
}

func TestPruneOrderIsReverse(t *testing.T) {
	records := map[ObjectRef]record{}
	for _, ref := range []ObjectRef{{Kind: "Namespace", Name: "n"}, {Kind: "Secret", Name: "s"}, {Group: "apps", Kind: "Deployment", Name: "d"},
		{Group: "example.com", Kind: "Boat", Name: "b"}, {Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration", Name: "w"}} {
		records[ref] = record{ref: ref, owner: me, owned: true, rv: 1}
	}
	var got []string
	for _, s := range strays(Target{Owner: me, Prune: true, PruneProtected: true}, nil, records, false) {
		got = append(got, s.Ref.Name)
	}
	if strings.Join(got, "") != "wbdsn" {
		t.Errorf("order is %v", got)
	}
}

func TestOwnerOf(t *testing.T) {
	long := strings.Repeat("n", 40)
	for _, test := range []struct{ namespace, name, want string }{
		{"shop", "web", "shop.web"},
		{"shop", strings.Repeat("a", 58), "shop." + strings.Repeat("a", 58)},
		{long, strings.Repeat("a", 30), long + ".aaaaa-"},
	} {
		got := string(OwnerOf(test.namespace, test.name))
		if !strings.HasPrefix(got, test.want) || len(got) > maxLabelValue {
			t.Errorf("%s/%s gives %q", test.namespace, test.name, got)
		}
	}
	if OwnerOf(long, strings.Repeat("a", 30)) == OwnerOf(long, strings.Repeat("a", 31)) {
		t.Error("two Deliveries share an owner")
	}
}

func TestFight(t *testing.T) {
	now := time.Unix(1000, 0)
	var f fight
	for range fightHeals {
		f = f.healed(now)
		now = now.Add(time.Second)
	}
	if !f.until.IsZero() {
		t.Fatal("five heals are a fight already")
	}
	var pauses []time.Duration
	for range 7 {
		f = f.healed(now)
		pauses = append(pauses, f.until.Sub(now))
		now = f.until
	}
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
		if pauses[i] != want*time.Second {
			t.Errorf("pauses are %v", pauses)
			break
		}
	}
	if f = f.healed(now.Add(2*lastPause + time.Second)); !f.until.IsZero() {
		t.Error("an old fight is not forgiven")
	}
	f = fight{}
	for range 20 {
		f = f.healed(now)
		now = now.Add(fightWindow / 4)
	}
	if !f.until.IsZero() {
		t.Error("a heal every 15 s is a fight")
	}
}
