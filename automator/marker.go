package automator

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// markerKey, with its quotes, must be in a file for it to be looked at.
const markerKey = `"$imagepolicy"`

// part says which part of an image reference a marker sets.
type part string

const (
	partRef    part = "" // repository:tag
	partTag    part = "tag"
	partName   part = "name"
	partDigest part = "digest"
)

// marker is Flux's comment {"$imagepolicy": "NAMESPACE:NAME[:tag|:name|:digest]"}.
type marker struct {
	policy string // NAMESPACE:NAME
	part   part
}

// parseMarker reads a comment from its first # on. Whatever is not exactly a
// marker is a comment for people, and no error.
func parseMarker(comment string) (marker, bool) {
	if !strings.HasPrefix(comment, "#") {
		return marker{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(strings.TrimLeft(comment, "#")))
	var object map[string]any
	if decoder.Decode(&object) != nil {
		return marker{}, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return marker{}, false
	}
	for _, value := range object {
		if _, isString := value.(string); !isString {
			return marker{}, false
		}
	}
	value, _ := object["$imagepolicy"].(string)
	fields := strings.Split(value, ":")
	if len(fields) < 2 || len(fields) > 3 || fields[0] == "" || fields[1] == "" {
		return marker{}, false
	}
	m := marker{policy: fields[0] + ":" + fields[1]}
	if len(fields) == 3 {
		m.part = part(fields[2])
		if m.part != partTag && m.part != partName && m.part != partDigest {
			return marker{}, false
		}
	}
	return m, true
}

// isMarked says whether a file may hold markers, by its name and its bytes.
func isMarked(base string, data []byte) bool {
	return isTarget(base) && bytes.Contains(data, []byte(markerKey))
}

func isTarget(base string) bool {
	return strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml") || base == "Kustomization"
}
