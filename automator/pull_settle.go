package automator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sealift.dev/automator/forge"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

// settle asks what people did with the requests of the groups, before anything is decided: what
// was merged was written, and what was closed is held. It returns the latest request of each
// branch, an open one before others. ByDigest says of which images a tag was to be pinned anew,
// and which are followed.
func (p *pulls) settle(ctx context.Context, tip string, l *ledger.Ledger, groups []string, byDigest func(policy, tag string) (anew, followed bool)) (map[string]forge.Request, error) {
	if p.forge == nil {
		return nil, nil
	}
	requests, err := p.forge.Find(ctx, p.base, p.headsOf(l, groups)...)
	if err != nil {
		return nil, err
	}
	latest := map[string]forge.Request{}
	for head, found := range requests {
		if len(found) == 0 {
			continue
		}
		latest[head] = found[0]
		if i := slices.IndexFunc(found, func(r forge.Request) bool { return r.State == forge.StateOpen }); i >= 0 {
			latest[head] = found[i]
		}
		entry, known := l.Requests[head]
		p.merged[head] = known && latest[head].State == forge.StateMerged && isAbout(entry, latest[head])
		for _, r := range found {
			if r.State == forge.StateMerged {
				break // what was closed before it is settled
			}
			if r.State == forge.StateClosed {
				p.refuse(l, r, proposed(&r, entry), byDigest)
			}
		}
		if latest[head].State == forge.StateClosed {
			delete(l.Requests, head)
		}
	}
	return latest, p.noteMerged(ctx, tip, l)
}

// noteMerged counts what was merged as written. A base that moved since tip was read is a
// *remote.RejectedError: what was merged is not in what was read, and would look reverted.
func (p *pulls) noteMerged(ctx context.Context, tip string, l *ledger.Ledger) error {
	for head, merged := range p.merged {
		if !merged {
			delete(p.merged, head)
		}
	}
	if len(p.merged) == 0 {
		return nil
	}
	refs, err := p.git.Refs(ctx, headsPrefix+p.base)
	if err != nil {
		return err
	}
	if refs[headsPrefix+p.base] != tip {
		return &remote.RejectedError{Ref: headsPrefix + p.base, Reason: "the branch has moved on"}
	}
	for head := range p.merged {
		for policy, w := range l.Requests[head].Images {
			entryOf(l, policy).Wrote(w)
		}
		delete(l.Requests, head)
	}
	return nil
}

// headsOf are the branches of the groups, and of requests in the ledger.
func (p *pulls) headsOf(l *ledger.Ledger, groups []string) []string {
	all := slices.Collect(maps.Keys(l.Requests))
	for _, name := range groups {
		all = append(all, headOf(p.rules.Branch, name))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), 2*maxGroups)]
}

// isAbout says that a ledger's entry is of this request, as far as it knows.
func isAbout(entry ledger.Request, r forge.Request) bool {
	return entry.Number == r.Number || entry.Number == 0
}

// refuse holds what a person closed. The hold is from when the request was closed, so that a
// later release lifts it also if the ledger was lost; a hold that is there stays as it is.
func (p *pulls) refuse(l *ledger.Ledger, r forge.Request, images map[string]hold.Written, byDigest func(policy, tag string) (anew, followed bool)) {
	since := r.Closed.UTC().Truncate(time.Second)
	if since.IsZero() {
		since = p.now
	}
	for policy, w := range images {
		h := hold.Hold{Image: policy, Kind: hold.Closed, Reason: fmt.Sprintf("pull request %d", r.Number), Since: since}
		anew, followed := byDigest(policy, w.Tag)
		switch {
		case !followed:
			continue
		case !anew:
			h.Version = w.Tag
		case w.Digest != "":
			h.Digest = w.Digest
		default:
			continue // a tag that moves, without what it was
		}
		entry := entryOf(l, policy)
		if !slices.ContainsFunc(entry.Holds, func(o hold.Hold) bool {
			return o.Kind == h.Kind && o.Version == h.Version && o.Digest == h.Digest
		}) {
			entry.Holds = append(entry.Holds, h)
		}
	}
}

// entryOf is the ledger's entry for an image, whatever repository it is of.
func entryOf(l *ledger.Ledger, policy string) *ledger.Image {
	if i := l.Images[policy]; i != nil {
		return i
	}
	return l.Image(policy, "")
}
