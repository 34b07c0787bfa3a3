// Package webhook takes registries' and Git servers' notifications for hints: that an image
// has a new tag, or that a branch has moved. A hint makes the automator look; it never says
// what is written.
package webhook

import (
	"errors"
	"net/http"
)

// Hint is what a notification spoke about: an image, or a Git repository.
type Hint struct {
	Image string // the repository, with its host: registry.example.com/apps/shop; empty: none
	Tag   string // may be empty
	Git   string // URL of the repository that was pushed to, or its path where that is all that is said; empty: none
	Ref   string // with Git: refs/heads/main
}

// Options of a handler.
type Options struct {
	// Secrets authenticate senders, in any of the ways that theirs can. At least one, each of
	// at least 16 bytes.
	Secrets []string
	// Hint gets what notifications spoke about, on the goroutine of the request: it returns at once.
	Hint func(Hint)
}

// New makes a handler. It answers POST at /hooks/SENDER, and /hooks/SENDER/SECRET for senders
// that can neither sign nor send a header.
func New(opts Options) (http.Handler, error) { return nil, errors.New("not yet") }
