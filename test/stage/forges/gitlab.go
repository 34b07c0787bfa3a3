package forges

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Server) gitLab() http.Handler {
	mux := http.NewServeMux()
	const root = "/api/v4/projects/{id}"
	mux.HandleFunc("GET "+root+"/merge_requests", s.handled(s.inProject(s.gitLabList)))
	mux.HandleFunc("POST "+root+"/merge_requests", s.handled(s.inProject(s.gitLabCreate)))
	mux.HandleFunc("PUT "+root+"/merge_requests/{number}", s.handled(s.inProject(s.gitLabEdit)))
	mux.HandleFunc("POST "+root+"/merge_requests/{number}/notes", s.handled(s.inProject(s.gitLabNote)))
	mux.HandleFunc("GET /api/v4/users", s.handled(s.gitLabUsers))
	mux.HandleFunc("/", s.handled(func(*http.Request) answer {
		return answer{status: http.StatusNotFound, body: map[string]any{"error": "404 Not Found"}}
	}))
	return mux
}

// inProject lets only the one project be found, by its path in one escaped piece.
func (s *Server) inProject(f func(*http.Request) answer) func(*http.Request) answer {
	return func(r *http.Request) answer {
		if r.PathValue("id") != s.options.Path {
			return s.problem(http.StatusNotFound, "")
		}
		return f(r)
	}
}

func (s *Server) gitLabList(r *http.Request) answer {
	q := r.URL.Query()
	if err := query(q, "state", "source_branch", "target_branch", "order_by", "sort", "per_page", "page"); err != nil {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}}
	}
	var found []*Request
	for _, p := range s.requests {
		state := gitLabState(p)
		if (q.Get("state") == "all" || q.Get("state") == state) && (q.Get("source_branch") == "" || q.Get("source_branch") == p.Head) &&
			(q.Get("target_branch") == "" || q.Get("target_branch") == p.Base) {
			found = append(found, p)
		}
	}
	if q.Get("sort") != "asc" {
		slices.Reverse(found)
	}
	from, to, header := s.page(r, "per_page", len(found))
	list := []any{}
	for _, p := range found[from:to] {
		list = append(list, s.gitLabRequest(p))
	}
	return answer{status: http.StatusOK, body: list, header: header}
}

func gitLabState(p *Request) string {
	if p.State == Open {
		return "opened"
	}
	return string(p.State)
}

func (s *Server) gitLabRequest(p *Request) map[string]any {
	source := 7
	if p.Fork {
		source = 8
	}
	labels := []any{}
	for _, label := range p.Labels {
		labels = append(labels, label)
	}
	return map[string]any{
		"id": 1000 + p.Number, "iid": p.Number, "project_id": 7, "title": p.Title, "description": p.Body, "state": gitLabState(p),
		"source_branch": p.Head, "target_branch": p.Base, "source_project_id": source, "target_project_id": 7,
		"sha": p.Commit, "draft": strings.HasPrefix(strings.ToLower(p.Title), "draft:"),
		"web_url":    fmt.Sprintf("%s/%s/-/merge_requests/%d", s.URL, s.options.Path, p.Number),
		"created_at": "2026-01-02T03:04:05.000Z", "updated_at": p.Updated.Format(time.RFC3339),
		"merged_at": when(p, Merged), "closed_at": when(p, Closed),
		"labels": labels, "assignees": named(p.Assignees, "username"), "reviewers": named(p.Reviewers, "username"),
	}
}

func (s *Server) gitLabCreate(r *http.Request) answer {
	f, err := fields(r, "title", "description", "source_branch", "target_branch", "labels", "assignee_ids", "reviewer_ids", "remove_source_branch")
	if err != nil {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}}
	}
	for _, name := range []string{"source_branch", "target_branch", "title"} {
		if text, _ := f[name].(string); text == "" {
			return answer{status: http.StatusBadRequest, body: map[string]any{"error": name + " is missing"}}
		}
	}
	title, head, base := f["title"].(string), f["source_branch"].(string), f["target_branch"].(string)
	description, _ := f["description"].(string)
	commit, isHead := s.branch(head)
	_, isBase := s.branch(base)
	switch {
	case s.twin(head, base):
		return answer{status: http.StatusConflict, body: map[string]any{"message": []any{"Another open merge request already exists for this source branch: !1"}}}
	case !isHead || !isBase:
		return answer{status: http.StatusUnprocessableEntity, body: map[string]any{"message": []any{`Source branch "` + head + `" does not exist`}}}
	case len([]rune(title)) > 255:
		return answer{status: http.StatusBadRequest, body: map[string]any{"message": map[string]any{"title": []any{"is too long (maximum is 255 characters)"}}}}
	}
	p := s.add(&Request{Title: title, Body: description, Head: head, Base: base, Commit: commit})
	if labels, _ := f["labels"].(string); labels != "" {
		p.Labels = strings.Split(labels, ",")
	}
	p.Assignees, p.Reviewers = s.byID(f["assignee_ids"]), s.byID(f["reviewer_ids"])
	s.obey(p, description)
	return answer{status: http.StatusCreated, body: s.gitLabRequest(p)}
}

// obey does what quick actions in a description say.
func (s *Server) obey(p *Request, description string) {
	for line := range strings.Lines(description) {
		if strings.HasPrefix(strings.TrimSpace(line), "/merge") {
			p.State = Merged
		}
	}
}

// byID are users by their numbers, which count from 1.
func (s *Server) byID(value any) []string {
	var users []string
	list, _ := value.([]any)
	for _, item := range list {
		id, _ := item.(float64)
		if n := int(id); n >= 1 && n <= len(s.options.Users) {
			users = append(users, s.options.Users[n-1])
		}
	}
	return users
}

func (s *Server) gitLabEdit(r *http.Request) answer {
	f, err := fields(r, "title", "description", "state_event", "target_branch")
	p := s.numbered(r)
	switch {
	case err != nil:
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}}
	case p == nil:
		return answer{status: http.StatusNotFound, body: map[string]any{"message": "404 Not found"}}
	}
	if title, ok := f["title"].(string); ok {
		p.Title = title
	}
	if description, ok := f["description"].(string); ok {
		p.Body = description
		s.obey(p, description)
	}
	if event, _ := f["state_event"].(string); event == "close" && p.State == Open {
		p.State = Closed
	}
	p.Edits++
	p.Updated = s.tick()
	return answer{status: http.StatusOK, body: s.gitLabRequest(p)}
}

func (s *Server) gitLabNote(r *http.Request) answer {
	f, err := fields(r, "body")
	p := s.numbered(r)
	switch {
	case err != nil:
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}}
	case p == nil:
		return answer{status: http.StatusNotFound, body: map[string]any{"message": "404 Not found"}}
	}
	body, _ := f["body"].(string)
	p.Comments = append(p.Comments, body)
	return answer{status: http.StatusCreated, body: map[string]any{"id": 1, "body": body}}
}

func (s *Server) gitLabUsers(r *http.Request) answer {
	if err := query(r.URL.Query(), "username"); err != nil {
		return answer{status: http.StatusBadRequest, body: map[string]any{"error": err.Error()}}
	}
	list := []any{}
	for i, user := range s.options.Users {
		if strings.EqualFold(user, r.URL.Query().Get("username")) {
			list = append(list, map[string]any{"id": i + 1, "username": user, "name": "User " + strconv.Itoa(i+1), "state": "active"})
		}
	}
	return answer{status: http.StatusOK, body: list}
}
