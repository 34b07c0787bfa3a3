package controller

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

func release(name string) synchronizer.Release {
	repository := artifact.Repository{Host: "registry.example.com", Path: "deploy/shop"}
	return synchronizer.Release{
		Ref:       repository.At(digest.FromString(name)),
		Statement: artifact.Statement{Revision: "main@sha1:" + name, Version: "1.0.0"},
		SignedBy:  []string{"ci"},
	}
}

// TestAfter follows one Delivery through its life.
func TestAfter(t *testing.T) {
	d := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Generation: 3, Annotations: map[string]string{v1alpha1.RequestedAtAnnotation: "now"}}}
	asked := synchronizer.Delivery{Requested: "now"}
	one, two := release("one"), release("two")
	healthy := engine.Health{Total: 4, Ready: 4}

	d.Status = begun(d, synchronizer.Intent{Release: one})
	expect(t, d, metav1.ConditionUnknown, "Progressing")
	waiting := after(d, asked, synchronizer.Outcome{Wanted: &one, Running: &one, Health: engine.Health{Total: 4, Ready: 1}}, nil)
	if tells(d.Status, waiting) {
		t.Error("what is awaited is never told")
	}
	later := after(d, asked, synchronizer.Outcome{Wanted: &one, Running: &one, Health: engine.Health{Total: 4, Ready: 2}}, nil)
	if !tells(waiting, later) {
		t.Errorf("waiting on costs another status write:\n%+v\n%+v", waiting, later)
	}

	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &one, Running: &one, Healthy: true, Health: healthy}, nil)
	expect(t, d, metav1.ConditionTrue, "Delivered")
	if tells(waiting, d.Status) {
		t.Error("that it is delivered is held back")
	}
	if d.Status.Attempted != nil || d.Status.Applied.Digest != one.Ref.Digest.String() || d.Status.LastHandledReconcileAt != "now" {
		t.Errorf("status %+v", d.Status)
	}
	again := after(d, asked, synchronizer.Outcome{Wanted: &one, Running: &one, Healthy: true, Health: healthy}, nil)
	if !equal(d.Status, again) {
		t.Error("a pass that finds nothing to do writes the status")
	}

	refusal := &verify.Refusal{Reason: verify.NotSigned, Ref: two.Ref}
	d.Status = after(d, asked, synchronizer.Outcome{Running: &one, Healthy: true, Health: healthy}, refusal)
	expect(t, d, metav1.ConditionFalse, "NotSigned")
	if d.Status.Applied.Digest != one.Ref.Digest.String() || d.Status.Attempted.Digest != two.Ref.Digest.String() || d.Status.Attempted.Since != nil {
		t.Errorf("status %+v", d.Status)
	}
	again = after(d, synchronizer.Delivery{Requested: "later"}, synchronizer.Outcome{Running: &one, Healthy: true, Health: healthy, Asking: 1}, refusal)
	if again.LastHandledReconcileAt != "now" {
		t.Error("a request is answered by what was known before it")
	}

	failed := fmt.Errorf("%w: 1 of 4", synchronizer.ErrUnhealthy)
	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &two, Running: &two, Quarantine: true}, failed)
	if d.Status.Quarantined.Digest != two.Ref.Digest.String() {
		t.Errorf("status %+v", d.Status)
	}
	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &two, Running: &one, Health: engine.Health{Total: 4, Ready: 3}}, &synchronizer.QuarantineError{Release: two})
	expect(t, d, metav1.ConditionFalse, "RollingBack")
	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &two, Running: &one}, &synchronizer.QuarantineError{Release: two})
	expect(t, d, metav1.ConditionFalse, "RollbackFailed")
	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &two, Running: &one, Healthy: true, Health: healthy}, &synchronizer.QuarantineError{Release: two})
	expect(t, d, metav1.ConditionFalse, "RolledBack")
	three := release("three")
	d.Status = after(d, asked, synchronizer.Outcome{Wanted: &three, Running: &three, Healthy: true, Health: healthy}, nil)
	if d.Status.Quarantined != nil {
		t.Error("the quarantine outlives a newer release")
	}
}

func expect(t *testing.T, d *v1alpha1.Delivery, status metav1.ConditionStatus, reason string) {
	t.Helper()
	ready := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != status || ready.Reason != reason || ready.ObservedGeneration != d.Generation {
		t.Fatalf("condition %+v, want %s %s", ready, status, reason)
	}
	reconciling := meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionReconciling)
	if reconciling != (status == metav1.ConditionUnknown) {
		t.Errorf("Reconciling is %v while Ready is %s", reconciling, status)
	}
}

func TestRevokedTrustHasItsOwnReason(t *testing.T) {
	refusal := &verify.Refusal{Reason: verify.Untrusted, Ref: release("one").Ref}
	quarantined := &synchronizer.QuarantineError{Release: release("two")}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: %w", synchronizer.ErrTrustRevoked, refusal), "TrustRevoked"},
		{fmt.Errorf("%w: %w; and %v", synchronizer.ErrTrustRevoked, refusal, quarantined), "TrustRevoked"},
		{refusal, "Untrusted"},
		{&verify.Refusal{Reason: verify.Unavailable, Ref: release("one").Ref}, "Unavailable"},
	} {
		if got, _ := reasonOf(tt.err); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestReasonsAreDocumented holds docs/delivery.md to the table of reasons.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, c := range causes() {
		reasons = append(reasons, c.reason)
	}
	for _, reason := range byStep() {
		reasons = append(reasons, reason)
	}
	for _, reason := range []verify.Reason{
		verify.NoPolicy, verify.InvalidPolicy, verify.NotFound, verify.Unavailable, verify.Malformed, verify.NotSigned,
		verify.Untrusted, verify.StatementMismatch, verify.AttestationMissing, verify.Revoked,
	} {
		reasons = append(reasons, string(reason))
	}
	for _, reason := range append(reasons, reasonDegraded, reasonAwaiting, reasonTerminating) {
		if !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("docs/delivery.md does not explain the reason %s", reason)
		}
	}
}

func TestMessagesAreBoundedAndPrintable(t *testing.T) {
	hostile := strings.Repeat("\x1b[31m\xff\n", 1000)
	for _, got := range []string{clip(hostile), plain(hostile)} {
		if len(got) > maxMessage || strings.ContainsAny(got, "\x1b\n\xff") {
			t.Errorf("%q", got)
		}
	}
	if got := clip(errors.New("as it is").Error()); got != "as it is" {
		t.Errorf("%q", got)
	}
}

// TestHistoryIsShort: the newest ten, and none twice in a row.
func TestHistoryIsShort(t *testing.T) {
	var status v1alpha1.DeliveryStatus
	for i := range 12 {
		for range 2 {
			chronicle(&status, v1alpha1.Release{Digest: fmt.Sprint(i)})
		}
	}
	chronicle(&status, v1alpha1.Release{Digest: "4"})
	var got []string
	for _, r := range status.History {
		got = append(got, r.Digest)
	}
	if want := "4 11 10 9 8 7 6 5 4 3"; strings.Join(got, " ") != want {
		t.Errorf("the history is %v, want %s", got, want)
	}
}
