package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of one list of tags.
const (
	maxTags  = 200_000
	maxPages = 2_000
	pageTags = 1_000 // asked for; a registry may give fewer
)

// Listing is how a list of tags came about.
type Listing struct {
	Count     int  // tags that were offered
	Invalid   int  // names that no tag can have, which were not
	Complete  bool // every tag was offered, not only those with the prefixes
	Unchanged bool // the registry says that it is as it was the last time; it is offered all the same
	Requests  int  // for pages
}

// Want is what one image wants of a repository's list.
type Want struct {
	// Prefixes: tags that begin with none of them may be left out. Nil: none may.
	Prefixes []string
	// Offer gets tags in the registry's order, from one goroutine. It asks no registry.
	Offer func(tag string)
}

// Tags hands every tag of a repository to offer, or at least those that begin with one of
// prefixes. After an error what was offered is not the list, and is to be thrown away.
func (c *Client) Tags(ctx context.Context, repo string, prefixes []string, offer func(tag string)) (Listing, error) {
	return c.List(ctx, repo, Want{Prefixes: prefixes, Offer: offer})
}

// List is Tags for several images of one repository, which share one list. Lists of one
// repository are made one after another.
func (c *Client) List(ctx context.Context, repo string, wants ...Want) (Listing, error) {
	r, err := c.repository(repo)
	if err != nil {
		return Listing{}, fmt.Errorf("listing tags: %w", err)
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return Listing{}, context.Cause(ctx)
	}
	l := &lister{c: c, r: r, unchanged: true}
	listing, err := l.list(ctx, wants)
	if err != nil {
		return listing, fmt.Errorf("listing tags of %s: %w", repo, err)
	}
	return listing, nil
}

// lister makes one list.
type lister struct {
	c         *Client
	r         *repository
	requests  int
	unchanged bool
}

// list asks for parts where that is known to be enough, and otherwise, or where the parts
// are not what an ordered list holds, for everything.
func (l *lister) list(ctx context.Context, wants []Want) (Listing, error) {
	prefixes := prefixesOf(wants)
	if spans := l.r.known().spans(prefixes, l.c.now()); spans != nil {
		found, err := l.parts(ctx, spans)
		if err == nil && found.any(prefixes) {
			for _, tag := range found.tags {
				if ctx.Err() != nil {
					return Listing{Requests: l.requests}, ctx.Err()
				}
				offerAll(wants, tag)
			}
			return Listing{Count: len(found.tags), Invalid: found.invalid, Unchanged: l.unchanged, Requests: l.requests}, nil
		}
		if stops(err) {
			return Listing{Requests: l.requests}, err
		}
		l.r.learn(order{failed: l.c.now()})
		l.unchanged = true
	}
	return l.whole(ctx, wants)
}

// whole reads the list from its beginning to its end, and learns its order.
func (l *lister) whole(ctx context.Context, wants []Want) (Listing, error) {
	w := &walk{ascending: true, named: true}
	query, seen := "n="+strconv.Itoa(pageTags), map[[sha256.Size]byte]bool{}
	for pages := 0; ; pages++ {
		if pages == maxPages {
			return l.listing(w, false), fmt.Errorf("there are more than %d pages of tags", maxPages)
		}
		p, err := l.page(ctx, query, func(tag string) error {
			// A costly policy may take longer over a page than the registry does.
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.take(tag, wants)
		})
		if err != nil && !(w.probing && isRefusal(err)) {
			return l.listing(w, false), err
		}
		next := w.next(p)
		if next == "" {
			l.r.learn(w.order(l.c.now(), l.r.known().failed))
			return l.listing(w, true), nil
		}
		at := sha256.Sum256([]byte(next))
		if seen[at] {
			return l.listing(w, false), errors.New("the registry's next page is one that it has given before")
		}
		seen[at], query = true, next
	}
}

func (l *lister) listing(w *walk, complete bool) Listing {
	return Listing{Count: w.count, Invalid: w.invalid, Complete: complete, Unchanged: complete && l.unchanged, Requests: l.requests}
}

// walk is the way through a whole list.
type walk struct {
	count, invalid int
	last           string   // tag
	ascending      bool     // every tag comes after the one before
	named          bool     // every next link names the last tag of its page
	probing        bool     // the last page was full and had no next link
	ended          bool     // by a page that repeats what was there
	fences         []string // last tags of pages, as long as it is in order
}

// order is what the whole list teaches.
func (w *walk) order(now, failed time.Time) order {
	if !w.ascending || !w.named {
		return order{failed: failed}
	}
	return order{lexical: true, fences: w.fences, at: now, failed: failed}
}

// take offers one tag.
func (w *walk) take(tag string, wants []Want) error {
	if w.probing && tag <= w.last {
		w.ended = true // it does not know of last, and there is nothing more
	}
	if w.ended {
		return nil
	}
	w.probing = false
	w.ascending = w.ascending && (tag > w.last || w.count+w.invalid == 0)
	w.last = tag
	if !isTag(tag) {
		w.invalid++
	} else {
		w.count++
		offerAll(wants, tag)
	}
	if w.count+w.invalid > maxTags {
		return fmt.Errorf("there are more than %d tags", maxTags)
	}
	return nil
}

// isRefusal says that a registry does not answer to a question that need not have been asked.
func isRefusal(err error) bool {
	var answer *StatusError
	return errors.Is(err, errNullTags) || errors.As(err, &answer) && answer.Status >= 400 && answer.Status < 500
}

// next is the query for the page behind p; empty: p was the last. Some registries cut a list
// off without a next link: a page that is full is followed by a question for more.
func (w *walk) next(p page) string {
	probed := w.probing
	w.probing = false
	if !probed {
		w.fences = append(w.fences, w.last)
	}
	switch {
	case w.ended || probed:
		return ""
	case p.next != "":
		w.named = w.named && lastOf(p.next) == w.last
		return p.next
	case p.count >= pageTags && w.ascending:
		w.probing = true
		return after(w.last)
	}
	return ""
}

// found are the tags of parts of a list.
type found struct {
	tags    []string
	invalid int
}

var errUnordered = errors.New("the list is not in order")

// parts reads spans. It gathers before it offers: what turns out to be unordered is nobody's.
func (l *lister) parts(ctx context.Context, spans []span) (found, error) {
	var f found
	last, pages, more := "", 0, true
	for _, s := range spans {
		from := max(s.after, last)
		for ; more && !(last != "" && s.ends(last)); from = last {
			if pages++; pages > maxSpanPages {
				return found{}, errUnordered
			}
			at := from
			p, err := l.page(ctx, after(from), func(tag string) error {
				if tag <= at {
					return errUnordered
				}
				at = tag
				f.take(tag)
				return nil
			})
			if err != nil {
				return found{}, err
			}
			if p.next != "" && (p.count == 0 || lastOf(p.next) != at) {
				return found{}, errUnordered
			}
			last, more = at, p.next != "" || p.count >= pageTags
		}
	}
	return f, nil
}

func (f *found) take(tag string) {
	if isTag(tag) {
		f.tags = append(f.tags, tag)
	} else {
		f.invalid++
	}
}

// any says that there is a tag that begins with one of prefixes.
func (f *found) any(prefixes []string) bool {
	return slices.ContainsFunc(f.tags, func(tag string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(tag, prefix) })
	})
}

// stops says that an error in one part is none of the order, and that asking for the whole
// list would not help, or would ask a busy host for more.
func stops(err error) bool {
	var rest *RestError
	return errors.As(err, &rest) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// prefixesOf are those of all wants; nil where one wants everything.
func prefixesOf(wants []Want) []string {
	var all []string
	for _, w := range wants {
		if w.Prefixes == nil {
			return nil
		}
		all = append(all, w.Prefixes...)
	}
	return all
}

func offerAll(wants []Want, tag string) {
	for _, w := range wants {
		w.Offer(tag)
	}
}

// after is the query for what comes behind a tag.
func after(tag string) string {
	query := url.Values{"n": {strconv.Itoa(pageTags)}}
	if tag != "" {
		query.Set("last", tag)
	}
	return query.Encode()
}

func lastOf(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return values.Get("last")
}
