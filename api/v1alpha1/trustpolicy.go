package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/verify/policy"
)

// TrustPolicy says whose signatures let a release into the cluster. Every
// policy that matches a Delivery must pass.
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=sealift
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Repositories",type=string,JSONPath=`.spec.match.repositories`
// +kubebuilder:printcolumn:name="AtLeast",type=integer,JSONPath=`.spec.require.atLeast`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TrustPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec policy.Policy `json:"spec"`
}

// TrustPolicyList is a list of TrustPolicies.
// +kubebuilder:object:root=true
type TrustPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []TrustPolicy `json:"items"`
}
