package forge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"code.gitea.io/sdk/gitea"
)

// giteaForge is also Forgejo, which has the same API.
type giteaForge struct {
	http *http.Client
	at   address
}

func newGitea(o Options, at address) (Forge, error) {
	return &giteaForge{http: newClient(o, at.api), at: at}, nil
}

// client is one for this context, which the SDK keeps. The server's version is not asked
// for: nothing depends on it.
func (g *giteaForge) client(ctx context.Context) (*gitea.Client, error) {
	root := strings.TrimSuffix(strings.TrimSuffix(g.at.api.String(), "/"), "/api/v1")
	client, err := gitea.NewClient(root, gitea.SetHTTPClient(g.http), gitea.SetContext(ctx), gitea.SetGiteaVersion(""))
	if err != nil {
		return nil, fmt.Errorf("preparing access to %s: %w", g.at.api.Host, err)
	}
	return client, nil
}

// Find reads listings: the API has no question for a branch in every state. The requests
// that matter are open, or were touched lately.
func (g *giteaForge) Find(ctx context.Context, base string, heads ...string) (map[string][]Request, error) {
	client, err := g.client(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string][]Request{}
	collect := func(pull *gitea.PullRequest) {
		// The label is the branch's name also after the branch was deleted; ref is not.
		if pull.Head != nil && pull.Base != nil && slices.Contains(heads, pull.Head.Name) && pull.Base.Name == base && pull.Head.RepoID == pull.Base.RepoID {
			found[pull.Head.Name] = append(found[pull.Head.Name], ofGitea(pull))
		}
	}
	everything := func() bool { return false }
	if err := g.list(client, gitea.StateOpen, maxPages, collect, everything); err != nil {
		return nil, err
	}
	if err := g.list(client, gitea.StateClosed, maxClosedPages, collect, func() bool { return len(found) == len(heads) }); err != nil {
		return nil, err
	}
	for _, requests := range found {
		latestFirst(requests)
	}
	return found, nil
}

// list reads pages of requests until done, those that changed last first.
func (g *giteaForge) list(client *gitea.Client, state gitea.StateType, pages int, collect func(*gitea.PullRequest), done func() bool) error {
	for page := 1; page <= pages; page++ {
		pulls, response, err := client.ListRepoPullRequests(g.at.owner, g.at.name, gitea.ListPullRequestsOptions{
			ListOptions: gitea.ListOptions{Page: page, PageSize: pageSize}, State: state, Sort: "recentupdate",
		})
		if err != nil {
			return told("finding pull requests", err)
		}
		for _, pull := range pulls {
			collect(pull)
		}
		if response.NextPage == 0 || done() {
			break
		}
	}
	return nil
}

func ofGitea(pull *gitea.PullRequest) Request {
	r := Request{
		Number: pull.Index, URL: pull.HTMLURL, State: StateOpen,
		Head: pull.Head.Name, Base: pull.Base.Name, HeadCommit: pull.Head.Sha,
		Title: withoutDraft(pull.Title, "WIP:"), Body: pull.Body, Draft: withoutDraft(pull.Title, "WIP:") != pull.Title,
		Closed: at(pull.Closed),
	}
	switch {
	case pull.HasMerged:
		r.State = StateMerged
	case pull.State == gitea.StateClosed:
		r.State = StateClosed
	}
	return r
}

func (g *giteaForge) Create(ctx context.Context, p Proposal) (Request, error) {
	client, err := g.client(ctx)
	if err != nil {
		return Request{}, err
	}
	labels, notes := g.labels(client, p.Labels)
	pull, _, err := client.CreatePullRequest(g.at.owner, g.at.name, gitea.CreatePullRequestOption{
		Head: p.Head, Base: p.Base, Title: asDraft(p.Title, "WIP:", p.Draft), Body: p.Body, Labels: labels,
	})
	if exists(err) {
		return Request{}, fmt.Errorf("opening a pull request of %s: %w", p.Head, ErrExists)
	}
	if err != nil {
		return Request{}, told("opening a pull request of "+p.Head, err)
	}
	r := ofGitea(pull)
	r.Notes = notes
	if len(p.Assignees) > 0 {
		// One unknown name makes the whole request invalid: the pull request is opened first.
		_, _, err := client.EditPullRequest(g.at.owner, g.at.name, r.Number, gitea.EditPullRequestOption{Assignees: p.Assignees})
		r.note("assignees", err)
	}
	if len(p.Reviewers) > 0 {
		people, teams := splitTeams(p.Reviewers)
		_, err := client.CreateReviewRequests(g.at.owner, g.at.name, r.Number, gitea.PullReviewRequestOptions{Reviewers: people, TeamReviewers: teams})
		r.note("reviewers", err)
	}
	return r, nil
}

// labels finds the numbers of the repository's labels, and of its organisation's.
func (g *giteaForge) labels(client *gitea.Client, names []string) (ids []int64, notes []string) {
	if len(names) == 0 {
		return nil, nil
	}
	known := map[string]int64{}
	for page := 1; page <= maxPages; page++ {
		labels, response, err := client.ListRepoLabels(g.at.owner, g.at.name, gitea.ListLabelsOptions{ListOptions: gitea.ListOptions{Page: page, PageSize: pageSize}})
		if err != nil {
			return nil, []string{told("listing labels", err).Error()}
		}
		for _, label := range labels {
			known[label.Name] = label.ID
		}
		if response.NextPage == 0 {
			break
		}
	}
	for _, name := range names {
		if _, ok := known[name]; ok {
			continue
		}
		// A user's repository has no organisation, and then there is nothing to list.
		labels, _, err := client.ListOrgLabels(g.at.owner, gitea.ListOrgLabelsOptions{ListOptions: gitea.ListOptions{Page: 1, PageSize: pageSize}})
		if err == nil {
			for _, label := range labels {
				known[label.Name] = label.ID
			}
		}
		break
	}
	for _, name := range names {
		if id, ok := known[name]; ok {
			ids = append(ids, id)
			continue
		}
		notes = append(notes, fmt.Sprintf("there is no label %q", name))
	}
	return ids, notes
}

func (g *giteaForge) Update(ctx context.Context, r Request, title, body string) error {
	client, err := g.client(ctx)
	if err != nil {
		return err
	}
	_, _, err = client.EditPullRequest(g.at.owner, g.at.name, r.Number, gitea.EditPullRequestOption{Title: asDraft(title, "WIP:", r.Draft), Body: &body})
	return told(fmt.Sprintf("writing pull request %d", r.Number), err)
}

func (g *giteaForge) Close(ctx context.Context, r Request, comment string) error {
	client, err := g.client(ctx)
	if err != nil {
		return err
	}
	if comment != "" {
		if _, _, err := client.CreateIssueComment(g.at.owner, g.at.name, r.Number, gitea.CreateIssueCommentOption{Body: comment}); err != nil {
			return told(fmt.Sprintf("commenting on pull request %d", r.Number), err)
		}
	}
	closed := gitea.StateClosed
	_, _, err = client.EditPullRequest(g.at.owner, g.at.name, r.Number, gitea.EditPullRequestOption{State: &closed})
	return told(fmt.Sprintf("closing pull request %d", r.Number), err)
}
