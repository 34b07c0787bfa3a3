package engine

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReadDirectives(t *testing.T) {
	const argo = "argocd.argoproj.io/sync-options"
	for _, test := range []struct {
		key, value string
		want       func(directives) string // the text that is set
		mode       mode
	}{
		{"sealift.dev/prune", "Disabled", func(d directives) string { return d.keep }, ""},
		{"kustomize.toolkit.fluxcd.io/prune", " disabled ", func(d directives) string { return d.keep }, ""},
		{"sealift.dev/reconcile", "disabled", func(d directives) string { return d.unreconciled }, ""},
		{"kustomize.toolkit.fluxcd.io/reconcile", "DISABLED", func(d directives) string { return d.untouched() }, ""},
		{"sealift.dev/recreate", "enabled", func(d directives) string { return d.recreate }, ""},
		{"kustomize.toolkit.fluxcd.io/force", "Enabled", func(d directives) string { return d.recreate }, ""},
		{"sealift.dev/apply", "merge", func(d directives) string { return d.modeBy }, merge},
		{"sealift.dev/apply", "Override", func(d directives) string { return d.modeBy }, override},
		{"kustomize.toolkit.fluxcd.io/ssa", "ifnotpresent", func(d directives) string { return d.modeBy }, ifNotPresent},
		{"kustomize.toolkit.fluxcd.io/ssa", "Ignore", func(d directives) string { return d.untouched() }, ignore},
		{"client.lifecycle.config.k8s.io/mutation", "ignore", func(d directives) string { return d.modeBy }, ifNotPresent},
		{"config.kubernetes.io/local-config", "true", func(d directives) string { return d.local }, ""},
		{argo, "Validate=true, prune=FALSE", func(d directives) string { return d.keep }, ""},
		{argo, "Prune=confirm", func(d directives) string { return d.confirm }, ""},
		{argo, "Delete=false,Prune=true", func(d directives) string { return d.keepLast }, ""},
		{argo, "Delete=confirm", func(d directives) string { return d.confirmLast }, ""},
		{argo, "Replace=true", func(d directives) string { return d.recreate }, ""},
		{argo, "PruneLast=true,Force=true", func(d directives) string { return d.recreate }, ""},
	} {
		d := readDirectives(map[string]string{test.key: test.value})
		if test.want(d) == "" || d.mode != test.mode {
			t.Errorf("%s: %s gives %+v", test.key, test.value, d)
		}
	}
	for key, value := range map[string]string{
		"sealift.dev/prune": "enabled", "kustomize.toolkit.fluxcd.io/reconcile": "", "sealift.dev/apply": "sometimes",
		argo: "PruneLast=true,,Prune", "example.com/prune": "disabled", "config.kubernetes.io/local-config": "false",
	} {
		if d := readDirectives(map[string]string{key: value}); d != (directives{}) {
			t.Errorf("%s: %s gives %+v", key, value, d)
		}
	}
}

// TestLiveDirectives: what our own apply wrote is for the wanted object to say,
// but for pruning, when there is none.
func TestLiveDirectives(t *testing.T) {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		"sealift.dev/apply": "Ignore", "sealift.dev/prune": "disabled", "sealift.dev/reconcile": "disabled"}}}
	own := &entry{fields: []byte(`{"f:metadata":{"f:annotations":{"f:sealift.dev/apply":{},"f:sealift.dev/prune":{}}}}`)}
	d := liveDirectives(m, own)
	if d.mode == ignore || d.unreconciled == "" || d.keep != "sealift.dev/prune: disabled" {
		t.Errorf("a mixed object gives %+v", d)
	}
	if d := liveDirectives(m, nil); d.mode != ignore {
		t.Errorf("another's object gives %+v", d)
	}
	wanted := directives{mode: merge, modeBy: "x"}
	if both := wanted.with(&d); both.mode != merge || both.unreconciled == "" {
		t.Errorf("together they give %+v", both)
	}
}
