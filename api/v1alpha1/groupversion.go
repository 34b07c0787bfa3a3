// Package v1alpha1 holds the types of the custom resources Delivery and
// TrustPolicy, and of the configuration file sealift.yaml.
// +kubebuilder:object:generate=true
// +groupName=sealift.dev
package v1alpha1

//go:generate go tool controller-gen object paths=./... paths=../../verify/policy/...
//go:generate go tool controller-gen crd paths=./... output:crd:artifacts:config=../../manifests/crds

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is sealift.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "sealift.dev", Version: "v1alpha1"}

// AddToScheme registers Delivery and TrustPolicy with s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Delivery{}, &DeliveryList{}, &TrustPolicy{}, &TrustPolicyList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
