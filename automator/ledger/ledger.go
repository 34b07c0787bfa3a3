// Package ledger is what the automator remembers between passes: when it saw a tag first,
// what it wrote last, how long a list of tags was. It is one small JSON document, kept in Git.
package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sealift.dev/automator/hold"
)

// File is where the ledger is, in a commit without parents.
const File = "ledger.json"

// Ref is where the ledger of one branch is kept: what was written to another says nothing.
func Ref(branch string) string { return "refs/sealift/state/" + flat(branch) }

// Branch stands in for Ref where the server refuses that.
func Branch(branch string) string { return branches + "/" + flat(branch) }

const branches = "refs/heads/sealift/state"

// Takes says that no other branch may be called ref: ledgers are there, or below.
func Takes(ref string) bool { return ref == branches || strings.HasPrefix(ref, branches+"/") }

// flat lets a ledger that outlives its branch be in nobody's way: Git has no a/b beside a.
func flat(branch string) string { return strings.ReplaceAll(branch, "/", "%2F") }

// Limits of a ledger.
const (
	MaxBytes  = 1 << 20
	maxImages = 2_000
	maxTags   = 256   // sightings of one image; the newest stay
	maxNewest = 5_000 // of one that is ordered by them
	maxHolds  = 32    // of one image; the newest stay
	maxPaths  = 5_000 // of one image; beyond, what was written counts for every file
)

// Ledger is the whole of it. The zero Ledger is of a repository that no automator has seen.
type Ledger struct {
	Images map[string]*Image // by NAMESPACE:NAME
	// Requests are the pull requests that are open as far as is known, by their branch.
	Requests map[string]Request
}

// Image is what is remembered of one image.
type Image struct {
	// Repo is the repository that Tags and Count are of.
	Repo string `json:"repo,omitempty"`
	// Tags are sightings, by tag.
	Tags map[string]Sighting `json:"tags,omitempty"`
	// ByTime says that Tags order the image (newest): they are kept together, or not at all.
	ByTime bool `json:"byTime,omitempty"`
	// Count is how many tags the last complete list had, roughly: it follows growth in
	// steps of an eighth, so that a new tag alone is no news.
	Count int `json:"count,omitempty"`
	// Shrunk is since when lists are much shorter than Count; zero: they are not.
	Shrunk time.Time `json:"shrunk,omitzero"`
	// Written is what was written last; each file is in one of them at most.
	Written []hold.Written `json:"written,omitempty"`
	// Holds are the automatic ones.
	Holds []hold.Hold `json:"holds,omitempty"`

	met map[string]bool // tags that Seen was asked about
}

// Sighting is when the automator met a tag.
type Sighting struct {
	// First is when it saw the tag first, or saw that it has moved to Digest.
	First time.Time
	// Digest is what the tag was when that was asked first: sha256:HEX; empty: it never was.
	Digest string
	// Signed is the verified time of the signatures of Digest; zero: there is none.
	Signed time.Time
}

// Born is what ages count from: the verified time, else the first sighting.
func (s Sighting) Born() time.Time {
	if !s.Signed.IsZero() {
		return s.Signed
	}
	return s.First
}

// Request is a pull request that the automator opened.
type Request struct {
	Number int64  `json:"number,omitempty"`
	Commit string `json:"commit"` // that the automator pushed to the branch last, in hex
	// Images is what merging it would write, by NAMESPACE:NAME.
	Images map[string]hold.Written `json:"images,omitempty"`
}

// Knows says that there is an entry for an image: its history need not be read.
func (l *Ledger) Knows(policy string) bool { return l.Images[policy] != nil }

// Image is the entry for an image. It is made if there is none, and loses its sightings and
// its count if they are of another repository.
func (l *Ledger) Image(policy, repo string) *Image {
	if l.Images == nil {
		l.Images = map[string]*Image{}
	}
	i := l.Images[policy]
	if i == nil {
		i = &Image{}
		l.Images[policy] = i
	}
	if i.Repo != repo {
		i.Repo, i.Tags, i.Count, i.Shrunk = repo, nil, 0, time.Time{}
	}
	return i
}

// Learn notes sightings. One of another digest than the known one replaces it, since the tag
// has moved; otherwise the earlier time stays.
func (i *Image) Learn(sightings map[string]Sighting) {
	if i.Tags == nil && len(sightings) > 0 {
		i.Tags = map[string]Sighting{}
	}
	for tag, s := range sightings {
		s.First, s.Signed = s.First.UTC().Truncate(time.Second), s.Signed.UTC().Truncate(time.Second)
		if known, ok := i.Tags[tag]; ok {
			s = s.after(known)
		}
		i.Tags[tag] = s
	}
}

// after is s, learned when known was.
func (s Sighting) after(known Sighting) Sighting {
	if known.Digest != "" && s.Digest != known.Digest {
		return s
	}
	if known.First.Before(s.First) {
		s.First = known.First
	}
	if s.Signed.Before(known.Signed) {
		s.Signed = known.Signed
	}
	return s
}

// Seen is when a tag came, for an order by time. A tag never met came now, and is noted.
func (i *Image) Seen(tag string, now time.Time) time.Time {
	if i.met == nil {
		i.met = map[string]bool{}
	}
	i.ByTime, i.met[tag] = true, true
	if _, ok := i.Tags[tag]; !ok {
		i.Learn(map[string]Sighting{tag: {First: now}})
	}
	return i.Tags[tag].Born()
}

// Sweep forgets the sightings that Seen was not asked about since the ledger was read. It is
// for the end of a complete list, and says why tags cannot be ordered by time: there are too
// many to be remembered.
func (i *Image) Sweep() (problem string) {
	if i.ByTime {
		maps.DeleteFunc(i.Tags, func(tag string, _ Sighting) bool { return !i.met[tag] })
	}
	if len(i.Tags) > maxNewest {
		return fmt.Sprintf("%d tags are more than the %d that newest can order; hint: narrow match", len(i.Tags), maxNewest)
	}
	return ""
}

// Wrote notes what was written to w.Paths. A file is nowhere else then, and versions that were
// held and are older than this one are passed: hold.Judge ends those.
func (i *Image) Wrote(w hold.Written) {
	w.At = w.At.UTC().Truncate(time.Second)
	w.Paths = slices.Compact(slices.Sorted(slices.Values(w.Paths)))
	var kept []hold.Written
	for _, old := range i.Written {
		if w.Paths == nil {
			break
		}
		if old.Paths != nil {
			old.Paths = slices.DeleteFunc(slices.Clone(old.Paths), func(p string) bool { return slices.Contains(w.Paths, p) })
			if len(old.Paths) == 0 {
				continue
			}
		}
		kept = append(kept, old)
	}
	i.Written = append(kept, w)
}

// Listed notes how many tags a complete list had. It is asked after gate.Decide.
func (i *Image) Listed(count int, shrunk bool, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	switch {
	case shrunk && i.Shrunk.IsZero():
		i.Shrunk = now
	case shrunk:
	default:
		i.Shrunk = time.Time{}
		if count < i.Count || count > i.Count+i.Count/8 {
			i.Count = count
		}
	}
}
