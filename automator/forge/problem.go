package forge

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealift.dev/internal/httpx"
	"sealift.dev/internal/text"
)

// Error is what a forge answered instead of doing what was asked.
type Error struct {
	Host    string
	Status  int    // of HTTP
	Message string // the forge's own, on one line
	Hint    string // what a person can do; may be empty
	// Until is when to ask again, where the forge limits the rate. Zero: it does not.
	Until time.Time
}

// Error says status, message and hint.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s answers %d %s", e.Host, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	if !e.Until.IsZero() {
		s += "; not before " + e.Until.UTC().Format(time.RFC3339)
	}
	if e.Hint != "" {
		s += "; hint: " + e.Hint
	}
	return s
}

const maxMessage = 300 // bytes of a forge's message

func newError(response *http.Response, body []byte) *Error {
	e := &Error{Host: response.Request.URL.Host, Status: response.StatusCode, Message: message(body)}
	e.Until = limitedUntil(response, e.Message)
	if !e.Until.IsZero() {
		return e
	}
	switch e.Status {
	case http.StatusUnauthorized:
		e.Hint = "the token is missing, wrong or has expired"
	case http.StatusForbidden:
		e.Hint = "the token may not do this: GitHub wants pull requests and contents to be writable, GitLab the scope api, Gitea write:repository and write:issue"
	case http.StatusNotFound:
		e.Hint = "check the repository's URL; to a token without rights a private one is not there"
	}
	return e
}

// limitedUntil is when a rate limit ends; zero: the answer is about something else.
func limitedUntil(response *http.Response, message string) time.Time {
	const least = time.Minute // what GitHub asks for where it names no time
	limited := response.StatusCode == http.StatusTooManyRequests
	if wait := httpx.RetryAfter(response); wait > 0 && (limited || response.StatusCode == http.StatusForbidden) {
		return time.Now().Add(wait).Truncate(time.Second)
	}
	spent := response.Header.Get("X-Ratelimit-Remaining") == "0" || response.Header.Get("Ratelimit-Remaining") == "0"
	for _, name := range []string{"X-Ratelimit-Reset", "Ratelimit-Reset"} {
		seconds, err := strconv.ParseInt(response.Header.Get(name), 10, 64)
		if err == nil && seconds > 0 && (limited || spent && response.StatusCode == http.StatusForbidden) {
			return time.Unix(seconds, 0)
		}
	}
	lower := strings.ToLower(message)
	if limited || response.StatusCode == http.StatusForbidden && (strings.Contains(lower, "rate limit") || strings.Contains(lower, "abuse")) {
		return time.Now().Add(least).Truncate(time.Second)
	}
	return time.Time{}
}

// message reads what GitHub, GitLab and Gitea write about an error, each in its own form.
func message(body []byte) string {
	var answer struct {
		Message     any `json:"message"`
		Error       any `json:"error"`
		Errors      any `json:"errors"`
		Description any `json:"error_description"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "" // a proxy's page, for instance
	}
	var parts []string
	for _, part := range []any{answer.Message, answer.Error, answer.Description, answer.Errors} {
		parts = append(parts, flatten(part, 0)...)
	}
	return text.Line(strings.Join(slices.Compact(parts), ": "), maxMessage)
}

// flatten lists the texts in a JSON value: objects of field and list, lists, texts.
func flatten(value any, depth int) []string {
	const deepest = 4
	if depth > deepest {
		return nil
	}
	var parts []string
	switch value := value.(type) {
	case string:
		if value != "" {
			parts = append(parts, value)
		}
	case []any:
		for _, item := range value {
			parts = append(parts, flatten(item, depth+1)...)
		}
	case map[string]any:
		if text, ok := value["message"].(string); ok && text != "" {
			return []string{text}
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			for _, part := range flatten(value[key], depth+1) {
				parts = append(parts, key+" "+part)
			}
		}
	}
	return parts
}

// told is err as one says it: without the request that net/http puts before it.
func told(act string, err error) error {
	if err == nil {
		return nil
	}
	if problem, ok := errors.AsType[*Error](err); ok {
		err = problem
	} else if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("%s: %w", act, err)
}

// exists says that opening failed with err since there is such a request. GitLab may say so
// in any language.
func exists(err error) bool {
	problem, ok := errors.AsType[*Error](err)
	return ok && (problem.Status == http.StatusConflict ||
		problem.Status == http.StatusUnprocessableEntity && strings.Contains(strings.ToLower(problem.Message), "already exists"))
}
