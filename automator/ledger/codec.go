package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"sealift.dev/automator/hold"
	"sealift.dev/internal/strict"
)

const version = 1

// document is the JSON of a ledger.
type document struct {
	Version  int                `json:"version"`
	Images   map[string]*Image  `json:"images"`
	Requests map[string]Request `json:"requests,omitempty"`
}

// Parse reads a ledger. Any error means that it is lost, and to be begun anew: cool-downs start
// again, and holds are made again from the history.
func Parse(data []byte) (*Ledger, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("reading the ledger: it has %d bytes, more than %d", len(data), MaxBytes)
	}
	var d document
	err := strict.Unmarshal(data, &d)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		d = document{}
		err = decoder.Decode(&d)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	if d.Version != version {
		return nil, fmt.Errorf("reading the ledger: its version is %d, and only %d is known", d.Version, version)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return &Ledger{Images: d.Images, Requests: d.Requests}, nil
}

func (d document) check() error {
	if n := max(len(d.Images), len(d.Requests)); n > maxImages {
		return fmt.Errorf("it has %d images or pull requests, more than %d", n, maxImages)
	}
	for policy, i := range d.Images {
		if i == nil {
			return fmt.Errorf("image %.100q is null", policy)
		}
		if err := i.check(); err != nil {
			return fmt.Errorf("image %.100q: %w", policy, err)
		}
	}
	return nil
}

// MarshalText is the first sighting, the digest and the verified time on one line, as many as
// are known; a dash stands for a digest that is not.
func (s Sighting) MarshalText() ([]byte, error) {
	line := stamp(s.First)
	switch {
	case !s.Signed.IsZero():
		line += " " + cmp.Or(s.Digest, "-") + " " + stamp(s.Signed)
	case s.Digest != "":
		line += " " + s.Digest
	}
	return []byte(line), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *Sighting) UnmarshalText(line []byte) error {
	var err error
	fields := strings.Split(string(line), " ")
	if s.First, err = parseStamp(fields[0]); err != nil || len(fields) > 3 {
		return fmt.Errorf("%.100q is no sighting", line)
	}
	if len(fields) > 1 && fields[1] != "-" {
		s.Digest = fields[1]
	}
	if len(fields) > 2 {
		s.Signed, err = parseStamp(fields[2])
	}
	return err
}

func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

func parseStamp(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err
}

// check holds an image against the limits that Encode keeps.
func (i *Image) check() error {
	paths := 0
	for _, w := range i.Written {
		paths += len(w.Paths)
	}
	switch {
	case len(i.Tags) > maxNewest:
		return fmt.Errorf("it has %d tags, more than %d", len(i.Tags), maxNewest)
	case len(i.Holds) > maxHolds:
		return fmt.Errorf("it has %d holds, more than %d", len(i.Holds), maxHolds)
	case paths > maxPaths:
		return fmt.Errorf("it has %d files, more than %d", paths, maxPaths)
	case i.Count < 0:
		return errors.New("its count is negative")
	}
	for tag, s := range i.Tags {
		if s.First.IsZero() {
			return fmt.Errorf("tag %.100q was seen at no time", tag)
		}
	}
	for _, h := range i.Holds {
		if h.Kind != hold.Reverted && h.Kind != hold.Closed {
			return fmt.Errorf("a hold is of kind %.100q", h.Kind)
		}
	}
	return nil
}

// Encode gives the same bytes for the same state. What does not fit into MaxBytes is left out:
// sightings first, which makes cool-downs longer; then files, so that what was written last
// counts for every file of the image; then all but the newest holds.
func (l *Ledger) Encode() ([]byte, error) {
	for _, b := range []bounds{
		{maxTags, maxPaths, maxHolds}, {64, maxPaths, maxHolds}, {16, 500, maxHolds}, {0, 50, maxHolds}, {0, 0, maxHolds}, {0, 0, 4},
	} {
		data, err := l.encode(b)
		if err != nil {
			return nil, fmt.Errorf("writing the ledger: %w", err)
		}
		if len(data) <= MaxBytes {
			return data, nil
		}
	}
	return nil, fmt.Errorf("writing the ledger: %d images and %d pull requests do not fit into %d bytes", len(l.Images), len(l.Requests), MaxBytes)
}

// bounds are how much one image may have.
type bounds struct{ tags, paths, holds int }

func (l *Ledger) encode(b bounds) ([]byte, error) {
	d := document{Version: version, Images: map[string]*Image{}, Requests: l.Requests}
	for policy, i := range l.Images {
		d.Images[policy] = i.within(b)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(d)
	return out.Bytes(), err
}

// within is a copy in the order of the encoding, and not larger than b.
func (i *Image) within(b bounds) *Image {
	c := *i
	c.met = nil
	switch {
	case c.ByTime && (b.tags == 0 || len(c.Tags) > maxNewest):
		c.Tags = nil // a part of them would make old tags new
	case !c.ByTime && len(c.Tags) > b.tags:
		c.Tags = latest(c.Tags, b.tags)
	}
	c.Written = written(c.Written, b.paths)
	c.Holds = slices.Clone(c.Holds)
	slices.SortStableFunc(c.Holds, func(a, b hold.Hold) int { return a.Since.Compare(b.Since) })
	c.Holds = c.Holds[max(0, len(c.Holds)-b.holds):]
	slices.SortFunc(c.Holds, holdOrder)
	return &c
}

// latest keeps the n tags that were seen last.
func latest(tags map[string]Sighting, n int) map[string]Sighting {
	names := slices.SortedFunc(maps.Keys(tags), func(a, b string) int {
		return cmp.Or(tags[b].First.Compare(tags[a].First), cmp.Compare(b, a))
	})
	kept := map[string]Sighting{}
	for _, name := range names[:n] {
		kept[name] = tags[name]
	}
	return kept
}

// written sorts, and gives up telling files apart if there are too many.
func written(all []hold.Written, most int) []hold.Written {
	all = slices.Clone(all)
	slices.SortFunc(all, writtenOrder)
	paths := 0
	for _, w := range all {
		paths += len(w.Paths)
	}
	if paths <= most {
		return all
	}
	last := slices.MaxFunc(all, func(a, b hold.Written) int {
		return cmp.Or(a.At.Compare(b.At), writtenOrder(a, b))
	})
	last.Paths = nil
	return []hold.Written{last}
}

func writtenOrder(a, b hold.Written) int {
	return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Commit, b.Commit),
		a.At.Compare(b.At), slices.Compare(a.Paths, b.Paths))
}

func holdOrder(a, b hold.Hold) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.UpTo, b.UpTo), cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Digest, b.Digest), a.Since.Compare(b.Since))
}

// News says that l holds something that old lacks, or the other way round, and that is worth a
// commit: not how long a list is.
func (l *Ledger) News(old *Ledger) bool {
	return !reflect.DeepEqual(l.essence(), old.essence())
}

// essence is what the encoding would tell, without what is no news.
func (l *Ledger) essence() document {
	d := document{Images: map[string]*Image{}, Requests: map[string]Request{}}
	if l == nil {
		return d
	}
	maps.Copy(d.Requests, l.Requests)
	for policy, i := range l.Images {
		c := i.within(bounds{maxTags, maxPaths, maxHolds})
		c.Count, c.Repo, c.ByTime = 0, "", false
		if len(c.Tags) == 0 {
			c.Tags = nil
		}
		if !reflect.DeepEqual(*c, Image{}) {
			d.Images[policy] = c
		}
	}
	return d
}

// Retain forgets the sightings and counts of images that are not configured any more. What was
// written and is held stays, in case they come back.
func (l *Ledger) Retain(configured []string) {
	for policy, i := range l.Images {
		if slices.Contains(configured, policy) {
			continue
		}
		if len(i.Written) == 0 && len(i.Holds) == 0 || len(l.Images) > maxImages {
			delete(l.Images, policy)
			continue
		}
		i.Tags, i.Count, i.Shrunk, i.ByTime = nil, 0, time.Time{}, false
	}
}
