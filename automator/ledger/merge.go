package ledger

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sealift.dev/automator/hold"
)

// Merge makes one ledger of two that were written at once, in either order. Both were honest:
// of one tag with one digest the earlier sighting counts; where they saw different digests the
// tag has moved, and the later one counts. Holds are those of both.
func Merge(a, b *Ledger) *Ledger {
	out := &Ledger{Images: map[string]*Image{}, Requests: map[string]Request{}}
	for _, l := range []*Ledger{a, b} {
		if l == nil {
			continue
		}
		for policy, i := range l.Images {
			if known := out.Images[policy]; known != nil {
				i = mergeImages(known, i)
			}
			out.Images[policy] = i
		}
		for branch, r := range l.Requests {
			if known, ok := out.Requests[branch]; !ok || r.Number > known.Number {
				out.Requests[branch] = r
			}
		}
	}
	return out
}

func mergeImages(a, b *Image) *Image {
	out := &Image{Repo: a.Repo, Count: max(a.Count, b.Count), ByTime: a.ByTime || b.ByTime, Shrunk: later(a.Shrunk, b.Shrunk)}
	out.Written = mergeWritten(a.Written, b.Written)
	out.Holds = mergeHolds(a.Holds, b.Holds)
	if a.Repo != b.Repo {
		return out // whose sightings count is not known, so none do
	}
	out.Tags = maps.Clone(a.Tags)
	for tag, s := range b.Tags {
		if known, ok := out.Tags[tag]; ok {
			s = mergeSightings(known, s)
		}
		if out.Tags == nil {
			out.Tags = map[string]Sighting{}
		}
		out.Tags[tag] = s
	}
	return out
}

func mergeSightings(a, b Sighting) Sighting {
	if a.Digest != "" && b.Digest != "" && a.Digest != b.Digest {
		if a.First.After(b.First) || a.First.Equal(b.First) && a.Digest > b.Digest {
			return a
		}
		return b
	}
	if b.First.Before(a.First) {
		a.First = b.First
	}
	a.Digest, a.Signed = cmp.Or(a.Digest, b.Digest), later(a.Signed, b.Signed)
	return a
}

// mergeWritten takes for each file what was written to it later.
func mergeWritten(a, b []hold.Written) []hold.Written {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y hold.Written) int {
		if order := x.At.Compare(y.At); order != 0 {
			return order
		}
		return writtenOrder(x, y)
	})
	var i Image
	for _, w := range all {
		if w.Paths == nil { // of every file that is not named
			i.Written = slices.DeleteFunc(i.Written, func(o hold.Written) bool { return o.Paths == nil })
			i.Written = append(i.Written, w)
			continue
		}
		i.Wrote(w)
	}
	return i.Written
}

// mergeHolds is the union; of two about the same versions the earlier date stays, and the
// wider range.
func mergeHolds(a, b []hold.Hold) []hold.Hold {
	out := slices.Clone(a)
	for _, h := range b {
		i := slices.IndexFunc(out, func(o hold.Hold) bool {
			return o.Kind == h.Kind && o.UpTo == h.UpTo && o.Above == h.Above && o.Version == h.Version && o.Digest == h.Digest
		})
		switch {
		case i < 0:
			out = append(out, h)
		case h.Since.Before(out[i].Since):
			out[i] = h
		}
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
