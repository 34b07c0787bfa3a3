package v1alpha1

import (
	"bytes"
	"encoding/json"
)

// ConfigFile is the name of the configuration file at the root of a Git repository.
const ConfigFile = "sealift.yaml"

// Config is the content of sealift.yaml. It is never a cluster object.
// +kubebuilder:object:generate=false
type Config struct {
	APIVersion string `json:"apiVersion"` // sealift.dev/v1alpha1
	Kind       string `json:"kind"`       // Config

	// Publish lists the releases that this repository makes.
	Publish []Publish `json:"publish,omitempty"`
	// ImagePaths says where objects beside the built-in workloads name images.
	ImagePaths []ImagePath `json:"imagePaths,omitempty"`
	// Automate says which images are kept up to date in this repository.
	Automate *Automate `json:"automate,omitempty"`
}

// Publish is one release.
// +kubebuilder:object:generate=false
type Publish struct {
	// To is where the release goes: oci://HOST/REPOSITORY.
	To string `json:"to"`
	// Environments maps the name of an environment to what it is rendered from.
	Environments map[string]Environment `json:"environments"`
}

// ImagePath says where objects of one kind name container images.
// +kubebuilder:object:generate=false
type ImagePath struct {
	// APIVersion is GROUP/VERSION, or GROUP alone for all its versions.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Paths lead to strings: spec.image, spec.containers[*].image.
	Paths []string `json:"paths"`
}

// Environment is what an environment is rendered from: a folder or a Helm chart. In
// YAML, the path of a folder alone stands for {folder: PATH}.
// +kubebuilder:object:generate=false
type Environment struct {
	// Folder of the repository: a kustomization, or plain YAML and JSON.
	Folder string `json:"folder,omitempty"`
	// Helm is a chart and its values.
	Helm *Helm `json:"helm,omitempty"`
}

// Helm is a chart and its values, as helm template takes them.
// +kubebuilder:object:generate=false
type Helm struct {
	// Chart is a folder of the repository, or oci://HOST/REPOSITORY@sha256:DIGEST.
	Chart string `json:"chart"`
	// Release is .Release.Name. Default: the environment's name.
	Release string `json:"release,omitempty"`
	// Namespace is .Release.Namespace. Default: default.
	Namespace string `json:"namespace,omitempty"`
	// Values are files of the repository; of two, the later goes before.
	Values []string `json:"values,omitempty"`
	// Set maps paths as --set has them to values; it goes before the files.
	Set map[string]any `json:"set,omitempty"`
	// IncludeCRDs takes the chart's crds/ folders along. Default: true.
	IncludeCRDs *bool `json:"includeCRDs,omitempty"`
	// NoHooks leaves out objects that are hooks: nothing would run them.
	NoHooks bool `json:"noHooks,omitempty"`
	// KubeVersion is .Capabilities.KubeVersion. Default: 1.36.0.
	KubeVersion string `json:"kubeVersion,omitempty"`
	// APIVersions are added to .Capabilities.APIVersions.
	APIVersions []string `json:"apiVersions,omitempty"`
}

// UnmarshalJSON reads a folder's path, or an object whose fields are all known.
func (e *Environment) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*e = Environment{}
		return json.Unmarshal(data, &e.Folder)
	}
	type plain Environment // without this method
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode((*plain)(e))
}

// MarshalJSON writes a folder as its path.
func (e Environment) MarshalJSON() ([]byte, error) {
	if e.Helm == nil {
		return json.Marshal(e.Folder)
	}
	type plain Environment
	return json.Marshal(plain(e))
}
