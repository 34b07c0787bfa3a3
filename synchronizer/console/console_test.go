package console

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
)

func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// delivered is a Delivery that runs the first of some releases, each a digit and a
// version.
func delivered(releases ...string) *v1alpha1.Delivery {
	d := &v1alpha1.Delivery{}
	d.Spec.Source = v1alpha1.Source{URL: "oci://example.com/shop", Tag: "main"}
	for _, r := range releases {
		d.Status.History = append(d.Status.History, v1alpha1.Release{Repository: "example.com/shop", Digest: digestOf(r[:1]), Version: r[1:]})
	}
	d.Status.Applied = &d.Status.History[0]
	return d
}

func TestChoose(t *testing.T) {
	halfWay := delivered("b2.0.0", "a1.0.0")
	halfWay.Status.Attempted = &v1alpha1.Release{Digest: digestOf("c"), Since: &metav1.Time{}}
	moved := delivered("b2.0.0", "a1.0.0")
	moved.Spec.Source.URL = "oci://example.com/other"
	for _, tt := range []struct {
		name, to   string
		d          *v1alpha1.Delivery
		want, says string
	}{
		{"the one before", "", delivered("b2.0.0", "a1.0.0"), "a", ""},
		{"there and back", "", delivered("a1.0.0", "b2.0.0", "a1.0.0"), "b", ""},
		{"the last good one", "", halfWay, "b", ""},
		{"none before", "", delivered("a1.0.0"), "", "not found in its history"},
		{"by version", "1.0.0", delivered("c3.0.0", "b2.0.0", "a1.0.0"), "a", ""},
		{"by digest", digestOf("b"), delivered("c3.0.0", "b2.0.0", "a1.0.0"), "b", ""},
		{"by eight digits", "bbbbbbbb", delivered("c3.0.0", "b2.0.0", "a1.0.0"), "b", ""},
		{"by seven digits", "bbbbbbb", delivered("c3.0.0", "b2.0.0", "a1.0.0"), "", "not found in its history"},
		{"a version twice", "1.0.0", delivered("c3.0.0", "b1.0.0", "a1.0.0"), "", "name a digest"},
		{"one release twice", "1.0.0", delivered("c3.0.0", "a1.0.0", "b2.0.0", "a1.0.0"), "a", ""},
		{"from elsewhere", "", moved, "", "the source is another by now"},
	} {
		got, err := choose(tt.d, tt.to)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
			}
			continue
		}
		if err != nil || got.Digest != digestOf(tt.want) {
			t.Errorf("%s: %v %v", tt.name, got, err)
		}
	}
}

func TestTicketIsDone(t *testing.T) {
	ready := func(status metav1.ConditionStatus, reason string, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, ObservedGeneration: generation}}
	}
	reconciling := append(ready("False", "DependencyNotReady", 2), metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: "True"})
	for _, tt := range []struct {
		name       string
		ticket     Ticket
		conditions []metav1.Condition
		handled    string
		done       bool
	}{
		{"ready", Ticket{requested: "now"}, ready("True", "Delivered", 2), "now", true},
		{"not handled", Ticket{requested: "now"}, ready("True", "Delivered", 2), "before", false},
		{"refused", Ticket{requested: "now"}, ready("False", "Untrusted", 2), "now", true},
		{"on its way", Ticket{requested: "now"}, ready("Unknown", "Progressing", 2), "now", false},
		{"waits for another", Ticket{requested: "now"}, reconciling, "now", false},
		{"an older spec", Ticket{generation: 2}, ready("True", "Delivered", 1), "", false},
		{"still suspended", Ticket{generation: 2}, ready("False", "Suspended", 2), "", false},
		{"nothing yet", Ticket{}, nil, "", false},
	} {
		d := &v1alpha1.Delivery{}
		d.Generation, d.Status.Conditions, d.Status.LastHandledReconcileAt = 2, tt.conditions, tt.handled
		if got := tt.ticket.done(d); got != tt.done {
			t.Errorf("%s: done is %v", tt.name, got)
		}
	}
}

func TestManagersOf(t *testing.T) {
	entry := func(manager, subresource, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const source = `{"f:spec":{"f:source":{"f:tag":{}}}}`
	d := &v1alpha1.Delivery{}
	d.ManagedFields = []metav1.ManagedFieldsEntry{
		entry("kubectl-client-side-apply", "", source), entry(FieldManager, "", source), entry("kustomize-controller", "", source),
		entry("sealift", "", `{"f:metadata":{"f:finalizers":{}}}`), entry("somebody", "status", source), entry("argocd-controller", "", `{"f:spec":{"f:suspend":{}}}`),
	}
	if got := strings.Join(managersOf(d), " "); got != "kustomize-controller" {
		t.Errorf("found %q", got)
	}
}

func TestShortRevision(t *testing.T) {
	for revision, want := range map[string]string{
		"main@sha1:0123456789abcdef0123456789abcdef01234567": "main@01234567",
		"main@sha1:0123": "main@sha1:0123", "v1.2.3": "v1.2.3", "": "",
	} {
		if got := ShortRevision(revision); got != want {
			t.Errorf("%q is %q, want %q", revision, got, want)
		}
	}
}
