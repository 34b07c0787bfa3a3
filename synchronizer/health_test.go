package synchronizer

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
)

func TestHealthRules(t *testing.T) {
	judge, err := compileHealth([]HealthRule{{Group: "example.com", Kind: "Gadget",
		InProgress: `has(self.status) && self.status.phase == "Working"`,
		Failed:     `has(self.status) && self.status.phase == "Broken"`,
		Current:    `self.status.phase == "Ready" && !has(self.metadata.managedFields)`}})
	if err != nil {
		t.Fatal(err)
	}
	if judge.Knows(schema.GroupKind{Kind: "Gadget"}) || !judge.Knows(schema.GroupKind{Group: "example.com", Kind: "Gadget"}) {
		t.Error("it knows other kinds than it has rules for")
	}
	tests := []struct {
		status        map[string]any
		want, message string
	}{
		{nil, "InProgress", "current: evaluating the condition"},
		{map[string]any{"phase": "Working"}, "InProgress", "rule inProgress"},
		{map[string]any{"phase": "Broken"}, "Failed", "rule failed"},
		{map[string]any{"phase": "Ready"}, "Current", ""},
		{map[string]any{"phase": "Else"}, "InProgress", "current is not true"},
	}
	for _, test := range tests {
		live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Gadget",
			"metadata": map[string]any{"name": "g", "managedFields": []any{}}}}
		if test.status != nil {
			live.Object["status"] = test.status
		}
		got, message := judge.Judge(t.Context(), live)
		if got != test.want || !strings.Contains(message, test.message) || len(message) > maxHealthMessage {
			t.Errorf("%v: %s %q, want %s with %q", test.status, got, message, test.want, test.message)
		}
		if live.Object["metadata"].(map[string]any)["managedFields"] == nil {
			t.Error("the live object was changed")
		}
	}
}

func TestHealthRulesThatAreRefused(t *testing.T) {
	for name, rules := range map[string][]HealthRule{
		"health[0] for Gadget: current":  {{Kind: "Gadget", Current: "self."}},
		"health[1] for Widget: failed":   {{Kind: "Gadget", Current: "true"}, {Kind: "Widget", Current: "true", Failed: "release.x == 1"}},
		"health[1]: there is another ru": {{Kind: "Gadget", Current: "true"}, {Kind: "Gadget", Current: "false"}},
		"is empty":                       {{Kind: "Gadget"}},
	} {
		if _, err := compileHealth(rules); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one with %q", err, name)
		}
	}
}

// Bad news is told at once, and the rest no more than about once a second.
func TestToldHealth(t *testing.T) {
	well, ill := engine.Health{Total: 1, Ready: 1}, engine.Health{Total: 1, Degraded: true}
	release := artifact.Ref{Digest: "sha256:1"}
	start := time.Unix(1_000_000, 0)
	var told told
	tells, last := 0, engine.Health{}
	for ms := 0; ms < 20_000; ms += 10 {
		found := well
		if ms/10%2 == 1 {
			found = ill
		}
		said, wait := told.look(release, found, false, start.Add(time.Duration(ms)*time.Millisecond))
		if !equalHealth(said, last) {
			tells++
		}
		if !equalHealth(said, found) && wait <= 0 {
			t.Fatal("news is lost")
		}
		if equalHealth(found, ill) && equalHealth(said, well) {
			t.Fatal("bad news is held back")
		}
		last = said
	}
	if tells > 20+toldBurst+2 {
		t.Errorf("%d tells in 20 s", tells)
	}
	at := start.Add(20 * time.Second)
	told.look(release, ill, false, at)
	if said, _ := told.look(release, well, true, at); !equalHealth(said, well) {
		t.Error("a rollout's end is held back")
	}
}
