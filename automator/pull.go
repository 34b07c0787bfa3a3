package automator

import (
	"context"
	"errors"
)

// requestPulls brings one pull request per group up to date: branches are made anew from the
// base that t read, requests are opened, renewed and closed. What the ledger has to learn goes
// to t.ledger; it is pushed by the caller.
func (a *Automator) requestPulls(ctx context.Context, t *turn, groups []group) ([]PullRequest, error) {
	return nil, errors.New("pull requests are not there yet")
}
