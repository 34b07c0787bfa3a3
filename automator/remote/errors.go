package remote

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sealift.dev/internal/text"
)

// ErrGone is a commit that was read or asked for, and that the server does not have any more:
// somebody has moved the branch by force.
var ErrGone = errors.New("the commit is not there any more")

// limitError is an answer, or what it unpacks to, that is beyond a limit.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// hinted adds what a person can do about an error.
func hinted(err error) error {
	var status *errStatus
	var server *errServer
	switch {
	case err == nil || strings.Contains(err.Error(), "hint: "):
		return err
	case errors.As(err, &status):
		if hint := status.hint(); hint != "" {
			return fmt.Errorf("%w; hint: %s", err, hint)
		}
	case errors.As(err, &server) && (strings.Contains(server.text, "not our ref") || strings.Contains(server.text, "not valid")):
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

func (e *errStatus) hint() string {
	switch e.code {
	case http.StatusUnauthorized:
		return "pass a user name and a password or token, or newer ones"
	case http.StatusForbidden:
		return "these credentials may not do this: check their rights"
	case http.StatusNotFound:
		return "check the URL; a private repository may need credentials"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return "the repository has moved: check the URL"
	case http.StatusTooManyRequests:
		return "ask less often"
	}
	return ""
}

// oneLine keeps a server's message short and free of control characters.
func oneLine(s string) string {
	const most = 300
	return text.Line(strings.TrimSpace(s), most)
}
