package flux

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
)

// What is read of Flux's objects. Fields that an older version lacks are dropped for it.

type repositorySpec struct {
	Image         string      `json:"image"`
	ExclusionList []string    `json:"exclusionList"`
	Insecure      bool        `json:"insecure"` // since v1beta2
	Suspend       bool        `json:"suspend"`
	AccessFrom    *accessFrom `json:"accessFrom"`
}

type accessFrom struct {
	NamespaceSelectors []struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"namespaceSelectors"`
}

type policySpec struct {
	ImageRepositoryRef struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"imageRepositoryRef"`
	Policy struct {
		Semver *struct {
			Range string `json:"range"`
		} `json:"semver"`
		Alphabetical *orderSpec `json:"alphabetical"`
		Numerical    *orderSpec `json:"numerical"`
	} `json:"policy"`
	FilterTags struct {
		Pattern string `json:"pattern"`
		Extract string `json:"extract"`
	} `json:"filterTags"`
	DigestReflectionPolicy v1alpha1.PinMode `json:"digestReflectionPolicy"` // since v1beta2
	Suspend                bool             `json:"suspend"`
}

type orderSpec struct {
	Order string `json:"order"`
}

// or is the order, asc where none is given.
func (o *orderSpec) or() string {
	if o.Order == "" {
		return "asc"
	}
	return o.Order
}

type automationSpec struct {
	SourceRef struct {
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"sourceRef"`
	Git struct {
		Checkout struct {
			Ref struct {
				Branch string `json:"branch"`
				Tag    string `json:"tag"`
				Semver string `json:"semver"`
				Commit string `json:"commit"`
				Name   string `json:"name"`
			} `json:"ref"`
		} `json:"checkout"`
		Commit struct {
			Author                *v1alpha1.CommitAuthor `json:"author"`
			MessageTemplate       string                 `json:"messageTemplate"`
			MessageTemplateValues map[string]string      `json:"messageTemplateValues"` // since v1beta2
			SigningKey            any                    `json:"signingKey"`
		} `json:"commit"`
		Push struct {
			Branch  string            `json:"branch"`
			Refspec string            `json:"refspec"`
			Options map[string]string `json:"options"` // since v1beta2
		} `json:"push"`
	} `json:"git"`
	PolicySelector *metav1.LabelSelector `json:"policySelector"` // since v1beta2
	Update         struct {
		Strategy string `json:"strategy"`
		Path     string `json:"path"`
	} `json:"update"`
	Suspend bool `json:"suspend"`
}

type kustomizationSpec struct {
	Path            string `json:"path"`
	TargetNamespace string `json:"targetNamespace"`
}
