package automator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sealift.dev/artifact"
	"sealift.dev/automator/choose"
	"sealift.dev/automator/registry"
)

// scansAtOnce is how many repositories are listed at a time; each host has a budget besides.
const scansAtOnce = 8

// scanned is what is known about the tags of one image.
type scanned struct {
	rule       string // that it was made with
	run        int    // of the automator, that it was made in
	at         time.Time
	candidates []choose.Candidate // best first
	collector  *choose.Collector  // nil after an error
	tags       int
	complete   bool            // every tag was seen, not only those that can be candidates
	asked      map[string]bool // tags in use that the list should have
	present    map[string]bool // those of them that it has
	none       error           // why there is no candidate
	err        error           // why the tags could not be listed
}

// scan brings what is known of the images up to date: of those that a hint named, whose list
// is too old, or whose rule is another. Images of one repository share one list.
func (a *Automator) scan(ctx context.Context, t *turn) {
	due := map[string][]followed{}
	for _, img := range t.settings.images {
		// The ledger's map is not for several goroutines, its entries are.
		entry := t.ledger.Image(img.policy, img.Image.Image)
		t.seen[img.policy] = func(tag string) time.Time { return entry.Seen(tag, t.now) }
		if a.isDue(img, t.now) {
			name := canonical(img.Image.Image)
			due[name] = append(due[name], img)
		}
	}
	var group errgroup.Group
	group.SetLimit(scansAtOnce)
	for name, images := range due {
		group.Go(func() error {
			a.scanRepository(ctx, t, name, images)
			return nil
		})
	}
	_ = group.Wait() // every failure is in a.scans
	for _, img := range t.settings.images {
		t.found[img.policy] = a.scans.get(img.policy)
	}
	a.scans.keep(t.settings)
}

func (a *Automator) isDue(img followed, now time.Time) bool {
	known := a.scans.get(img.policy)
	old := known.run < a.runs && (known.err != nil || now.Sub(known.at) >= a.opts.ScanEvery)
	return old || known.rule != ruleID(img) || a.scans.isHinted(img.Image.Image)
}

// ruleID tells two ways of choosing from each other.
func ruleID(img followed) string { return fmt.Sprintf("%s %#v", img.Image.Image, img.rule) }

// scanRepository lists one repository for all images of it.
func (a *Automator) scanRepository(ctx context.Context, t *turn, name string, images []followed) {
	hinted := a.scans.takeHint(name)
	found := make([]scanned, len(images))
	var wants []registry.Want
	for i, img := range images {
		found[i] = scanned{rule: ruleID(img), run: a.runs, at: t.now, asked: map[string]bool{}, present: map[string]bool{}}
		found[i].collector = img.order.Collect(choose.Options{Keep: t.keep(img), Seen: t.seen[img.policy]})
		if moving := img.order.Moving(); moving != "" {
			found[i].collector.Offer(moving) // its digest says whether it is there
			continue
		}
		wants = append(wants, registry.Want{Prefixes: img.order.Prefixes(), Offer: found[i].offer(t.spots[img.policy])})
	}
	var listing registry.Listing
	var err error
	if len(wants) > 0 {
		listing, err = a.opts.Registry.List(ctx, images[0].Image.Image, wants...)
	}
	for i, img := range images {
		found[i].finish(img, listing, err)
		if entry := t.ledger.Images[img.policy]; found[i].complete && img.rule.Newest {
			if problem := entry.Sweep(); problem != "" {
				found[i].none = errors.New(problem)
			}
		}
		a.scans.set(img.policy, found[i])
	}
	if err != nil && hinted {
		a.scans.hint(name) // what it told of has not been seen yet
	}
}

// keep is how many candidates of an image are worth keeping. Those that are too young, or that
// somebody holds, may be many, and the ones behind them are what is to be written.
func (t *turn) keep(img followed) int {
	const few, many = 32, 256
	if len(t.reading.holds.Holds) > 0 || img.MinimumAge.Duration > 0 {
		return many
	}
	return few
}

// offer takes the tags of a list, and notes those in use.
func (s scanned) offer(spots []spot) func(tag string) {
	for _, v := range spots {
		if v.tag != "" {
			s.asked[v.tag] = true
		}
	}
	return func(tag string) {
		if s.asked[tag] {
			s.present[tag] = true
		}
		s.collector.Offer(tag)
	}
}

// finish ranks what a list had, if all of it came.
func (s *scanned) finish(img followed, listing registry.Listing, err error) {
	if err != nil && img.order.Moving() == "" {
		s.err, s.collector = err, nil
		return
	}
	s.tags, s.complete = listing.Count, listing.Complete && img.order.Moving() == ""
	s.candidates, s.none = s.collector.Ranked()
	if errors.Is(s.none, choose.ErrNothing) {
		s.none = fmt.Errorf("nothing in %d tags matches %s", listing.Count, img.order)
	}
	if listing.Complete {
		return
	}
	prefixes := img.order.Prefixes()
	for tag := range s.asked {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(tag, p) }) {
			delete(s.asked, tag) // it was not listed
		}
	}
}

// canonical is one spelling for all of a repository's: nginx is docker.io/library/nginx.
func canonical(image string) string {
	address, err := artifact.ParseImage(image)
	if err != nil {
		return image
	}
	return strings.ToLower(address.Repository.String())
}

// Hint says that a repository of images may have new tags, or, with an empty image, that the
// Git branch may have moved. It reports whether that concerns this automator; the next Run
// looks. The spelling of the repository does not matter.
func (a *Automator) Hint(image string) bool {
	if image == "" {
		return true
	}
	if !a.scans.follows(image) {
		return false
	}
	a.opts.Registry.Hint(image)
	a.scans.hint(canonical(image))
	return true
}
