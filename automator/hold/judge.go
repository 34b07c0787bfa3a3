package hold

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Written is what the automator wrote, as the ledger or a commit's trailers tell.
type Written struct {
	Tag    string    `json:"tag"`
	Digest string    `json:"digest,omitempty"` // sha256:HEX; empty: it was not pinned
	Commit string    `json:"commit,omitempty"` // in hex
	At     time.Time `json:"at,omitzero"`
	// Paths are the files it was written to, sorted. Nil: all that have the image.
	Paths []string `json:"paths,omitempty"`
}

// Value is what a place at the tip holds now.
type Value struct {
	Path        string // of the file
	Tag, Digest string // empty: it has none, or the place holds the other alone
	Foreign     bool   // it is of another repository than the image's
	Held        bool   // its marker says {"$sealift": "hold"}
}

// Question is all that decides about one image.
type Question struct {
	Image   string // NAMESPACE:NAME
	Values  []Value
	Written []Written // by the ledger
	// Past is what the history says; it is consulted where the ledger knows nothing.
	Past Past
	// Stored are the automatic holds in the ledger.
	Stored []Hold
	// Explicit are .sealift/images.yaml's entries; zero: there is no such file.
	Explicit File
	// Freeze holds everything once something was reverted.
	Freeze  bool
	Moving  string // the tag whose digest is followed; empty: versions are
	Compare Compare
	Now     time.Time
}

// Outcome is what is held.
type Outcome struct {
	// Holds are in force: those by hand first, then automatic ones.
	Holds []Hold
	// Store are the automatic holds that the ledger keeps, those released by hand included.
	Store []Hold
	// Frozen says which of Values nobody but a person may write, and why.
	Frozen map[int]string
	// Written is what the ledger keeps of Question.Written: files that moved or were copied
	// are in it under their names of now, and what only the history knew as well.
	Written []Written
}

// Judge compares what is there with what was written last.
func Judge(q Question) Outcome {
	q.Now = q.Now.UTC().Truncate(time.Second) // as releases are written
	q.Written = q.caughtUp()
	o := Outcome{Frozen: map[int]string{}}
	var found []Hold
	kept := keep(q)
	for i, v := range q.Values {
		last, known := q.last(v)
		kept.take(v, last, known)
		if why := q.frozen(v, last, known); why != "" {
			o.Frozen[i] = why
		}
		if known && !v.Held && !v.Foreign {
			found = append(found, q.reverted(v, last)...)
		}
	}
	for _, h := range q.Stored {
		if h.Image == "" {
			h.Image = q.Image
		}
		if !q.ended(h, o.Frozen) {
			o.Store = append(o.Store, h)
		}
	}
	for _, h := range found {
		o.Store = q.add(o.Store, h)
	}
	o.Holds = q.Explicit.InForce(q.Image, o.Store, q.Now)
	o.Written = kept.written
	return o
}

// caughtUp is Written with what the history knows better: a newer value that is the last one
// written by its trailers was pushed by a pass that ended before the ledger was.
func (q Question) caughtUp() []Written {
	newest, ok := q.Past.newest(q.Image)
	if !ok {
		return q.Written
	}
	var late []string
	for _, w := range q.Written {
		for _, v := range q.Values {
			of := w.Paths == nil || slices.Contains(w.Paths, v.Path)
			if order, ok := q.Compare(v.Tag, w.Tag); of && ok && order > 0 && w.Commit != newest.Commit && q.allAre(v.Path, newest.Tag) {
				late = append(late, v.Path)
			}
		}
	}
	if len(late) == 0 {
		return q.Written
	}
	slices.Sort(late)
	newest.Paths = slices.Compact(late)
	var all []Written
	for _, w := range q.Written {
		if w.Paths != nil {
			w.Paths = slices.DeleteFunc(slices.Clone(w.Paths), func(p string) bool { return slices.Contains(late, p) })
			if len(w.Paths) == 0 {
				continue
			}
		}
		all = append(all, w)
	}
	return append(all, newest)
}

// allAre says that each value of a file that is not left to people has this tag.
func (q Question) allAre(path, tag string) bool {
	return !slices.ContainsFunc(q.Values, func(v Value) bool {
		return v.Path == path && v.Tag != tag && !v.Held && !v.Foreign
	})
}

// last is what was written last to a value's file. A file that the ledger does not know is
// held against those that are gone, since it may be one of them under another name.
func (q Question) last(v Value) (Written, bool) {
	var gone []Written
	for _, w := range q.Written {
		if slices.Contains(w.Paths, v.Path) {
			return w, true
		}
		if w.Paths == nil || slices.ContainsFunc(w.Paths, func(p string) bool { return !q.has(p) }) {
			gone = append(gone, w)
		}
	}
	if len(q.Written) == 0 {
		gone = q.Past.last(q.Image, q.Compare)
	}
	return q.highest(gone)
}

func (q Question) has(path string) bool {
	return slices.ContainsFunc(q.Values, func(v Value) bool { return v.Path == path })
}

func (q Question) highest(all []Written) (Written, bool) {
	var best Written
	for i, w := range all {
		if order, ok := q.Compare(w.Tag, best.Tag); i == 0 || ok && order > 0 {
			best = w
		}
	}
	return best, len(all) > 0
}

// frozen says why a place is left to people; empty: it is not.
func (q Question) frozen(v Value, last Written, known bool) string {
	switch {
	case v.Held:
		return "its marker holds it"
	case v.Foreign:
		return "the value is of another repository; a person wrote it on purpose"
	case known && v.Tag == last.Tag, v.Tag == "" && v.Digest != "", q.Moving != "" && v.Tag == q.Moving:
		return ""
	}
	other := v.Tag
	if known {
		other = last.Tag
	}
	if _, ok := q.Compare(v.Tag, other); !ok {
		return fmt.Sprintf("%q cannot be compared with %s; a person wrote it on purpose", v.Tag, beside(v.Tag, other))
	}
	return ""
}

func beside(tag, other string) string {
	if tag == other {
		return "the image's versions"
	}
	return fmt.Sprintf("%q, which was written last", other)
}

// reverted is what follows from one value beside what was written last.
func (q Question) reverted(v Value, last Written) []Hold {
	h := Hold{Image: q.Image, Kind: Reverted, Everything: q.Freeze, Commit: last.Commit, Since: q.Now}
	if v.Tag == last.Tag || v.Tag == "" {
		if v.Digest == "" || last.Digest == "" || v.Digest == last.Digest {
			return nil
		}
		h.Digest = last.Digest
		return []Hold{h}
	}
	order, ok := q.Compare(v.Tag, last.Tag)
	switch {
	case ok && order < 0:
		h.Above, h.UpTo = v.Tag, last.Tag
	case q.Past.Reverts(last.Commit) && (!ok || order > 0):
		h.Version = last.Tag
	default:
		return nil
	}
	return []Hold{h}
}

// ended says that people took a held version after all, or went past it.
func (q Question) ended(h Hold, frozen map[int]string) bool {
	written := func(is func(Written) bool) bool {
		return len(q.Written) == 0 || slices.ContainsFunc(q.Written, is)
	}
	switch {
	case h.Kind == Explicit:
		return true // it is not the ledger's
	case h.Digest != "" && h.Kind == Closed: // it was never written: another one, or this, came since
		return slices.ContainsFunc(q.Written, func(w Written) bool { return w.At.After(h.Since) && w.Digest != "" }) ||
			slices.ContainsFunc(q.Values, func(v Value) bool { return v.Digest == h.Digest })
	case h.Digest != "":
		return !written(func(w Written) bool { return w.Digest == h.Digest }) ||
			slices.ContainsFunc(q.Values, func(v Value) bool { return v.Digest == h.Digest })
	case h.Kind == Reverted && h.UpTo == "":
		return !written(func(w Written) bool { return w.Tag == h.Version && w.Commit == h.Commit }) ||
			slices.ContainsFunc(q.Values, func(v Value) bool { return v.Tag == h.Version })
	}
	return q.passed(h.UpTo+h.Version, frozen)
}

// passed says that no value is older than tag, and one is as new.
func (q Question) passed(tag string, frozen map[int]string) bool {
	seen := false
	for i, v := range q.Values {
		if frozen[i] != "" {
			continue
		}
		if order, ok := q.Compare(v.Tag, tag); v.Tag != tag && (!ok || order < 0) {
			return false
		}
		seen = true
	}
	return seen
}

// add puts one hold beside others; of two about the same versions the earlier date stays.
func (q Question) add(all []Hold, h Hold) []Hold {
	for i, o := range all {
		if o.Kind != h.Kind || o.UpTo != h.UpTo || o.Version != h.Version || o.Digest != h.Digest {
			continue
		}
		if !o.Since.IsZero() && o.Since.Before(h.Since) {
			h.Since = o.Since
		}
		if order, ok := q.Compare(o.Above, h.Above); ok && order < 0 && o.Since.Equal(q.Now) {
			h.Above = o.Above // two files of one pass: the older value counts
		}
		all[i] = h
		return all
	}
	return append(all, h)
}

// InForce are the holds on an image: those by hand, and of the automatic ones in the ledger
// what was not released since.
func (f File) InForce(image string, stored []Hold, now time.Time) []Hold {
	var holds []Hold
	for _, e := range f.Holds {
		h := e.hold(Explicit)
		if same(e.Image, image) && !h.Over(now) {
			h.Image = full(image)
			holds = append(holds, h)
		}
	}
	for _, h := range stored {
		if h, ok := f.released(image, h); !ok {
			holds = append(holds, h)
		}
	}
	return holds
}

// released takes out of an automatic hold what people released since; ok: all of it.
func (f File) released(image string, h Hold) (left Hold, ok bool) {
	for _, r := range f.Releases {
		if !same(r.Image, image) || r.Since.Before(h.Since) {
			continue
		}
		if r.Version == "" {
			return h, true
		}
		h.Except = append(slices.Clone(h.Except), r.Version)
	}
	return h, false
}

// same takes shop for shop:shop.
func same(a, b string) bool { return full(a) == full(b) }

// FullName is NAMESPACE:NAME, also where NAME alone stands for both.
func FullName(image string) string { return full(image) }

func full(image string) string {
	if image == "" || strings.Contains(image, ":") {
		return image
	}
	return image + ":" + image
}
