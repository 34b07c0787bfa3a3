package engine

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestFailedHidesWhatSecretsHold(t *testing.T) {
	refusals := map[string]error{
		"data": apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "s", field.ErrorList{
			field.Invalid(field.NewPath("data"), "hunter2", "must not be hunter2")}),
		".stringData.p": apierrors.NewInternalError(errors.New("failed to create typed patch object (shop/s; /v1, Kind=Secret): .stringData.p: expected string, got &value.valueUnstructured{Value:\"hunter2\"}")),
		"BadRequest":    apierrors.NewBadRequest("hunter2 is no Secret"),
		"Forbidden (403)": apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s",
			errors.New("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: hunter2 is weak")),
		`cannot patch resource "secrets" in API group "" in the namespace "shop"`: apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "s",
			errors.New(`User "u" cannot patch resource "secrets" in API group "" in the namespace "shop": hunter2`)),
	}
	for says, err := range refusals {
		secret := &Step{Ref: ObjectRef{Kind: "Secret", Namespace: "shop", Name: "s"}}
		got := failed("dry-running", []*Step{secret}, []error{err}, "").Error()
		if strings.Contains(got, "hunter2") || !strings.Contains(got, says) || !strings.Contains(got, "Secret shop/s") {
			t.Errorf("error is %q", got)
		}
		other := &Step{Ref: ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "s"}}
		if got := failed("dry-running", []*Step{other}, []error{err}, "").Error(); !strings.Contains(got, "hunter2") {
			t.Errorf("a ConfigMap's error lost its cause: %q", got)
		}
	}
}

func TestFailedNamesAtMostTwenty(t *testing.T) {
	steps, errs := make([]*Step, 50), make([]error, 50)
	for i := range steps {
		steps[i] = &Step{Ref: ObjectRef{Kind: "ConfigMap", Name: "c"}}
		errs[i] = errors.New("no")
	}
	errs[7] = nil
	var f *Failures
	if err := failed("applying", steps, errs, ""); !errors.As(err, &f) || f.Total != 49 || len(f.List) != 20 || !strings.Contains(err.Error(), "and 29 more") {
		t.Errorf("failures are %v", f)
	}
	if err := failed("applying", steps, make([]error, 50), ""); err != nil {
		t.Errorf("no failure gives %v", err)
	}
}

func TestFailedHintsAtMissingRights(t *testing.T) {
	const user = "system:serviceaccount:shop:app"
	s := &Step{Ref: ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "c"}, resource: resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}}}
	missing := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "c", errors.New(`User "`+user+`" cannot patch`))
	err := failed("applying", []*Step{s}, []error{missing}, user)
	if !strings.Contains(err.Error(), "hint: grant "+user) || !strings.Contains(err.Error(), "configmaps in namespace shop") || !apierrors.IsForbidden(errors.Unwrap(err.(*Failures).List[0].Err)) {
		t.Errorf("error is %v", err)
	}
	quota := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "c", errors.New("exceeded quota"))
	if err := failed("applying", []*Step{s}, []error{quota}, user); strings.Contains(err.Error(), "hint") {
		t.Errorf("a quota is no missing right: %v", err)
	}
}

func TestTransient(t *testing.T) {
	resource := schema.GroupResource{Group: "apps", Resource: "deployments"}
	fields := apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.replicas",
		Message: `conflict with "kubectl" with subresource "scale" using apps/v1`}}, "Apply failed")
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"lost race", apierrors.NewConflict(resource, "d", errors.New("modified")), true},
		{"field managers", fields, false},
		{"too many", apierrors.NewTooManyRequests("slow down", 1), true},
		{"webhook down", apierrors.NewInternalError(errors.New("failed calling webhook")), true},
		{"misshapen", apierrors.NewInternalError(errors.New("failed to create typed patch object (a; b): .x: field not declared")), false},
		{"unavailable", apierrors.NewGenericServerResponse(http.StatusServiceUnavailable, "patch", resource, "d", "", 0, true), true},
		{"invalid", apierrors.NewInvalid(schema.GroupKind{}, "d", nil), false},
		{"not found", apierrors.NewNotFound(resource, "d"), false},
		{"other", errors.New("other"), false},
	} {
		if transient(test.err) != test.want {
			t.Errorf("%s: not %v", test.name, test.want)
		}
	}
	if got := conflicts(fields); len(got) != 1 || got[0] != (Takeover{Field: ".spec.replicas", Manager: "kubectl"}) {
		t.Errorf("conflicts are %v", got)
	}
}
