package hold

import (
	"regexp"
	"strings"
	"time"
)

// Trailer is the key of the line in a commit's message that says what was written:
//
//	Sealift-Image: NAMESPACE:NAME TAG[@DIGEST]
const Trailer = "Sealift-Image"

// Commit is one of a history.
type Commit struct {
	ID      string // in hex
	Time    time.Time
	Message string
}

// Past is what a history says about images. The zero Past knows nothing.
type Past struct {
	written  map[string][]Written // newest first
	reverted map[string]bool      // ids of commits that were reverted, and not put back
}

// maxTrailers bounds what one commit's message is taken for.
const maxTrailers = 1000

// ReadHistory finds what the automator wrote, and what people reverted, in commits that are
// sorted newest first.
func ReadHistory(commits []Commit) Past {
	p := Past{written: map[string][]Written{}, reverted: map[string]bool{}}
	revert := regexp.MustCompile(`This reverts commit ([0-9a-f]{7,64})\b`)
	for _, c := range commits {
		if !p.Reverts(c.ID) { // a revert that was reverted does not count
			for _, m := range revert.FindAllStringSubmatch(c.Message, maxTrailers) {
				p.reverted[m[1]] = true
			}
		}
		for image, w := range trailers(c.Message) {
			w.Commit, w.At = c.ID, c.Time
			p.written[image] = append(p.written[image], w)
		}
	}
	return p
}

// Reverts says that a commit was reverted.
func (p Past) Reverts(id string) bool {
	if id == "" {
		return false
	}
	if p.reverted[id] {
		return true
	}
	for short := range p.reverted {
		if strings.HasPrefix(id, short) {
			return true
		}
	}
	return false
}

// last is the newest version that was written, which may not be the one that was written
// last: while it was held, a new file got an older one. Versions without an order: the last.
func (p Past) last(image string, compare Compare) []Written {
	all := p.written[full(image)]
	if len(all) == 0 {
		return nil
	}
	best := all[0]
	for _, w := range all[1:] {
		if order, ok := compare(w.Tag, best.Tag); ok && order > 0 {
			best = w
		}
	}
	return []Written{best}
}

// newest is what was written last.
func (p Past) newest(image string) (Written, bool) {
	all := p.written[full(image)]
	if len(all) == 0 {
		return Written{}, false
	}
	return all[0], true
}

// trailers are what the lines at the end of a message say.
func trailers(message string) map[string]Written {
	found := map[string]Written{}
	for line := range strings.Lines(message) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), Trailer+":")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || len(found) == maxTrailers {
			continue
		}
		tag, digest, _ := strings.Cut(fields[1], "@")
		found[full(fields[0])] = Written{Tag: tag, Digest: digest}
	}
	return found
}
