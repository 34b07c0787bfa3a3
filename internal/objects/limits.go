// Package objects reads and writes Kubernetes objects as YAML or JSON. It reads
// scalars as Kubernetes does, and nothing without a bound.
package objects

import "errors"

// ErrLimit is under every error about input that is larger than a limit.
var ErrLimit = errors.New("over the limit")

// File is a file of a release or of a Git commit.
type File struct {
	Path string // relative, with slashes
	Data []byte
}

// Limits bounds what Decode reads. The zero value refuses everything.
type Limits struct {
	Documents int   // YAML documents, and objects after lists are flattened
	Document  int64 // bytes of one document, aliases expanded
	Values    int   // values of one document, as nodesAtMost counts
	Depth     int   // levels of nesting
	Total     int64 // bytes of all files
	AllValues int   // values of all files, counted so: what they cost in memory
}

// DefaultLimits is what both the publisher and the synchronizer use, so that
// what was published can be read.
func DefaultLimits() Limits {
	return Limits{
		Documents: 20_000,
		Document:  4 << 20,
		Values:    300_000,
		Depth:     100,
		Total:     16 << 20,
		AllValues: 1_000_000,
	}
}
