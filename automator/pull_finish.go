package automator

import (
	"context"
	"errors"

	"sealift.dev/automator/forge"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/remote"
)

// finish does what the step says on the forge, after the branch was pushed, and notes it.
func (p *pulls) finish(ctx context.Context, one *pull, l *ledger.Ledger) error {
	switch {
	case one.step.close:
		return p.close(ctx, one, l)
	case one.step.drop:
		return p.drop(ctx, one, l)
	case !one.step.keep:
		return nil
	}
	if one.step.push {
		one.tip = one.pending.ID()
		one.result.Action = one.step.action(one)
		one.proposed = written(one.group, one.tip, p.now)
	}
	if one.latest != nil && one.latest.State != forge.StateOpen {
		one.latest = nil
		one.result.Number, one.result.URL = 0, ""
	}
	err := p.ask(ctx, one)
	one.result.Commit = one.tip
	p.note(one, l)
	return err
}

// note keeps in the ledger what merging the request would write.
func (p *pulls) note(one *pull, l *ledger.Ledger) {
	if len(one.proposed) == 0 {
		return
	}
	if l.Requests == nil {
		l.Requests = map[string]ledger.Request{}
	}
	l.Requests[one.head] = ledger.Request{Number: one.result.Number, Commit: one.tip, Images: one.proposed}
}

// ask opens a request, or writes what has changed of its text.
func (p *pulls) ask(ctx context.Context, one *pull) error {
	if p.forge == nil {
		return nil // the push has asked
	}
	proposal, err := p.proposal(one)
	if err != nil {
		return err
	}
	if one.latest == nil {
		opened, err := p.forge.Create(ctx, proposal)
		if errors.Is(err, forge.ErrExists) {
			one.result.Reason = err.Error() // listings lag behind: the next pass sees it
			return nil
		}
		if err != nil {
			return err
		}
		one.result.Number, one.result.URL, one.result.Action = opened.Number, opened.URL, pullOpened
		one.result.Notes = opened.Notes
		return nil
	}
	if !rewrites(*one.latest, proposal, one.step.push) {
		return nil
	}
	one.result.Action = pullUpdated
	return p.forge.Update(ctx, *one.latest, proposal.Title, proposal.Body)
}

// close withdraws a request: a hold follows only from what a person closes, so the body says
// first that nobody did.
func (p *pulls) close(ctx context.Context, one *pull, l *ledger.Ledger) error {
	one.result.Action = pullClosed
	if p.forge != nil {
		if err := p.forge.Update(ctx, *one.latest, one.latest.Title, withdrawn(one.latest.Body)); err != nil {
			return err
		}
		if err := p.forge.Close(ctx, *one.latest, closingComment(one.step.reason)); err != nil {
			return err
		}
	}
	return p.drop(ctx, one, l)
}

// drop deletes a branch that nobody needs any more, if it still is where it was.
func (p *pulls) drop(ctx context.Context, one *pull, l *ledger.Ledger) error {
	delete(l.Requests, one.head)
	if one.tip == "" || !one.step.drop {
		return nil
	}
	err := p.git.Push(ctx, []remote.Update{{Ref: headsPrefix + one.head, Old: one.tip}}, remote.PushOptions{})
	if len(remote.Rejections(err)) > 0 {
		one.result.Reason = "the branch stays: " + err.Error()
		return nil
	}
	return err
}
