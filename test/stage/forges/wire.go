package forges

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what a handler says: a status and what becomes JSON.
type answer struct {
	status int
	body   any
	header http.Header
}

// handled makes an http.Handler of a function that runs with the lock held.
func (s *Server) handled(f func(*http.Request) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.sync()
		a := f(r)
		s.mu.Unlock()
		body, err := json.Marshal(a.body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if r.Method == http.MethodGet && s.options.Kind != Gitea {
			etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(body))
			w.Header().Set("ETag", etag)
			if r.Header.Get("If-None-Match") == etag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(a.status)
		w.Write(body)
	}
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.log = append(s.log, fmt.Sprintf("%s %s %d", r.Method, r.URL.RequestURI(), seen.status))
	})
}

// checked refuses requests without the token, and those that a forge's front would refuse.
func (s *Server) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answer{}
		switch {
		case s.options.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.options.Token && !isApp(r):
			a = s.problem(http.StatusUnauthorized, "")
		case r.Header.Get("User-Agent") == "":
			a = s.problem(http.StatusForbidden, "Request forbidden by administrative rules")
		case r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" && !isApp(r):
			a = s.problem(http.StatusUnsupportedMediaType, "Content-Type is "+r.Header.Get("Content-Type"))
		case s.options.Kind == GitHub && r.Header.Get("X-Github-Api-Version") == "" && !isApp(r):
			a = s.problem(http.StatusBadRequest, "no X-GitHub-Api-Version")
		default:
			next.ServeHTTP(w, r)
			return
		}
		body, _ := json.Marshal(a.body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		w.Write(body)
	})
}

// problem is an error as the forge writes it.
func (s *Server) problem(status int, text string) answer {
	switch {
	case s.options.Kind == GitHub && status == http.StatusUnauthorized:
		text = "Bad credentials"
	case s.options.Kind == GitHub && status == http.StatusNotFound:
		text = "Not Found"
	case s.options.Kind == GitLab && status == http.StatusUnauthorized:
		text = "401 Unauthorized"
	case s.options.Kind == GitLab && status == http.StatusNotFound:
		text = "404 Project Not Found"
	case s.options.Kind == Gitea && status == http.StatusUnauthorized:
		text = "token is required"
	case s.options.Kind == Gitea && status == http.StatusNotFound:
		text = "The target couldn't be found."
	}
	body := map[string]any{"message": text}
	switch s.options.Kind {
	case GitHub:
		body["documentation_url"] = "https://docs.github.com/rest"
		body["status"] = strconv.Itoa(status)
	case Gitea:
		body["url"] = s.URL + "/api/swagger"
	}
	return answer{status: status, body: body}
}

// fields reads a JSON object, and names what should not be in it.
func fields(r *http.Request, known ...string) (map[string]any, error) {
	decoder := json.NewDecoder(r.Body)
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("Problems parsing JSON: %w", err)
	}
	for name := range object {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("the field %q is unknown", name)
		}
	}
	return object, nil
}

// query refuses what is not described.
func query(values url.Values, known ...string) error {
	for name := range values {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the parameter %q is unknown", name)
		}
	}
	return nil
}

// page cuts a listing and says where the next one is, in a Link header as RFC 8288 has it.
func (s *Server) page(r *http.Request, sizeName string, count int) (from, to int, header http.Header) {
	values := r.URL.Query()
	number, _ := strconv.Atoi(values.Get("page"))
	size, _ := strconv.Atoi(values.Get(sizeName))
	number = max(number, 1)
	if size < 1 || size > s.options.MaxPage {
		size = s.options.MaxPage
	}
	from = min((number-1)*size, count)
	to = min(from+size, count)
	header = http.Header{}
	last := max((count+size-1)/size, 1)
	link := func(page int, rel string) string {
		values.Set("page", strconv.Itoa(page))
		return fmt.Sprintf(`<%s%s?%s>; rel=%q`, s.URL, r.URL.EscapedPath(), values.Encode(), rel)
	}
	if number < last {
		header.Set("Link", strings.Join([]string{link(number+1, "next"), link(last, "last")}, ", "))
		header.Set("X-Next-Page", strconv.Itoa(number+1))
	}
	header.Set("X-Total-Count", strconv.Itoa(count))
	header.Set("X-Total", strconv.Itoa(count))
	header.Set("X-Page", strconv.Itoa(number))
	return from, to, header
}

func texts(value any) []string {
	var all []string
	list, _ := value.([]any)
	for _, item := range list {
		text, _ := item.(string)
		all = append(all, text)
	}
	return all
}

// named are user objects.
func named(users []string, key string) []any {
	list := []any{}
	for i, user := range users {
		list = append(list, map[string]any{"id": i + 1, key: user})
	}
	return list
}

// raw reads JSON of any kind.
func raw(r *http.Request) (any, error) {
	var buffer bytes.Buffer
	if _, err := buffer.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	var value any
	return value, json.Unmarshal(buffer.Bytes(), &value)
}

// when is the time at which a request came into a state; null: it is in another one.
func when(p *Request, state State) any {
	if p.State != state {
		return nil
	}
	return p.Updated.Format(time.RFC3339)
}

func closedAt(p *Request) any {
	if p.State == Open {
		return nil
	}
	return p.Updated.Format(time.RFC3339)
}
