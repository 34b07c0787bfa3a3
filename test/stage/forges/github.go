package forges

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) gitHub() http.Handler {
	mux := http.NewServeMux()
	root := "/api/v3/repos/" + s.options.Path
	mux.HandleFunc("GET "+root+"/pulls", s.handled(s.gitHubList))
	mux.HandleFunc("POST "+root+"/pulls", s.handled(s.gitHubCreate))
	mux.HandleFunc("PATCH "+root+"/pulls/{number}", s.handled(s.gitHubEdit))
	mux.HandleFunc("POST "+root+"/pulls/{number}/requested_reviewers", s.handled(s.gitHubReviewers))
	mux.HandleFunc("POST "+root+"/issues/{number}/comments", s.handled(s.gitHubComment))
	mux.HandleFunc("POST "+root+"/issues/{number}/labels", s.handled(s.gitHubLabels))
	mux.HandleFunc("POST "+root+"/issues/{number}/assignees", s.handled(s.gitHubAssignees))
	mux.HandleFunc("POST /api/v3/app/installations/{id}/access_tokens", s.handled(s.gitHubToken))
	mux.HandleFunc("/", s.handled(func(*http.Request) answer { return s.problem(http.StatusNotFound, "") }))
	return mux
}

// isApp says that an App asks for a token of its installation: with a signed claim, whose
// signature is not checked.
func isApp(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/v3/app/installations/") && strings.Count(r.Header.Get("Authorization"), ".") == 2
}

func (s *Server) gitHubToken(r *http.Request) answer {
	if !isApp(r) {
		return s.problem(http.StatusUnauthorized, "")
	}
	return answer{status: http.StatusCreated, body: map[string]any{
		"token": s.options.Token, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "permissions": map[string]any{"contents": "write", "pull_requests": "write"},
	}}
}

func (s *Server) gitHubList(r *http.Request) answer {
	q := r.URL.Query()
	if err := query(q, "state", "head", "base", "sort", "direction", "per_page", "page"); err != nil {
		return s.problem(http.StatusUnprocessableEntity, err.Error())
	}
	owner, _, _ := strings.Cut(s.options.Path, "/")
	user, head, ok := strings.Cut(q.Get("head"), ":")
	var found []*Request
	for _, p := range s.requests {
		state := "open"
		if p.State != Open {
			state = "closed"
		}
		// The filter knows an owner and a branch, and counts forks of the same owner in.
		if (q.Get("state") == "all" || state == q.Get("state")) && (!ok || user == owner && head == p.Head) && (q.Get("base") == "" || q.Get("base") == p.Base) {
			found = append(found, p)
		}
	}
	if q.Get("direction") != "asc" {
		slices.Reverse(found)
	}
	from, to, header := s.page(r, "per_page", len(found))
	list := []any{}
	for _, p := range found[from:to] {
		list = append(list, s.gitHubPull(p))
	}
	return answer{status: http.StatusOK, body: list, header: header}
}

func (s *Server) gitHubPull(p *Request) map[string]any {
	state, closed, merged := "open", any(nil), any(nil)
	if p.State != Open {
		state, closed = "closed", p.Updated.Format(time.RFC3339)
	}
	if p.State == Merged {
		merged = closed
	}
	owner, _, _ := strings.Cut(s.options.Path, "/")
	headID := 1
	if p.Fork {
		headID = 2
	}
	labels := []any{}
	for i, label := range p.Labels {
		labels = append(labels, map[string]any{"id": i + 1, "name": label})
	}
	return map[string]any{
		"id": 1000 + p.Number, "number": p.Number, "state": state, "locked": false, "title": p.Title, "body": p.Body,
		"url":      fmt.Sprintf("%s/api/v3/repos/%s/pulls/%d", s.URL, s.options.Path, p.Number),
		"html_url": fmt.Sprintf("%s/%s/pull/%d", s.URL, s.options.Path, p.Number),
		"draft":    p.Draft, "created_at": "2026-01-02T03:04:05Z", "updated_at": p.Updated.Format(time.RFC3339),
		"closed_at": closed, "merged_at": merged, "labels": labels,
		"assignees": named(p.Assignees, "login"), "requested_reviewers": named(p.Reviewers, "login"),
		"head": map[string]any{"label": owner + ":" + p.Head, "ref": p.Head, "sha": p.Commit, "repo": map[string]any{"id": headID}},
		"base": map[string]any{"label": owner + ":" + p.Base, "ref": p.Base, "repo": map[string]any{"id": 1, "full_name": s.options.Path}},
	}
}

// invalid is GitHub's answer to what it cannot accept.
func (s *Server) invalid(resource, field, code, message string) answer {
	a := s.problem(http.StatusUnprocessableEntity, "Validation Failed")
	problem := map[string]any{"resource": resource, "code": code}
	if field != "" {
		problem["field"] = field
	}
	if message != "" {
		problem["message"] = message
	}
	a.body.(map[string]any)["errors"] = []any{problem}
	return a
}

func (s *Server) gitHubCreate(r *http.Request) answer {
	f, err := fields(r, "title", "head", "head_repo", "base", "body", "maintainer_can_modify", "draft")
	if err != nil {
		return s.problem(http.StatusBadRequest, err.Error())
	}
	title, _ := f["title"].(string)
	body, _ := f["body"].(string)
	head, _ := f["head"].(string)
	base, _ := f["base"].(string)
	draft, _ := f["draft"].(bool)
	commit, isHead := s.branch(head)
	_, isBase := s.branch(base)
	switch {
	case title == "":
		return s.invalid("PullRequest", "title", "missing_field", "")
	case len([]rune(title)) > 256:
		return s.invalid("Issue", "title", "custom", "title is too long (maximum is 256 characters)")
	case len([]rune(body)) > 65536:
		return s.invalid("Issue", "body", "custom", "body is too long (maximum is 65536 characters)")
	case draft && s.options.NoDrafts:
		return s.problem(http.StatusUnprocessableEntity, "Draft pull requests are not supported in this repository.")
	case !isHead:
		return s.invalid("PullRequest", "head", "invalid", "")
	case !isBase:
		return s.invalid("PullRequest", "base", "invalid", "")
	case s.twin(head, base):
		owner, _, _ := strings.Cut(s.options.Path, "/")
		return s.invalid("PullRequest", "", "custom", fmt.Sprintf("A pull request already exists for %s:%s.", owner, head))
	case !s.changes(head, base):
		return s.invalid("PullRequest", "", "custom", fmt.Sprintf("No commits between %s and %s", base, head))
	}
	p := s.add(&Request{Title: title, Body: body, Head: head, Base: base, Draft: draft, Commit: commit})
	return answer{status: http.StatusCreated, body: s.gitHubPull(p)}
}

// twin says whether a request of the same branches is open.
func (s *Server) twin(head, base string) bool {
	return slices.ContainsFunc(s.requests, func(p *Request) bool { return p.State == Open && !p.Fork && p.Head == head && p.Base == base })
}

func (s *Server) add(p *Request) *Request {
	p.Number, p.State, p.Updated = len(s.requests)+1, Open, s.tick()
	s.requests = append(s.requests, p)
	return p
}

// numbered finds the request of a path; nil: there is none.
func (s *Server) numbered(r *http.Request) *Request {
	number, _ := strconv.Atoi(r.PathValue("number"))
	return s.find(number)
}

func (s *Server) gitHubEdit(r *http.Request) answer {
	f, err := fields(r, "title", "body", "state", "base", "maintainer_can_modify")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusBadRequest, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	if body, ok := f["body"].(string); ok {
		if len([]rune(body)) > 65536 {
			return s.invalid("Issue", "body", "custom", "body is too long (maximum is 65536 characters)")
		}
		p.Body = body
	}
	if title, ok := f["title"].(string); ok {
		p.Title = title
	}
	switch state, _ := f["state"].(string); {
	case state == "closed" && p.State == Open:
		p.State = Closed
	case state == "open" && p.State != Open:
		return s.invalid("PullRequest", "state", "invalid", "")
	}
	p.Edits++
	p.Updated = s.tick()
	return answer{status: http.StatusOK, body: s.gitHubPull(p)}
}

func (s *Server) gitHubComment(r *http.Request) answer {
	f, err := fields(r, "body")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusBadRequest, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	body, _ := f["body"].(string)
	p.Comments = append(p.Comments, body)
	return answer{status: http.StatusCreated, body: map[string]any{"id": 1, "body": body}}
}

func (s *Server) gitHubLabels(r *http.Request) answer {
	value, err := raw(r)
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusBadRequest, "Problems parsing JSON")
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	if object, ok := value.(map[string]any); ok {
		value = object["labels"]
	}
	p.Labels = append(p.Labels, texts(value)...)
	return answer{status: http.StatusOK, body: []any{}}
}

func (s *Server) gitHubAssignees(r *http.Request) answer {
	f, err := fields(r, "assignees")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusBadRequest, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	for _, user := range texts(f["assignees"]) {
		if slices.Contains(s.options.Users, user) { // strangers are left out without a word
			p.Assignees = append(p.Assignees, user)
		}
	}
	return answer{status: http.StatusCreated, body: map[string]any{"number": p.Number}}
}

func (s *Server) gitHubReviewers(r *http.Request) answer {
	f, err := fields(r, "reviewers", "team_reviewers")
	p := s.numbered(r)
	switch {
	case err != nil:
		return s.problem(http.StatusBadRequest, err.Error())
	case p == nil:
		return s.problem(http.StatusNotFound, "")
	}
	for _, user := range texts(f["reviewers"]) {
		if !slices.Contains(s.options.Users, user) {
			return s.problem(http.StatusUnprocessableEntity, "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the repository.")
		}
	}
	p.Reviewers = append(texts(f["reviewers"]), texts(f["team_reviewers"])...)
	return answer{status: http.StatusCreated, body: s.gitHubPull(p)}
}
