package render

import (
	"bytes"
	"fmt"
	"path"
)

// checkConflict refuses a file in which Git has left a merge conflict. Seven equals
// signs alone underline a heading in many texts, also in those that a helper of a chart
// defines, but nothing in YAML and JSON.
func checkConflict(p string, data []byte) error {
	manifest := false
	switch path.Ext(p) {
	case ".yaml", ".yml", ".json":
		manifest = true
	}
	for line := 1; len(data) > 0; line++ {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte("\n"))
		marker := marker(bytes.TrimSuffix(text, []byte("\r")))
		if marker == "" || marker == between && !manifest {
			continue
		}
		return fmt.Errorf("%q line %d is a conflict marker of Git (%s): the merge was committed before it was done", p, line, marker)
	}
	return nil
}

const between = "======="

// marker is how a line begins that Git writes around a conflict, or empty.
func marker(line []byte) string {
	const length = 7
	if len(line) < length {
		return ""
	}
	switch begin := string(line[:length]); begin {
	case "<<<<<<<", ">>>>>>>", "|||||||":
		if len(line) == length || line[length] == ' ' {
			return begin
		}
	case between:
		if len(line) == length {
			return begin
		}
	}
	return ""
}
