package edit

import (
	"bytes"
	"encoding/json"
	"io"
	"path"
	"strings"
)

const (
	// markerKey, with its quotes, must be in a file for it to be looked at.
	markerKey = `"$imagepolicy"`
	// holdKey is ours: Flux ignores what else is in the object.
	holdKey  = "$sealift"
	holdWord = "hold"
)

// MayHaveMarkers says that the markers of a file of this name count.
func MayHaveMarkers(name string) bool {
	base := path.Base(name)
	ext := path.Ext(base)
	return ext == ".yaml" || ext == ".yml" || base == "Kustomization"
}

// HasMarker says that a file's bytes may hold a marker; it costs one search.
func HasMarker(data []byte) bool { return bytes.Contains(data, []byte(markerKey)) }

// marker is Flux's comment {"$imagepolicy": "NAMESPACE:NAME[:tag|:name|:digest]"}.
type marker struct {
	policy  string // NAMESPACE:NAME
	part    Part
	hold    bool
	problem string // why what is behind holdKey makes no sense
}

// parseMarker reads a comment from its first # on. Whatever is not exactly a
// marker is a comment for people, and no error.
func parseMarker(comment string) (marker, bool) {
	if !strings.HasPrefix(comment, "#") {
		return marker{}, false
	}
	decoder := json.NewDecoder(strings.NewReader(strings.TrimLeft(comment, "#")))
	var object map[string]*string
	if decoder.Decode(&object) != nil {
		return marker{}, false
	}
	if _, err := decoder.Token(); err != io.EOF {
		return marker{}, false
	}
	for _, value := range object {
		if value == nil {
			return marker{}, false // null is no text
		}
	}
	value := ""
	if policy := object["$imagepolicy"]; policy != nil {
		value = *policy
	}
	fields := strings.Split(value, ":")
	if len(fields) < 2 || len(fields) > 3 || fields[0] == "" || fields[1] == "" {
		return marker{}, false
	}
	m := marker{policy: fields[0] + ":" + fields[1], part: Ref}
	if len(fields) == 3 {
		m.part = Part(fields[2])
		if m.part != Tag && m.part != Name && m.part != Digest {
			return marker{}, false
		}
	}
	switch word, ok := object[holdKey]; {
	case ok && *word == holdWord:
		m.hold = true
	case ok:
		m.problem = `its marker has a "` + holdKey + `" that is not "` + holdWord + `"`
	}
	return m, true
}
