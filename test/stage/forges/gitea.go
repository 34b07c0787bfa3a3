package forges

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) gitea() http.Handler {
	mux := http.NewServeMux()
	root := "/api/v1/repos/" + s.options.Path
	owner, _, _ := strings.Cut(s.options.Path, "/")
	mux.HandleFunc("GET "+root+"/pulls", s.handled(s.giteaList))
	mux.HandleFunc("POST "+root+"/pulls", s.handled(s.giteaCreate))
	mux.HandleFunc("PATCH "+root+"/pulls/{number}", s.handled(s.giteaEdit))
	mux.HandleFunc("POST "+root+"/pulls/{number}/requested_reviewers", s.handled(s.giteaReviewers))
	mux.HandleFunc("POST "+root+"/issues/{number}/comments", s.handled(s.gitHubComment))
	mux.HandleFunc("GET "+root+"/labels", s.handled(s.giteaLabels))
	mux.HandleFunc("GET /api/v1/orgs/"+owner+"/labels", s.handled(func(*http.Request) answer { return s.problem(http.StatusNotFound, "") }))
	mux.HandleFunc("/", s.handled(func(*http.Request) answer { return s.problem(http.StatusNotFound, "") }))
	return mux
}

func (s *Server) giteaList(r *http.Request) answer {
	q := r.URL.Query()
	if err := query(q, "state", "sort", "milestone", "labels", "poster", "base_branch", "page", "limit"); err != nil {
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	}
	var found []*Request
	for _, p := range s.requests {
		if state := giteaState(p); q.Get("state") == "all" || q.Get("state") == state {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *Request) int {
		if q.Get("sort") == "recentupdate" {
			return b.Updated.Compare(a.Updated)
		}
		return cmp.Compare(b.Number, a.Number)
	})
	from, to, header := s.page(r, "limit", len(found))
	list := []any{}
	for _, p := range found[from:to] {
		list = append(list, s.giteaPull(p))
	}
	return answer{status: http.StatusOK, body: list, header: header}
}

func giteaState(p *Request) string {
	if p.State == Open {
		return "open"
	}
	return "closed"
}

func (s *Server) giteaPull(p *Request) map[string]any {
	merged, mergedAt := p.State == Merged, any(nil)
	if merged {
		mergedAt = p.Updated.Format(time.RFC3339)
	}
	headRepo, ref := 1, p.Head
	if p.Fork {
		headRepo = 2
	}
	// The ref of a branch that was deleted is the request's own.
	if _, ok := s.branch(p.Head); !ok && !p.Fork {
		ref = fmt.Sprintf("refs/pull/%d/head", p.Number)
	}
	address := fmt.Sprintf("%s/%s/pulls/%d", s.URL, s.options.Path, p.Number)
	return map[string]any{
		"id": 1000 + p.Number, "number": p.Number, "url": address, "html_url": address, "title": p.Title, "body": p.Body,
		"state": giteaState(p), "draft": strings.HasPrefix(strings.ToUpper(p.Title), "WIP:"), "merged": merged, "merged_at": mergedAt,
		"closed_at": closedAt(p),
		"labels":    []any{}, "assignees": named(p.Assignees, "login"), "requested_reviewers": named(p.Reviewers, "login"),
		"created_at": "2026-01-02T03:04:05Z", "updated_at": p.Updated.Format(time.RFC3339), "allow_maintainer_edit": false,
		"head": map[string]any{"label": p.Head, "ref": ref, "sha": p.Commit, "repo_id": headRepo},
		"base": map[string]any{"label": p.Base, "ref": p.Base, "repo_id": 1},
	}
}

func (s *Server) giteaCreate(r *http.Request) answer {
	f, err := fields(r, "head", "base", "title", "body", "assignee", "assignees", "reviewers", "team_reviewers", "milestone", "labels", "due_date")
	if err != nil {
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	}
	title, _ := f["title"].(string)
	body, _ := f["body"].(string)
	head, _ := f["head"].(string)
	base, _ := f["base"].(string)
	commit, isHead := s.branch(head)
	_, isBase := s.branch(base)
	switch {
	case !isHead || !isBase:
		return s.problem(http.StatusNotFound, "")
	case s.twin(head, base):
		return s.problem(http.StatusConflict, fmt.Sprintf("pull request already exists for these targets [id: 1, issue_id: 1, head_repo_id: 1, base_repo_id: 1, head_branch: %s, base_branch: %s]", head, base))
	case len([]rune(title)) > 255:
		return s.problem(http.StatusInternalServerError, "")
	}
	for _, user := range texts(f["assignees"]) {
		if !slices.Contains(s.options.Users, user) {
			return s.problem(http.StatusUnprocessableEntity, "Assignee does not exist: [name: "+user+"]")
		}
	}
	p := s.add(&Request{Title: title, Body: body, Head: head, Base: base, Commit: commit, Assignees: texts(f["assignees"])})
	ids, _ := f["labels"].([]any)
	for _, id := range ids {
		if n, _ := id.(float64); int(n) >= 1 && int(n) <= len(s.options.Labels) {
			p.Labels = append(p.Labels, s.options.Labels[int(n)-1])
		}
	}
	return answer{status: http.StatusCreated, body: s.giteaPull(p)}
}

func (s *Server) giteaEdit(r *http.Request) answer {
	f, err := fields(r, "title", "body", "base", "assignee", "assignees", "milestone", "labels", "state", "due_date", "unset_due_date", "allow_maintainer_edit")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	for _, user := range texts(f["assignees"]) {
		if !slices.Contains(s.options.Users, user) {
			return s.problem(http.StatusUnprocessableEntity, "Assignee does not exist: [name: "+user+"]")
		}
		p.Assignees = append(p.Assignees, user)
	}
	if title, _ := f["title"].(string); title != "" {
		p.Title = title
	}
	if body, ok := f["body"].(string); ok {
		p.Body = body
	}
	if state, _ := f["state"].(string); state != "" {
		if p.State == Merged {
			return s.problem(http.StatusPreconditionFailed, "cannot change state of this pull request, it was already merged")
		}
		p.State = State(state)
	}
	p.Edits++
	p.Updated = s.tick()
	return answer{status: http.StatusCreated, body: s.giteaPull(p)} // 201, as the description says
}

func (s *Server) giteaReviewers(r *http.Request) answer {
	f, err := fields(r, "reviewers", "team_reviewers")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	for _, user := range texts(f["reviewers"]) {
		if !slices.Contains(s.options.Users, user) {
			return s.problem(http.StatusNotFound, "")
		}
	}
	p.Reviewers = append(texts(f["reviewers"]), texts(f["team_reviewers"])...)
	return answer{status: http.StatusCreated, body: []any{}}
}

func (s *Server) giteaLabels(r *http.Request) answer {
	if err := query(r.URL.Query(), "page", "limit"); err != nil {
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	}
	from, to, header := s.page(r, "limit", len(s.options.Labels))
	list := []any{}
	for i, label := range s.options.Labels[from:to] {
		list = append(list, map[string]any{"id": from + i + 1, "name": label, "color": "00aabb"})
	}
	return answer{status: http.StatusOK, body: list, header: header}
}
