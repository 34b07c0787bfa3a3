package compare

import (
	"cmp"
	"slices"
)

// Report is how two releases differ.
type Report struct {
	Before       Side          `json:"before"`
	After        Side          `json:"after"`
	Different    bool          `json:"different"` // in any object of Environments
	Images       []Image       `json:"images"`
	Environments []Environment `json:"environments"` // all that were compared, sorted
}

// Side is one of the releases. Its texts are a stranger's unless Verified.
type Side struct {
	Reference string `json:"reference"`
	Verified  bool   `json:"verified"`
	Revision  string `json:"revision,omitempty"`
	Version   string `json:"version,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
}

// Image is an image name with what is written behind it; an empty side does not have it.
type Image struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Environment is a folder of the releases.
type Environment struct {
	Name    string   `json:"name"`
	Change  string   `json:"change,omitempty"` // Added, Removed, Changed; empty: nothing is different
	Objects []Object `json:"objects"`
}

// Finish fills in what follows from the rest, and sorts.
func (r *Report) Finish() {
	slices.SortFunc(r.Environments, func(a, b Environment) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After))
	})
	for i, e := range r.Environments {
		if e.Change == "" && len(e.Objects) > 0 {
			r.Environments[i].Change = Changed
		}
		r.Different = r.Different || r.Environments[i].Change != ""
	}
}

// Count is how many objects of e had a change.
func (e Environment) Count(change string) int {
	n := 0
	for _, o := range e.Objects {
		if o.Change == change {
			n++
		}
	}
	return n
}
