package v1alpha1

// ConfigFile is the name of the configuration file at the root of a Git repository.
const ConfigFile = "sealift.yaml"

// Config is the content of sealift.yaml. It is never a cluster object.
// +kubebuilder:object:generate=false
type Config struct {
	APIVersion string `json:"apiVersion"` // sealift.dev/v1alpha1
	Kind       string `json:"kind"`       // Config

	// Publish lists the releases that this repository makes.
	Publish []Publish `json:"publish,omitempty"`
	// Automate says which images are kept up to date in this repository.
	Automate *Automate `json:"automate,omitempty"`
}

// Publish is one release.
// +kubebuilder:object:generate=false
type Publish struct {
	// To is where the release goes: oci://HOST/REPOSITORY.
	To string `json:"to"`
	// Environments maps the name of an environment to the folder it is rendered from.
	Environments map[string]string `json:"environments"`
}

// Automate is the automator's part of sealift.yaml.
// +kubebuilder:object:generate=false
type Automate struct {
	// Branch is read from and pushed to; a --branch flag goes before it.
	Branch string `json:"branch,omitempty"`
	// Images are the images to follow.
	Images []Image `json:"images,omitempty"`
}

// Image is one image to follow.
// +kubebuilder:object:generate=false
type Image struct {
	// Name is what markers call the image: {"$imagepolicy": "NAMESPACE:NAME"}.
	Name string `json:"name"`
	// Namespace is the marker's namespace. Default: the same as Name.
	Namespace string `json:"namespace,omitempty"`
	// Image is the repository without a tag: registry.example.com/apps/shop.
	Image string `json:"image"`
	// Select chooses among the tags.
	Select Select `json:"select"`
}

// Select chooses one tag.
// +kubebuilder:object:generate=false
type Select struct {
	// Semver is a range in Masterminds' grammar: ">=1.0.0 <2.0.0".
	Semver string `json:"semver"`
}
