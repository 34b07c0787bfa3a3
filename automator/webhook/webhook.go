// Package webhook takes registries' and Git servers' notifications for hints: that an image
// has a new tag, or that a branch has moved. A hint makes the automator look; it never says
// what is written, so that a notification that is sent again, or is a lie, costs a look.
package webhook

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Limits of one notification, and of those read at a time.
const (
	maxBody   = 1 << 20
	bodyTime  = 10 * time.Second
	atOnce    = 16
	minSecret = 16 // bytes
)

// Hint is what a notification spoke about: an image, or a Git repository.
type Hint struct {
	Image string // repository with its host, as registry.example.com/apps/shop; empty: none
	Tag   string // may be empty
	Git   string // URL of the repository that was pushed to; empty: none
	Ref   string // with Git: refs/heads/main; may be empty
}

// Options of a handler.
type Options struct {
	// Secrets authenticate senders, in the way that theirs can. One is enough for all; during
	// a change there are two. Each has 16 bytes at least.
	Secrets []string
	// Hint gets what notifications spoke about, on the request's goroutine: it returns at once.
	Hint func(Hint)
}

// New makes a handler of POST /hooks/SENDER, and of /hooks/SENDER/SECRET for senders that can
// neither sign nor send a header. No secret, and a short one, is an error.
func New(opts Options) (http.Handler, error) {
	if len(opts.Secrets) == 0 {
		return nil, errors.New("webhooks need a secret; hint: openssl rand -hex 20")
	}
	for _, secret := range opts.Secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("a webhook's secret has %d bytes at least; hint: openssl rand -hex 20", minSecret)
		}
		if strings.Trim(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			return nil, errors.New("a webhook's secret holds letters, digits and -._~ only, as it may be part of a URL; hint: openssl rand -hex 20")
		}
	}
	if opts.Hint == nil {
		return nil, errors.New("nobody listens to the hints")
	}
	h := &handler{secrets: digests(opts.Secrets), keys: opts.Secrets, hint: opts.Hint, slots: make(chan struct{}, atOnce)}
	mux := http.NewServeMux()
	mux.Handle("/hooks/{sender}", h)
	mux.Handle("/hooks/{sender}/{secret}", h)
	return mux, nil
}

type handler struct {
	secrets [][32]byte
	keys    []string
	hint    func(Hint)
	slots   chan struct{} // one value for each notification being read
}

// ServeHTTP answers 202 to whatever is authentic, also where nothing follows from it:
// registries turn hooks off that fail.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hints, status, word := h.receive(w, r)
	for _, hint := range hints {
		h.hint(hint)
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, word) // a sender that is gone misses a word
}

func (h *handler) receive(w http.ResponseWriter, r *http.Request) (hints []Hint, status int, word string) {
	from, known := senders()[r.PathValue("sender")]
	switch {
	case !known:
		return nil, http.StatusNotFound, "no such sender"
	case r.Method != http.MethodPost:
		return nil, http.StatusMethodNotAllowed, "notifications are sent by POST"
	case !isJSON(r.Header.Get("Content-Type")):
		return nil, http.StatusUnsupportedMediaType, "notifications are JSON (application/json)"
	case r.ContentLength > maxBody:
		return nil, http.StatusRequestEntityTooLarge, "the notification is too large"
	case !from.signs(r) && !h.knows(from.secret(r)):
		return nil, http.StatusUnauthorized, "the secret is missing, or is another"
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return nil, http.StatusServiceUnavailable, "too many notifications at a time"
	}
	body, err := readBody(w, r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge, "the notification is too large"
	case err != nil:
		return nil, http.StatusBadRequest, "the notification breaks off"
	case from.signs(r) && !h.signed(body, from.signature(r)):
		return nil, http.StatusUnauthorized, "the signature is not one with the secret"
	}
	return read(from, r.Header, body)
}

// read turns an authentic notification into hints.
func read(from sender, header http.Header, body []byte) ([]Hint, int, string) {
	hints, err := hintsOf(from, header, body)
	switch {
	case errors.Is(err, errNotJSON):
		return nil, http.StatusBadRequest, "the notification is not JSON"
	case err != nil || len(hints) == 0:
		return nil, http.StatusAccepted, "nothing follows from that"
	}
	return hints, http.StatusAccepted, "thanks"
}

// readBody gives a sender some time, where the server can.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
		defer control.SetReadDeadline(time.Time{}) // the connection is used again
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}
