// Package hostile lists what strangers may send, and tests that it bounces: each
// vector has a benign twin, which differs in the hostile bit only and passes, and is
// read by a process of its own.
package hostile

// Vector is a hostile input and the test that holds it.
type Vector struct {
	Section string
	Name    string // what is hostile
	Held    string // FOLDER TestName, or FOLDER TestName/NAME IN ITS TABLE
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

// tests are the sections' tests in this package.
func tests() [][2]string {
	return [][2]string{
		{Manifests, "TestManifests"}, {Referrers, "TestReferrers"}, {Signatures, "TestSignatures"}, {Order, "TestOrder"},
		{Archives, "TestArchives"}, {YAML, "TestYAML"}, {Access, "TestAccess"},
	}
}

// Vectors is the list. It is a beginning, not the end of what will be tried.
func Vectors() []Vector {
	var all []Vector
	for _, t := range tests() {
		section, test := t[0], t[1]
		for _, name := range here(section) {
			all = append(all, Vector{section, name, "test/hostile " + test + "/" + name})
		}
		for _, v := range elsewhere(section) {
			all = append(all, Vector{section, v[0], v[1]})
		}
	}
	return all
}
