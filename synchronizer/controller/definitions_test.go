package controller

import "testing"

func TestLacking(t *testing.T) {
	object := func(properties map[string]any) map[string]any { return map[string]any{"properties": properties} }
	text := map[string]any{"type": "string"}
	want := object(map[string]any{"spec": object(map[string]any{
		"name": text, "list": map[string]any{"items": object(map[string]any{"key": text})},
	})})
	for _, tt := range []struct {
		name string
		spec map[string]any
		says string
	}{
		{"the same", object(map[string]any{"name": text, "list": map[string]any{"items": object(map[string]any{"key": text})}}), ""},
		{"newer", object(map[string]any{"name": text, "new": text, "list": map[string]any{"items": object(map[string]any{"key": text, "new": text})}}), ""},
		{"open", map[string]any{"x-kubernetes-preserve-unknown-fields": true}, ""},
		{"without a field", object(map[string]any{"list": map[string]any{"items": object(map[string]any{"key": text})}}), "spec.name"},
		{"without one in a list", object(map[string]any{"name": text, "list": map[string]any{"items": object(nil)}}), "spec.list.key"},
	} {
		if got := lacking(want, object(map[string]any{"spec": tt.spec}), ""); got != tt.says {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.says)
		}
	}
}
