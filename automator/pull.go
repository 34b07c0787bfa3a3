package automator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/automator/forge"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

const (
	maxGroups = 100 // that have a pull request
	maxBehind = 200 // commits of the base among which a branch's parent is looked for
)

// What was done to a pull request.
const (
	pullOpened  = "opened"
	pullUpdated = "updated"
	pullClosed  = "closed"
	pullMerged  = "merged"
)

// pulls keeps one pull request per group.
type pulls struct {
	rules   v1alpha1.PullRequests
	titled  *template   // nil: by the headline
	forge   forge.Forge // nil: GitLab is asked by push options
	git     *remote.Repository
	author  remote.Author
	options []string // of each push
	base    string   // the branch that is merged into
	now     time.Time
	merged  map[string]bool // branches whose request was found merged in this pass
}

// pull is one group's, while it is brought up to date.
type pull struct {
	group
	head     string
	tip      string         // of head, in hex; empty: there is no such branch
	latest   *forge.Request // nil: there never was one, or nobody can be asked
	proposed map[string]hold.Written
	step     step
	pending  remote.Pending
	result   PullRequest
	err      error
}

// bring makes the branches anew from base where that changes something, and opens, renews and
// closes requests. It notes in l what is proposed. One group's trouble is not another's.
func (p *pulls) bring(ctx context.Context, base *remote.Snapshot, l *ledger.Ledger, latest map[string]forge.Request, groups []group) ([]PullRequest, error) {
	all, err := p.gather(ctx, l, latest, groups)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.err != nil {
			continue
		}
		facts, err := p.look(ctx, base, one, l)
		if err != nil {
			one.err = err
			continue
		}
		one.step = decidePull(facts)
		one.result.Reason = one.step.reason
		if one.step.push {
			one.pending, one.err = p.git.Commit(ctx, base, one.files, remote.Message{Author: p.author, Text: one.message})
		}
	}
	if err := p.push(ctx, all); err != nil {
		return nil, err
	}
	var results []PullRequest
	var errs []error
	for _, one := range all {
		if one.err == nil {
			one.err = p.finish(ctx, one, l)
		}
		if one.err != nil {
			one.err = fmt.Errorf("the pull request of %s: %w", one.head, one.err)
			one.result.Reason = one.err.Error()
		}
		errs = append(errs, one.err)
		if one.worthTelling() {
			results = append(results, one.result)
		}
	}
	return results, errors.Join(errs...)
}

// worthTelling leaves out groups that have no open request, and nothing happened to.
func (one *pull) worthTelling() bool {
	return one.latest != nil && one.latest.State == forge.StateOpen || one.result.Action != "" || one.result.Reason != ""
}

// gather lists the groups, and those that are gone but have a request in the ledger.
func (p *pulls) gather(ctx context.Context, l *ledger.Ledger, latest map[string]forge.Request, groups []group) ([]*pull, error) {
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("there are %d groups, more than the %d that may have a pull request", len(groups), maxGroups)
	}
	var all []*pull
	for _, g := range groups {
		all = append(all, &pull{group: g, head: headOf(p.rules.Branch, g.name)})
	}
	for _, branch := range slices.Sorted(maps.Keys(l.Requests)) {
		if strings.HasPrefix(branch, p.rules.Branch) && !slices.ContainsFunc(all, func(o *pull) bool { return o.head == branch }) && len(all) < 2*maxGroups {
			all = append(all, &pull{head: branch})
		}
	}
	var names []string
	for _, one := range all {
		names = append(names, headsPrefix+one.head)
	}
	if len(names) == 0 {
		return nil, nil
	}
	refs, err := p.git.Refs(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		switch {
		case one.head == p.base:
			one.err = errors.New("it is the branch that is merged into; hint: another automate.pullRequests.branch, or group")
		case ledger.Takes(headsPrefix + one.head):
			one.err = errors.New("it is the ledger's branch; hint: another automate.pullRequests.branch, or group")
		}
		one.tip = refs[headsPrefix+one.head]
		one.result = PullRequest{Group: one.name, Branch: one.head}
		if r, ok := latest[one.head]; ok {
			one.latest = &r
			one.result.Number, one.result.URL, one.result.Commit = r.Number, r.URL, r.HeadCommit
			if p.merged[one.head] {
				one.result.Action = pullMerged
			}
		}
		one.proposed = proposed(one.latest, l.Requests[one.head])
	}
	return all, nil
}

// look compares a branch with what it should hold.
func (p *pulls) look(ctx context.Context, base *remote.Snapshot, one *pull, l *ledger.Ledger) (pullFacts, error) {
	f := pullFacts{
		exists: one.tip != "", wanted: len(one.files) > 0,
		open:  one.latest != nil && one.latest.State == forge.StateOpen || p.forge == nil && one.tip != "",
		asked: p.forge != nil,
	}
	f.rejected = one.latest != nil && one.latest.State == forge.StateClosed
	f.waiting, f.ended = standing(one.proposed, one.group)
	if !f.exists {
		return f, nil
	}
	commits, err := p.git.History(ctx, one.tip, 1)
	if err != nil {
		return f, err
	}
	if len(commits) != 1 {
		return f, fmt.Errorf("its commit %s cannot be read", one.tip)
	}
	f.own = one.tip == l.Requests[one.head].Commit || isOurs(commits[0], p.author)
	if f.own && f.wanted {
		f.same, err = p.same(ctx, base, one, commits[0])
	}
	return f, err
}

// same says that the branch already is what it would be made: the same message, and the same
// content of the files that are written, on a commit that the base has.
func (p *pulls) same(ctx context.Context, base *remote.Snapshot, one *pull, tip remote.Commit) (bool, error) {
	if len(tip.Parents) != 1 || !sameText(tip.Message, one.message) {
		return false, nil
	}
	branch, err := p.git.Snapshot(ctx, one.tip)
	if err != nil {
		return false, err
	}
	for path, content := range one.files {
		blob, err := branch.Find(path)
		if err != nil {
			return false, err
		}
		if blob != remote.BlobID(content) {
			return false, nil
		}
	}
	if tip.Parents[0] == base.Tip() {
		return true, nil
	}
	behind, err := p.git.History(ctx, base.Tip(), maxBehind)
	if err != nil {
		return false, err
	}
	// Not there: the base was rewritten, and a merge would bring back what was taken out.
	return slices.ContainsFunc(behind, func(c remote.Commit) bool { return c.ID == tip.Parents[0] }), nil
}

// push moves all branches in one request, or one by one where each has options of its own. It
// fails with a *remote.RejectedError where somebody else moved one at the same time.
func (p *pulls) push(ctx context.Context, all []*pull) error {
	var moving []*pull
	for _, one := range all {
		if one.step.push && one.err == nil {
			moving = append(moving, one)
		}
	}
	if p.forge != nil {
		return p.pushTogether(ctx, moving, p.options)
	}
	for _, one := range moving {
		one.proposed = written(one.group, one.pending.ID(), p.now)
		proposal, err := p.proposal(one)
		if err != nil {
			one.err = err
			continue
		}
		if err := p.pushTogether(ctx, []*pull{one}, slices.Concat(p.options, forge.PushOptions(proposal))); err != nil {
			return err
		}
	}
	return nil
}

func (p *pulls) pushTogether(ctx context.Context, moving []*pull, options []string) error {
	if len(moving) == 0 {
		return nil
	}
	var updates []remote.Update
	for _, one := range moving {
		updates = append(updates, remote.Update{Ref: headsPrefix + one.head, Old: one.tip, New: one.pending})
	}
	err := p.git.Push(ctx, updates, remote.PushOptions{Options: options})
	rejected := rejections(err)
	if err != nil && len(rejected) == 0 {
		return err
	}
	for _, one := range moving {
		why := rejected[headsPrefix+one.head]
		if why == nil {
			continue
		}
		if refs, err := p.git.Refs(ctx, why.Ref); err != nil || refs[why.Ref] != one.tip {
			return errors.Join(why, err)
		}
		one.err = fmt.Errorf("%s; hint: nobody else moved it, so check the server's hooks and branch protection", why)
	}
	return nil
}
