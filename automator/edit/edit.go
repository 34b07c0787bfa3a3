// Package edit writes image references into text files, byte for byte: YAML values with
// Flux's markers, values at a path in YAML, JSON and TOML, and what a regular expression
// finds in anything else. It is pure: it reads no files and no registry.
package edit

// Part says what of an image reference a place holds.
type Part string

// The parts of an image reference.
const (
	Ref    Part = "" // REPOSITORY:TAG, or REPOSITORY:TAG@DIGEST where the image is pinned
	Tag    Part = "tag"
	Name   Part = "name" // the repository
	Digest Part = "digest"
)

// Place is a value in a file that belongs to an image.
type Place struct {
	Policy  string // NAMESPACE:NAME
	Part    Part
	Line    int    // from 1
	Value   string // as it is now, unquoted
	Hold    bool   // the marker says {"$sealift": "hold"}
	Problem string // why it cannot be edited; empty: it can
}
