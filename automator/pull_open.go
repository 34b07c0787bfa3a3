package automator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"sealift.dev/automator/forge"
	"sealift.dev/automator/remote"
)

// Forge says how the API of pull requests is reached.
type Forge struct {
	// URL is the API's, whatever sealift.yaml says. Empty: that counts, on the host of the
	// Git repository only, since the token goes there.
	URL string
	// Token authenticates. Nil: Git's password. No token at all: GitLab is asked by push
	// options, and the others cannot be asked.
	Token func(context.Context) (string, error)
	// Transport carries the requests. Nil: one with time-outs that trusts the system's authorities.
	Transport http.RoundTripper
}

// openPulls prepares pull requests as sealift.yaml has them.
func (a *Automator) openPulls(ctx context.Context, t *turn) (*pulls, error) {
	p := &pulls{
		rules: *t.settings.pulls, titled: t.settings.title, git: a.git, author: a.author(t),
		options: t.settings.push.Options, base: t.branch, now: t.now, merged: map[string]bool{},
	}
	o := forge.Options{
		Provider: p.rules.Provider, Repo: a.opts.Repo, URL: a.opts.Forge.URL, Token: a.opts.Forge.Token,
		Transport: a.opts.Forge.Transport, PlainHTTP: a.opts.Git.PlainHTTP,
	}
	if o.URL == "" {
		o.URL, o.Confined = p.rules.URL, true
	}
	if o.Token == nil && a.opts.Git.Credentials != nil {
		o.Token = passwordOf(a.opts.Git.Credentials)
	}
	if known := a.forge; known.provider == o.Provider && known.url == o.URL && known.forge != nil {
		p.forge = known.forge
		return p, nil
	}
	token := ""
	if o.Token != nil {
		var err error
		if token, err = o.Token(ctx); err != nil {
			return nil, err
		}
	}
	if token == "" {
		if o.Provider == forge.GitLab || a.opts.DryRun {
			return p, nil
		}
		return nil, errors.New("there is no token for the API of pull requests; hint: set SEALIFT_FORGE_TOKEN")
	}
	opened, err := forge.Open(o)
	if err != nil {
		return nil, err
	}
	a.forge = openForge{provider: o.Provider, url: o.URL, forge: opened}
	p.forge = opened
	return p, nil
}

// openForge is kept between passes for what it knows by ETag.
type openForge struct {
	provider, url string
	forge         forge.Forge
}

func passwordOf(credentials remote.Credentials) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, password, err := credentials(ctx)
		return password, err
	}
}

// settlePulls learns what people did with pull requests, before anything is decided.
func (a *Automator) settlePulls(ctx context.Context, t *turn) error {
	if t.settings.pulls == nil || t.base == nil {
		return nil
	}
	p, err := a.openPulls(ctx, t)
	if err == nil {
		t.pulls = p
		t.latest, err = p.settle(ctx, t.tip, t.ledger, t.groupNames(), t.differsByDigest)
	}
	if err != nil {
		return fmt.Errorf("pull requests of %s: %w", a.opts.Repo, err)
	}
	return nil
}

// differsByDigest says that what is new about a tag is its digest: it is one that moves, or the
// base has it already.
func (t *turn) differsByDigest(policy, tag string) (anew, followed bool) {
	i := t.settings.find(policy)
	if i < 0 {
		return false, false
	}
	return t.settings.images[i].order.Moving() != "" ||
		slices.ContainsFunc(t.spots[policy], func(s spot) bool { return s.tag == tag }), true
}

// requestPulls brings one pull request per group up to date: branches are made anew from the
// base that t read, requests are opened, renewed and closed. What the ledger has to learn goes
// to t.ledger; it is pushed by the caller.
func (a *Automator) requestPulls(ctx context.Context, t *turn, groups []group) ([]PullRequest, error) {
	return t.pulls.bring(ctx, t.base, t.ledger, t.latest, groups)
}
