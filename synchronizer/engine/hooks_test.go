package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// coursed is a ConfigMap with annotations.
func coursed(t *testing.T, kind, name string, annotations ...string) item {
	t.Helper()
	it := thing(kind, name)
	o := annotated(annotations...)
	o.SetAPIVersion("v1")
	o.SetKind(kind)
	o.SetName(name)
	it.manifest = packed(o)
	if it.manifest.wrong != nil {
		t.Fatal(it.manifest.wrong)
	}
	if it.manifest.way != nil {
		it.course = *it.manifest.way
	}
	return it
}

func TestOrderOfDoing(t *testing.T) {
	items := []item{
		coursed(t, "Secret", "d", afterAnnotation, "/namespaces/shop/ConfigMap/c"),
		coursed(t, "ConfigMap", "post", "sealift.dev/hook", "PostSync"),
		coursed(t, "ConfigMap", "late", "sealift.dev/wave", "2"),
		coursed(t, "ConfigMap", "c"),
		coursed(t, "Secret", "e"),
		coursed(t, "ConfigMap", "both", "sealift.dev/hook", "PreSync,PostSync", "sealift.dev/wave", "9"),
		coursed(t, "ConfigMap", "pre", "sealift.dev/hook", "PreSync", "sealift.dev/wave", "-9"),
		coursed(t, "ConfigMap", "sync", "sealift.dev/hook", "Sync", "sealift.dev/wave", "1"),
		coursed(t, "ConfigMap", "early", "sealift.dev/wave", "-1"),
	}
	p, err := drafted(Target{Owner: me, Release: "r", Prune: true}, items, map[ObjectRef]record{
		{Kind: "ConfigMap", Namespace: "shop", Name: "gone1"}: {ref: ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "gone1"}, owner: me, owned: true, rv: 1, wave: 1},
		{Kind: "ConfigMap", Namespace: "shop", Name: "gone2"}: {ref: ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "gone2"}, owner: me, owned: true, rv: 1, wave: 2},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Steps {
		got = append(got, s.Ref.Name)
	}
	if want := "pre both early c e d sync late post both gone2 gone1"; strings.Join(got, " ") != want {
		t.Errorf("the order is %v, not %s", got, want)
	}
	if n := len(p.waves()); n != 8 {
		t.Errorf("%d waves", n)
	}
}

func TestDecideHook(t *testing.T) {
	const now, before = "Attempt2", "Attempt1"
	ref := thing("ConfigMap", "hook").ref
	live := func(phase Phase, release, attempt, policies string, health string) record {
		run := readRun(map[string]string{runAnnotation: fmt.Sprintf("%s %s@%s", phase, release, attempt), "sealift.dev/hook-delete": policies})
		r := record{ref: ref, owner: me, owned: true, uid: "u", rv: 5, hook: run}
		if health != "" {
			r.verdict = verdict{uid: "u", rv: 5, status: health}
		}
		return r
	}
	vanished := live(PreSync, "r", now, "", "Current")
	vanished.rv, vanished.owned, vanished.lost = 0, false, &Drift{Reason: Missing}
	for _, test := range []struct {
		name    string
		phases  string
		record  record
		settled bool
		want    string
	}{
		{"new", "PreSync", record{}, false, "Run"},
		{"ran now", "PreSync", live(PreSync, "r", now, "", ""), false, "Unchanged ran"},
		{"ran in an earlier attempt", "PreSync", live(PreSync, "r", before, "", ""), false, "Run"},
		{"ran for another release", "PreSync", live(PreSync, "q", now, "", ""), false, "Run"},
		{"ended, and vanished", "PreSync", vanished, false, "Unchanged"},
		{"two phases, in the first", "PreSync,PostSync", live(PreSync, "r", now, "", ""), false, "Unchanged ran, Run"},
		{"two phases, in the last", "PreSync,PostSync", live(PostSync, "r", now, "", ""), false, "Unchanged, Unchanged ran"},
		{"stands by", "SyncFail", record{}, false, "Standby"},
		{"failed", "SyncFail", live(SyncFail, "r", now, "", ""), false, "Unchanged ran"},
		{"failed after its phase", "PreSync,SyncFail", live(SyncFail, "r", now, "", ""), false, "Unchanged ran lapsed, Unchanged ran"},
		{"recovered after the failure", "PostSync,SyncFail", live(SyncFail, "r", now, "", ""), false, "Run, Unchanged ran"},
		{"settled, never seen", "PreSync", record{}, true, "Unchanged"},
		{"settled, kept", "PreSync,PostSync", live(PostSync, "r", now, "", "Current"), true, "Unchanged"},
		{"settled, over", "PreSync", live(PreSync, "r", now, "HookSucceeded", ""), true, "Prune"},
		{"settled, failed", "PreSync", live(PreSync, "r", now, "HookSucceeded", "Failed"), true, "Unchanged"},
		{"settled, failed and over", "PreSync", live(PreSync, "r", now, "HookFailed", "Failed"), true, "Prune"},
		{"settled, of another release", "PreSync", live(PreSync, "q", now, "HookSucceeded", ""), true, "Unchanged"},
	} {
		t.Run(test.name, func(t *testing.T) {
			it := coursed(t, "ConfigMap", "hook", "sealift.dev/hook", test.phases)
			target := Target{Owner: me, Release: "r", Attempt: now, Settled: test.settled, Correct: true, Prune: true}
			p, err := drafted(target, []item{it}, map[ObjectRef]record{ref: test.record}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range p.Steps {
				words := string(s.Action)
				if s.ran {
					words += " ran"
				}
				if s.lapsed {
					words += " lapsed"
				}
				got = append(got, words)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("%v, not %s", got, test.want)
			}
			p, err = drafted(target, []item{thing("ConfigMap", "other")}, map[ObjectRef]record{ref: test.record}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Steps {
				if stays := test.settled && test.want != "Prune"; s.Ref == ref && (s.Action == Keep) != stays {
					t.Errorf("no longer wanted: %s (%s)", s.Action, s.Reason)
				}
			}
		})
	}
}

func TestJudgeRun(t *testing.T) {
	for status, want := range map[string]string{
		`{}`:                    "InProgress",
		`{"phase":"Running"}`:   "InProgress",
		`{"phase":"Succeeded"}`: "Current",
		`{"phase":"Failed"}`:    "Failed",
		`{"conditions":[{"type":"Complete","status":"True"}]}`:                                 "Current",
		`{"conditions":[{"type":"Suspended","status":"True"}]}`:                                "InProgress",
		`{"conditions":[{"type":"Failed","status":"True","reason":"Backoff","message":"no"}]}`: "Failed Backoff: no",
	} {
		live := &unstructured.Unstructured{}
		if err := live.UnmarshalJSON([]byte(`{"apiVersion":"v1","kind":"Pod","status":` + status + `}`)); err != nil {
			t.Fatal(err)
		}
		if state, message := judgeRun(live); !strings.HasPrefix(state+" "+message, want) {
			t.Errorf("%s is %s: %s", status, state, message)
		}
	}
}
