// Package forges serves the part of the APIs of GitHub, GitLab and Gitea that pull requests
// need, as their published descriptions have it: methods, paths, queries, JSON fields, status
// codes, validation, pagination, ETags. The requests stand on a bare repository: a head
// commit is its branch's, and a merge moves the base. What the descriptions do not know is
// refused, so that a client that asks for it is found out.
package forges

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sealift.dev/test/stage"
)

// Kind of forge.
type Kind string

// The kinds of forges. Forgejo speaks Gitea's API.
const (
	GitHub Kind = "GitHub"
	GitLab Kind = "GitLab"
	Gitea  Kind = "Gitea"
)

// Options of a forge. Kind and Repository are required.
type Options struct {
	Kind       Kind
	Repository string // folder of the bare repository
	Path       string // OWNER/NAME; on GitLab with groups. Default: acme/deploy
	Token      string // that is asked for. Default: none
	Users      []string
	Labels     []string // that exist; GitHub makes those that are missing
	NoDrafts   bool     // as in GitHub's private repositories of some plans
	// Wrap stands in front, to answer some requests wrongly. May be nil.
	Wrap func(http.Handler) http.Handler
	// MaxPage bounds what is on a page, whatever is asked for. Default: 50.
	MaxPage int
}

// State of a request.
type State string

// The states of a request.
const (
	Open   State = "open"
	Merged State = "merged"
	Closed State = "closed"
)

// Request is a pull request, or a merge request.
type Request struct {
	Number      int
	State       State
	Title, Body string
	Draft       bool // GitHub's own; the others read the title
	Head, Base  string
	Commit      string // of the head
	Fork        bool   // the head is in another repository
	Labels      []string
	Assignees   []string
	Reviewers   []string
	Comments    []string
	Edits       int // of title, body or state
	Updated     time.Time
}

// Server is a forge with one repository.
type Server struct {
	URL string // without a slash at its end; of the API, add what the kind has in front

	options Options
	http    http.Server

	mu       sync.Mutex
	requests []*Request
	log      []string
	clock    time.Time
}

// New starts a forge on a free port of this machine.
func New(o Options) (*Server, error) {
	if o.Path == "" {
		o.Path = "acme/deploy"
	}
	if o.MaxPage == 0 {
		o.MaxPage = 50
	}
	s := &Server{options: o, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var handler http.Handler
	switch o.Kind {
	case GitHub:
		handler = s.gitHub()
	case GitLab:
		handler = s.gitLab()
	case Gitea:
		handler = s.gitea()
	default:
		return nil, fmt.Errorf("%q is no kind of forge", o.Kind)
	}
	handler = s.recorded(s.checked(handler))
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", o.Kind, err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.http.Handler = handler
	go s.http.Serve(listener) // ends with Close
	return s, nil
}

// Close stops listening.
func (s *Server) Close() error { return s.http.Close() }

// Requests are all there are, in the order they were opened.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	var all []Request
	for _, r := range s.requests {
		all = append(all, *r)
	}
	return all
}

// Log is what was asked so far: "GET /path?query 200".
func (s *Server) Log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Add puts in a request that nobody asked for, such as one from a fork.
func (s *Server) Add(r Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Number = len(s.requests) + 1
	r.Updated = s.tick()
	s.requests = append(s.requests, &r)
	return r.Number
}

// Merge moves the base to a merge of the head, as a person's click does, and closes the request.
func (s *Server) Merge(number int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sync()
	r, err := s.open(number)
	if err != nil {
		return err
	}
	base, err := s.git("rev-parse", "refs/heads/"+r.Base)
	if err != nil {
		return err
	}
	tree, err := s.git("merge-tree", "--write-tree", base, r.Commit)
	if err != nil {
		return fmt.Errorf("merging %d: %w", number, err)
	}
	commit, err := s.git("commit-tree", "-p", base, "-p", r.Commit, "-m", fmt.Sprintf("Merge #%d", number), strings.Fields(tree)[0])
	if err != nil {
		return err
	}
	if _, err := s.git("update-ref", "refs/heads/"+r.Base, commit, base); err != nil {
		return err
	}
	r.State, r.Updated = Merged, s.tick()
	return nil
}

// Reject closes a request without merging it, as a person's click does.
func (s *Server) Reject(number int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.open(number)
	if err != nil {
		return err
	}
	r.State, r.Updated = Closed, s.tick()
	return nil
}

// Edit changes a request, as a person does.
func (s *Server) Edit(number int, change func(*Request)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(number)
	if r == nil {
		return fmt.Errorf("there is no request %d", number)
	}
	change(r)
	r.Updated = s.tick()
	return nil
}

func (s *Server) open(number int) (*Request, error) {
	if r := s.find(number); r != nil && r.State == Open {
		return r, nil
	}
	return nil, fmt.Errorf("there is no open request %d", number)
}

func (s *Server) find(number int) *Request {
	if number < 1 || number > len(s.requests) {
		return nil
	}
	return s.requests[number-1]
}

// sync brings open requests up to what the repository has: the head's commit; closed where the
// branch is gone, as GitHub and Gitea do; merged where the base has the commit, as GitHub and
// GitLab find.
func (s *Server) sync() {
	for _, r := range s.requests {
		if r.State != Open || r.Fork {
			continue
		}
		commit, err := s.git("rev-parse", "--verify", "--quiet", "refs/heads/"+r.Head)
		if err != nil {
			if s.options.Kind != GitLab {
				r.State, r.Updated = Closed, s.tick()
			}
			continue
		}
		if commit != r.Commit {
			r.Commit, r.Updated = commit, s.tick()
		}
		_, err = s.git("merge-base", "--is-ancestor", commit, "refs/heads/"+r.Base)
		if err == nil && s.options.Kind != Gitea {
			r.State, r.Updated = Merged, s.tick()
		}
	}
}

func (s *Server) git(args ...string) (string, error) {
	return stage.Git(s.options.Repository, args...)
}

func (s *Server) branch(name string) (commit string, ok bool) {
	commit, err := s.git("rev-parse", "--verify", "--quiet", "refs/heads/"+name)
	return commit, err == nil
}

// changes says whether the head has commits that the base lacks.
func (s *Server) changes(head, base string) bool {
	count, err := s.git("rev-list", "--count", "refs/heads/"+base+"..refs/heads/"+head)
	return err == nil && count != "0"
}

func (s *Server) tick() time.Time {
	s.clock = s.clock.Add(time.Second)
	return s.clock
}

// Kind is the forge's.
func (s *Server) Kind() Kind { return s.options.Kind }
