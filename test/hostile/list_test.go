package hostile

import (
	"slices"
	"testing"
)

// checkNames says which vectors of a section are not run, and which are not listed.
func checkNames(t *testing.T, section string, run []string) {
	t.Helper()
	var listed []string
	for _, v := range Vectors() {
		if v.Section == section && v.Held == "" {
			listed = append(listed, v.Name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(run, name) {
			t.Errorf("nothing runs %q", name)
		}
	}
	for i, name := range run {
		if !slices.Contains(listed, name) || slices.Contains(run[:i], name) {
			t.Errorf("%q is not in the list of %s, or runs twice", name, section)
		}
	}
}
