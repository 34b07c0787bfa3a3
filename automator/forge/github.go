package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-github/v88/github"
)

type gitHub struct {
	client *github.Client
	at     address
}

func newGitHub(o Options, at address) (Forge, error) {
	api := at.api.String()
	client, err := github.NewClient(github.WithHTTPClient(newClient(o, at.api)), github.WithURLs(&api, nil), github.WithDisableRateLimitCheck())
	if err != nil {
		return nil, fmt.Errorf("preparing access to %s: %w", at.api.Host, err)
	}
	return &gitHub{client: client, at: at}, nil
}

func (g *gitHub) Find(ctx context.Context, base string, heads ...string) (map[string][]Request, error) {
	return eachHead(heads, func(head string) ([]Request, error) { return g.find(ctx, head, base) })
}

func (g *gitHub) find(ctx context.Context, head, base string) ([]Request, error) {
	options := &github.PullRequestListOptions{
		State: "all", Head: g.at.owner + ":" + head, Base: base, Sort: "created", Direction: "desc",
		ListOptions: github.ListOptions{PerPage: pageSize},
	}
	var found []Request
	for range maxPages {
		pulls, response, err := g.client.PullRequests.List(ctx, g.at.owner, g.at.name, options)
		if err != nil {
			return nil, told("finding the pull request of "+head, err)
		}
		for _, pull := range pulls {
			// An organisation may own a fork of its own repository.
			if pull.GetHead().GetRef() == head && pull.GetBase().GetRef() == base && pull.GetHead().GetRepo().GetID() == pull.GetBase().GetRepo().GetID() {
				found = append(found, ofGitHub(pull))
			}
		}
		if response.NextPage == 0 {
			break
		}
		options.Page = response.NextPage
	}
	return latestFirst(found), nil
}

func ofGitHub(pull *github.PullRequest) Request {
	r := Request{
		Number: int64(pull.GetNumber()), URL: pull.GetHTMLURL(), State: StateOpen,
		Head: pull.GetHead().GetRef(), Base: pull.GetBase().GetRef(), HeadCommit: pull.GetHead().GetSHA(),
		Title: pull.GetTitle(), Body: pull.GetBody(), Draft: pull.GetDraft(),
		Closed: pull.GetClosedAt().Time,
	}
	switch {
	case pull.MergedAt != nil:
		r.State = StateMerged
	case pull.GetState() == "closed":
		r.State = StateClosed
	}
	return r
}

func (g *gitHub) Create(ctx context.Context, p Proposal) (Request, error) {
	pull, _, err := g.client.PullRequests.Create(ctx, g.at.owner, g.at.name, &github.NewPullRequest{
		Title: &p.Title, Head: &p.Head, Base: &p.Base, Body: &p.Body, Draft: &p.Draft,
	})
	if exists(err) {
		return Request{}, fmt.Errorf("opening a pull request of %s: %w", p.Head, ErrExists)
	}
	if p.Draft && knowsNoDrafts(err) {
		p.Draft = false
		r, again := g.Create(ctx, p)
		r.note("draft", err)
		return r, again
	}
	if err != nil {
		return Request{}, told("opening a pull request of "+p.Head, err)
	}
	r := ofGitHub(pull)
	number := pull.GetNumber()
	if len(p.Labels) > 0 {
		_, _, err := g.client.Issues.AddLabelsToIssue(ctx, g.at.owner, g.at.name, number, p.Labels)
		r.note("labels", err)
	}
	if len(p.Assignees) > 0 {
		_, _, err := g.client.Issues.AddAssignees(ctx, g.at.owner, g.at.name, number, p.Assignees)
		r.note("assignees", err)
	}
	if len(p.Reviewers) > 0 {
		people, teams := splitTeams(p.Reviewers)
		_, _, err := g.client.PullRequests.RequestReviewers(ctx, g.at.owner, g.at.name, number, github.ReviewersRequest{Reviewers: people, TeamReviewers: teams})
		r.note("reviewers", err)
	}
	return r, nil
}

// knowsNoDrafts is GitHub's answer in private repositories of some plans.
func knowsNoDrafts(err error) bool {
	problem, ok := errors.AsType[*Error](err)
	return ok && problem.Status == http.StatusUnprocessableEntity && strings.Contains(strings.ToLower(problem.Message), "draft")
}

// splitTeams tells ORGANISATION/TEAM from users; a team goes by its own name.
func splitTeams(reviewers []string) (people, teams []string) {
	for _, reviewer := range reviewers {
		if _, team, ok := strings.Cut(reviewer, "/"); ok {
			teams = append(teams, team)
			continue
		}
		people = append(people, reviewer)
	}
	return people, teams
}

func (g *gitHub) Update(ctx context.Context, r Request, title, body string) error {
	_, _, err := g.client.PullRequests.Edit(ctx, g.at.owner, g.at.name, int(r.Number), &github.PullRequest{Title: &title, Body: &body})
	return told(fmt.Sprintf("writing pull request %d", r.Number), err)
}

func (g *gitHub) Close(ctx context.Context, r Request, comment string) error {
	if comment != "" {
		if _, _, err := g.client.Issues.CreateComment(ctx, g.at.owner, g.at.name, int(r.Number), &github.IssueComment{Body: &comment}); err != nil {
			return told(fmt.Sprintf("commenting on pull request %d", r.Number), err)
		}
	}
	state := "closed"
	_, _, err := g.client.PullRequests.Edit(ctx, g.at.owner, g.at.name, int(r.Number), &github.PullRequest{State: &state})
	return told(fmt.Sprintf("closing pull request %d", r.Number), err)
}
