// Package tailor makes of the objects of a release what one cluster shall have of
// them: decrypted, patched, in another namespace, with values for variables.
package tailor

// Options say what differs from the release. The zero value changes nothing.
type Options struct {
	// Decryption holds private keys by the name of their Secret's entry: NAME.agekey
	// or NAME.asc. Nil decrypts nothing.
	Decryption map[string][]byte
	Patches    []Patch
	// TargetNamespace replaces the namespace of all namespaced objects.
	TargetNamespace string
	// Substitute says that variables are replaced at all; Variables are their values.
	Substitute bool
	Variables  map[string]string
}

// Patch is a strategic merge patch or a JSON patch (RFC 6902), and what it is for.
type Patch struct {
	Patch  string
	Target *Target
}

// Target selects objects as kustomize's selector does; what is empty selects all.
type Target struct {
	Group, Version, Kind, Name, Namespace string
	LabelSelector, AnnotationSelector     string
}
