package automator

import (
	"fmt"
	"maps"
	"slices"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/edit"
	"sealift.dev/automator/gate"
	"sealift.dev/automator/registry"
)

// write is one value that is to be written.
type write struct {
	path   string
	index  int // in the file's places
	group  string
	change Change
	// loose values hold a tag without its digest: it may move before it is read.
	loose bool
}

// writes are the values to be written, in the order of files and lines, and why others stay
// as they are.
func (t *turn) writes() ([]write, []Note) {
	var writes []write
	var notes []Note
	for _, img := range t.settings.images {
		d := t.decided[img.policy]
		for _, s := range d.spots {
			w, reason := d.write(img, s)
			switch {
			case reason != "":
				notes = append(notes, Note{File: s.path, Line: s.place.Line, Image: img.policy, Reason: reason})
			case w.change.New != "" && w.change.New != s.place.Value:
				writes = append(writes, w)
			}
		}
	}
	slices.SortStableFunc(writes, func(a, b write) int {
		return compareAt(a.path, a.change.Line, b.path, b.change.Line)
	})
	return writes, notes
}

// write is what one place gets: nothing, or the reason why it stays.
func (d decided) write(img followed, s spot) (write, string) {
	switch {
	case s.frozen != "" && s.place.Problem != "":
		return write{}, s.place.Problem
	case s.frozen != "":
		return write{}, s.frozen
	case d.err != nil || !d.decision.Found:
		return write{}, "" // reported once, with the image
	}
	choice, reason := d.decision.For(s.tag)
	switch candidate := d.decision.Candidate; {
	case s.place.Part == edit.Name: // it goes with any tag
	case slices.Contains(candidate.Tags, s.tag), s.digest != "" && img.Pin == v1alpha1.PinNever:
		if choice.Tag == "" {
			choice = gate.Choice{Tag: candidate.Spelling(s.tag), Digest: s.digest} // it is up to date
		}
	case reason != "":
		return write{}, reason
	}
	wanted := edit.Image{Policy: img.policy, Repo: img.Image.Image, Tag: choice.Tag}
	if repo, _, _ := s.place.Current(); repo != "" && registry.Same(repo, img.Image.Image) {
		wanted.Repo = repo // its spelling stays
	}
	if img.Pin != v1alpha1.PinNever {
		wanted.Digest = choice.Digest
	}
	if img.Pin == v1alpha1.PinIfNotPresent && choice.Tag == s.tag && s.digest != "" {
		wanted.Digest = s.digest // it is asked for once for each tag
	}
	text, reason := s.place.Text(wanted)
	if reason != "" {
		return write{}, reason
	}
	w := write{path: s.path, index: s.index, group: img.Group, loose: wanted.Digest == ""}
	w.change = Change{File: s.path, Line: s.place.Line, Image: img.policy, Part: string(s.place.Part), Old: s.place.Value, New: text}
	if s.place.Part != edit.Name {
		w.change.Tag, w.change.Digest = choice.Tag, wanted.Digest
	}
	return w, ""
}

// edited is a set of files with new contents.
type edited struct {
	files   map[string][]byte
	changes []Change
}

// apply makes the edits of the groups that are asked for. A file that cannot be edited safely
// becomes a note, and stays as it is.
func (t *turn) apply(writes []write, groups ...string) (edited, []Note) {
	values := map[string]map[int]string{}
	for _, w := range writes {
		if !slices.Contains(groups, w.group) {
			continue
		}
		if values[w.path] == nil {
			values[w.path] = map[int]string{}
		}
		values[w.path][w.index] = w.change.New
	}
	out := edited{files: map[string][]byte{}}
	var notes []Note
	for _, path := range slices.Sorted(maps.Keys(values)) {
		data, err := t.reading.files[path].Set(values[path])
		if err != nil {
			notes = append(notes, Note{File: path, Reason: err.Error()})
			continue
		}
		out.files[path] = data
	}
	for _, w := range writes {
		if _, ok := out.files[w.path]; ok && slices.Contains(groups, w.group) {
			out.changes = append(out.changes, w.change)
		}
	}
	return out, notes
}

// groups are the edits of each group on the base alone, in the order of sealift.yaml; those of
// groups without edits have no files. What cannot be edited is noted.
func (t *turn) groups(writes []write) []group {
	var groups []group
	for _, name := range t.groupNames() {
		out, notes := t.apply(writes, name)
		t.notes = append(t.notes, notes...)
		groups = append(groups, group{name: name, files: out.files, changes: out.changes})
	}
	return groups
}

// reports sum up what became of each image.
func (t *turn) reports() []ImageReport {
	reports := make([]ImageReport, 0, len(t.settings.images))
	for _, img := range t.settings.images {
		found, d := t.found[img.policy], t.decided[img.policy]
		r := ImageReport{
			Name: img.policy, Image: img.Image.Image, Group: img.Group, Source: img.source, Tags: found.tags,
			Until: d.decision.Until, Err: found.err,
		}
		if r.Err == nil {
			r.Err = d.err
		}
		for _, refusal := range d.decision.Refusals {
			r.Refusals = append(r.Refusals, Refusal{Tag: refusal.Tag, Gate: string(refusal.Gate), Reason: refusal.Reason})
		}
		for _, h := range d.holds {
			r.Holds = append(r.Holds, h.String())
		}
		if d.decision.Found {
			choice, _ := d.decision.For("")
			r.Tag, r.Digest, r.Signers, r.Findings = d.decision.Candidate.Tag(), choice.Digest, choice.Signers, choice.Findings
		} else if len(d.spots) == 0 && len(found.candidates) > 0 {
			r.Tag = found.candidates[0].Tag()
		}
		r.Reason = d.reason(found, img)
		reports = append(reports, r)
	}
	return reports
}

// reason says why nothing of an image can have changed; empty: it may have.
func (d decided) reason(found scanned, img followed) string {
	switch {
	case found.err != nil:
		return found.err.Error()
	case d.err != nil:
		return d.err.Error()
	case found.none != nil:
		return found.none.Error()
	case len(d.spots) == 0 && img.writes != nil:
		return fmt.Sprintf("no ImageUpdateAutomation takes it, or no file below its update.path has the marker # {\"$imagepolicy\": %q}", img.policy)
	case len(d.spots) == 0:
		return fmt.Sprintf("no file has its marker # {\"$imagepolicy\": %q}, and it has no targets", img.policy)
	case !d.decision.Found && len(d.decision.Refusals) > 0:
		return d.decision.Why()
	}
	return ""
}

func compareAt(path string, line int, other string, otherLine int) int {
	switch {
	case path < other:
		return -1
	case path > other:
		return 1
	}
	return line - otherLine
}
