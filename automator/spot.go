package automator

import (
	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/gate"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/registry"
)

// spot is one place of an image in a file, together with what the file's other places of the
// image say: a tag and its digest may be two values.
type spot struct {
	path        string
	index       int // in the file's places
	place       edit.Place
	tag, digest string // empty: the file has none
	foreign     bool   // it is of another repository
	frozen      string // why people write it; empty: the automator does
}

// places are those of all images, in the order of files and lines.
func (t *turn) places() map[string][]spot {
	images := map[string]followed{}
	for _, img := range t.settings.images {
		images[img.policy] = img
	}
	found := map[string][]spot{}
	for _, path := range t.reading.paths {
		for policy, spots := range fileSpots(path, t.reading.files[path], images) {
			found[policy] = append(found[policy], spots...)
		}
	}
	return found
}

func fileSpots(path string, file *edit.File, images map[string]followed) map[string][]spot {
	found := map[string][]spot{}
	for i, place := range file.Places() {
		img, ok := images[place.Policy]
		if !ok || img.writes != nil && !img.writes(path) {
			continue // somebody else's
		}
		s := spot{path: path, index: i, place: place}
		repo, tag, digest := place.Current()
		s.tag, s.digest = tag, digest
		s.foreign = place.Part == edit.Ref && repo != "" && !registry.Same(repo, img.Image.Image)
		found[place.Policy] = append(found[place.Policy], s)
	}
	for _, spots := range found {
		pair(spots)
	}
	return found
}

// pair tells places of a tag which digest is theirs, and the other way round: by their order,
// where there are as many of both, else the first one's.
func pair(spots []spot) {
	var tags, digests []int
	for i, s := range spots {
		switch s.place.Part {
		case edit.Tag:
			tags = append(tags, i)
		case edit.Digest:
			digests = append(digests, i)
		}
	}
	if len(tags) == 0 || len(digests) == 0 {
		return
	}
	partner := func(n int, of []int, all int) int {
		if len(of) == all {
			return of[n]
		}
		return of[0]
	}
	for n, i := range tags {
		spots[i].digest = spots[partner(n, digests, len(tags))].digest
	}
	for n, i := range digests {
		spots[i].tag = spots[partner(n, tags, len(digests))].tag
	}
}

// hasTag says that the automator compares what is here with what is new.
func (s spot) hasTag() bool {
	return s.place.Part == edit.Tag || s.place.Part == edit.Ref
}

// has says that what was written is here; of a digest, that no other one is.
func (s spot) has(w hold.Written) bool {
	return s.tag == w.Tag && (s.digest == w.Digest || s.digest == "" || w.Digest == "")
}

// values are what hold.Judge compares with what was written last; which says whose they are.
func values(spots []spot) (values []hold.Value, which []int) {
	for i, s := range spots {
		if s.hasTag() {
			values = append(values, hold.Value{Path: s.path, Tag: s.tag, Digest: s.digest, Foreign: s.foreign, Held: s.place.Hold})
			which = append(which, i)
		}
	}
	return values, which
}

// current are the distinct values of the places that may be written.
func current(img followed, spots []spot) []gate.Value {
	var all []gate.Value
	seen := map[gate.Value]bool{}
	for _, s := range spots {
		v := gate.Value{Tag: s.tag, Digest: s.digest, Pinned: img.Pin != v1alpha1.PinNever}
		alone := s.place.Part == edit.Digest && s.tag == ""
		if s.frozen != "" || !s.hasTag() && !alone || seen[v] || s.digest != "" && !v.Pinned {
			continue
		}
		seen[v] = true
		all = append(all, v)
	}
	return all
}
