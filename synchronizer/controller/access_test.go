package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
)

// secretsByName answers with Docker configurations that hold the Secret's name, and
// counts how often it was asked.
type secretsByName struct {
	client.Reader
	asked int
}

func (s *secretsByName) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.asked++
	into.(*corev1.Secret).Data = map[string][]byte{corev1.DockerConfigJsonKey: []byte(key.Name)}
	return nil
}

// TestAccessIsOfOneDelivery: what was read is kept for a generation of one Delivery, until
// a pass is requested; a namesake that takes its place begins anew, at the same generation.
func TestAccessIsOfOneDelivery(t *testing.T) {
	secrets := &secretsByName{}
	r := &reconciler{reader: secrets}
	for _, step := range []struct {
		uid        types.UID
		generation int64
		requested  string
		secret     string
		asked      int
	}{{"one", 1, "", "first", 1}, {"one", 1, "", "first", 1}, {"one", 1, "now", "changed", 2}, {"one", 2, "", "second", 3}, {"two", 2, "", "third", 4}} {
		d := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: step.uid, Generation: step.generation}}
		d.Spec.Source.SecretRef = &v1alpha1.SecretRef{Name: step.secret}
		d.Annotations = map[string]string{v1alpha1.RequestedAtAnnotation: step.requested}
		var source synchronizer.Source
		if err := r.identify(t.Context(), d, &source); err != nil {
			t.Fatal(err)
		}
		if string(source.DockerConfig) != step.secret || secrets.asked != step.asked {
			t.Errorf("%+v: got the credentials of %q after %d questions", step, source.DockerConfig, secrets.asked)
		}
	}
}

// TestAccessHelps: a registry that refuses, or does not show, brings the Secrets anew.
func TestAccessHelps(t *testing.T) {
	plain, certified := &v1alpha1.Delivery{}, &v1alpha1.Delivery{}
	certified.Spec.Source.CertSecretRef = &v1alpha1.SecretRef{Name: "tls"}
	for _, tt := range []struct {
		d    *v1alpha1.Delivery
		err  error
		want bool
	}{
		{plain, nil, false},
		{plain, errors.New("unhealthy"), false},
		{plain, fmt.Errorf("resolving: %w", artifact.ErrUnauthorized), true},
		{plain, fmt.Errorf("resolving: %w", artifact.ErrNotFound), true},
		{plain, fmt.Errorf("resolving: %w", artifact.ErrUnavailable), false},
		{certified, fmt.Errorf("resolving: %w", artifact.ErrUnavailable), true},
	} {
		if got := accessHelps(tt.d, tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}
