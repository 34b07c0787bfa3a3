// Package forge opens, renews and closes pull requests on GitHub, GitLab, Gitea and Forgejo.
package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sealift.dev/internal/text"
)

// The providers that Open knows, in any case.
const (
	GitHub  = "GitHub"
	GitLab  = "GitLab"
	Gitea   = "Gitea"
	Forgejo = "Forgejo"
)

// State of a pull request.
type State string

// The states of a pull request.
const (
	StateOpen   State = "open"
	StateMerged State = "merged"
	StateClosed State = "closed" // without having been merged
)

// Request is a pull request, or a merge request, as it is on the forge.
type Request struct {
	Number     int64
	URL        string // for people
	State      State
	Head, Base string // branches, without refs/heads/
	HeadCommit string // in hex, as the forge knows it; it may lag behind a push
	Title      string // without what marks a draft
	Body       string
	Draft      bool
	Closed     time.Time // when it was closed or merged; zero: it is open
	// Notes say what of a Proposal was not set when the request was opened, and why.
	Notes []string
}

// Proposal is a pull request to open.
type Proposal struct {
	Head, Base  string // branches of the same repository
	Title, Body string
	Draft       bool
	Labels      []string
	Assignees   []string // user names
	Reviewers   []string // user names; on GitHub and Gitea also ORGANISATION/TEAM
}

// Forge keeps pull requests of one repository.
type Forge interface {
	// Find lists the requests from branches of the repository itself into base, by branch, in
	// every state, the latest first. Requests from forks do not count.
	Find(ctx context.Context, base string, heads ...string) (map[string][]Request, error)
	// Create opens one. It fails with ErrExists where one is open already.
	Create(ctx context.Context, p Proposal) (Request, error)
	// Update writes title and body; a draft stays one.
	Update(ctx context.Context, r Request, title, body string) error
	// Close says why in a comment, if that is not empty, and closes the request.
	Close(ctx context.Context, r Request, comment string) error
}

// ErrExists is a pull request that is open already for the same two branches.
var ErrExists = errors.New("a pull request of these branches is open already")

// Limits of what is sent and read.
const (
	// MaxBody is how many characters a description may have; GitHub takes no more.
	MaxBody = 65_536
	// MaxTitle is how many characters a title may have; GitLab and Gitea take 255.
	MaxTitle = 240
	maxPages = 10 // of a listing
	pageSize = 50
	// maxClosedPages is for a forge that cannot be asked about a branch: what was closed
	// lately matters.
	maxClosedPages = 4
)

// Options say which repository, and how its forge is reached.
type Options struct {
	// Provider is one of the constants above, in any case.
	Provider string
	// Repo is the Git URL of the repository: https://, ssh:// or git@HOST:PATH.
	Repo string
	// URL is the API's. Empty: that of the repository's host, https:// except where Repo
	// is http://.
	URL string
	// Confined lets URL lie on the host of Repo only, where the token belongs anyhow.
	Confined bool
	// Token gives what authenticates to the API; it is asked for each request and may be
	// renewed in between. Nil, or an empty token: anonymous.
	Token func(context.Context) (string, error)
	// Transport carries the requests.
	Transport http.RoundTripper
	// PlainHTTP allows http:// to hosts other than this machine.
	PlainHTTP bool
	// UserAgent names the program. Empty: sealift.
	UserAgent string
}

// Open prepares access to the repository's forge; it sends nothing.
func Open(o Options) (Forge, error) {
	at, err := locate(o)
	if err != nil {
		return nil, fmt.Errorf("pull requests of %s: %w", text.Line(redacted(o.Repo), 200), err)
	}
	switch strings.ToLower(o.Provider) {
	case "github":
		return newGitHub(o, at)
	case "gitlab":
		return newGitLab(o, at)
	}
	return newGitea(o, at)
}
