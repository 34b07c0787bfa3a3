package forge

import (
	"context"
	"fmt"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go"
)

type gitLab struct {
	client  *gitlab.Client
	project string
}

func newGitLab(o Options, at address) (Forge, error) {
	// Retries are the next pass's, and the transport sets the token.
	client, err := gitlab.NewClient("", gitlab.WithBaseURL(at.api.String()), gitlab.WithHTTPClient(newClient(o, at.api)),
		gitlab.WithoutRetries(), gitlab.WithCustomLimiter(unlimited{}))
	if err != nil {
		return nil, fmt.Errorf("preparing access to %s: %w", at.api.Host, err)
	}
	return &gitLab{client: client, project: at.path()}, nil
}

// unlimited is no limit of the client's own: the server's refusals are reported with their time.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

func (g *gitLab) Find(ctx context.Context, base string, heads ...string) (map[string][]Request, error) {
	return eachHead(heads, func(head string) ([]Request, error) { return g.find(ctx, head, base) })
}

func (g *gitLab) find(ctx context.Context, head, base string) ([]Request, error) {
	options := &gitlab.ListProjectMergeRequestsOptions{
		State: new("all"), SourceBranch: &head, TargetBranch: &base, OrderBy: new("created_at"), Sort: new("desc"),
		ListOptions: gitlab.ListOptions{PerPage: pageSize},
	}
	var found []Request
	for range maxPages {
		requests, response, err := g.client.MergeRequests.ListProjectMergeRequests(g.project, options, gitlab.WithContext(ctx))
		if err != nil {
			return nil, told("finding the merge request of "+head, err)
		}
		for _, request := range requests {
			if request.SourceBranch == head && request.TargetBranch == base && request.SourceProjectID == request.TargetProjectID {
				found = append(found, ofGitLab(request))
			}
		}
		if response.NextPage == 0 {
			break
		}
		options.Page = response.NextPage
	}
	return latestFirst(found), nil
}

func ofGitLab(m *gitlab.BasicMergeRequest) Request {
	r := Request{
		Number: m.IID, URL: m.WebURL, State: StateOpen, // "locked" is a merge that goes on
		Head: m.SourceBranch, Base: m.TargetBranch, HeadCommit: m.SHA,
		Title: withoutDraft(m.Title, "Draft:"), Body: m.Description, Draft: m.Draft,
	}
	switch m.State {
	case "merged":
		r.State, r.Closed = StateMerged, at(m.MergedAt)
	case "closed":
		r.State, r.Closed = StateClosed, at(m.ClosedAt)
	}
	return r
}

func (g *gitLab) Create(ctx context.Context, p Proposal) (Request, error) {
	options := &gitlab.CreateMergeRequestOptions{
		Title: new(asDraft(p.Title, "Draft:", p.Draft)), Description: new(escapeQuickActions(p.Body)),
		SourceBranch: &p.Head, TargetBranch: &p.Base, RemoveSourceBranch: new(true),
	}
	if len(p.Labels) > 0 {
		options.Labels = new(gitlab.LabelOptions(p.Labels))
	}
	assignees, notes := g.users(ctx, p.Assignees)
	if len(assignees) > 0 {
		options.AssigneeIDs = &assignees
	}
	reviewers, more := g.users(ctx, p.Reviewers)
	if len(reviewers) > 0 {
		options.ReviewerIDs = &reviewers
	}
	request, _, err := g.client.MergeRequests.CreateMergeRequest(g.project, options, gitlab.WithContext(ctx))
	if exists(err) {
		return Request{}, fmt.Errorf("opening a merge request of %s: %w", p.Head, ErrExists)
	}
	if err != nil {
		return Request{}, told("opening a merge request of "+p.Head, err)
	}
	r := ofGitLab(&request.BasicMergeRequest)
	r.Notes = append(notes, more...)
	return r, nil
}

// users finds the numbers of users by their names.
func (g *gitLab) users(ctx context.Context, names []string) (ids []int64, notes []string) {
	for _, name := range names {
		users, _, err := g.client.Users.ListUsers(&gitlab.ListUsersOptions{Username: &name}, gitlab.WithContext(ctx))
		switch {
		case err != nil:
			notes = append(notes, told("finding the user "+name, err).Error())
		case len(users) != 1 || !strings.EqualFold(users[0].Username, name):
			notes = append(notes, fmt.Sprintf("there is no user %q", name))
		default:
			ids = append(ids, users[0].ID)
		}
	}
	return ids, notes
}

func (g *gitLab) Update(ctx context.Context, r Request, title, body string) error {
	_, _, err := g.client.MergeRequests.UpdateMergeRequest(g.project, r.Number, &gitlab.UpdateMergeRequestOptions{
		Title: new(asDraft(title, "Draft:", r.Draft)), Description: new(escapeQuickActions(body)),
	}, gitlab.WithContext(ctx))
	return told(fmt.Sprintf("writing merge request %d", r.Number), err)
}

func (g *gitLab) Close(ctx context.Context, r Request, comment string) error {
	if comment != "" {
		if _, _, err := g.client.Notes.CreateMergeRequestNote(g.project, r.Number, &gitlab.CreateMergeRequestNoteOptions{Body: new(escapeQuickActions(comment))}, gitlab.WithContext(ctx)); err != nil {
			return told(fmt.Sprintf("commenting on merge request %d", r.Number), err)
		}
	}
	_, _, err := g.client.MergeRequests.UpdateMergeRequest(g.project, r.Number, &gitlab.UpdateMergeRequestOptions{StateEvent: new("close")}, gitlab.WithContext(ctx))
	return told(fmt.Sprintf("closing merge request %d", r.Number), err)
}

// escapeQuickActions keeps lines such as "/merge" text: GitLab would obey them.
func escapeQuickActions(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if trimmed := strings.TrimLeft(line, " \t\r"); strings.HasPrefix(trimmed, "/") {
			lines[i] = line[:len(line)-len(trimmed)] + `\` + trimmed
		}
	}
	return strings.Join(lines, "\n")
}
