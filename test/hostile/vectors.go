// Package hostile lists what strangers may send, and tests that it bounces: each
// vector with a benign twin that passes, read by a process of its own.
package hostile

// Vector is a hostile input and the test that holds it.
type Vector struct {
	Section string
	// Name says what is hostile.
	Name string
	// Held is the test that holds it, "FOLDER TestName" or "FOLDER TestName/part of
	// its table"; empty: the section's test in this package, as a subtest of Name.
	Held string
}

// Sections of the list, in its order.
const (
	Manifests  = "manifests and layers"
	Referrers  = "referrers"
	Signatures = "signatures"
	Order      = "order"
	Archives   = "archives"
	YAML       = "YAML and objects"
	Access     = "registry authentication"
)

// Vectors is the list. It is a beginning, not the end of what will be tried.
func Vectors() []Vector {
	var all []Vector
	for _, section := range []struct {
		name  string
		here  []string
		other [][2]string // name, test
	}{
		{Manifests, manifests(), elsewhereManifests()},
		{Referrers, referrers(), nil},
		{Signatures, signatures(), elsewhereSignatures()},
		{Order, nil, elsewhereOrder()},
		{Archives, archives(), nil},
		{YAML, yamls(), elsewhereYAML()},
		{Access, accesses(), elsewhereAccess()},
	} {
		for _, name := range section.here {
			all = append(all, Vector{Section: section.name, Name: name})
		}
		for _, v := range section.other {
			all = append(all, Vector{Section: section.name, Name: v[0], Held: v[1]})
		}
	}
	return all
}
