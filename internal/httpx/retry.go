package httpx

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DefaultPatience is how long a request is asked again before its last answer counts.
const DefaultPatience = 30 * time.Second

// maxAttempts is how often a request is sent.
const maxAttempts = 4

// Retry asks again where a registry is busy (429, 502, 503, 504) or hangs up, if
// asking twice changes nothing: reads, and uploads by digest. It asks four times at
// most, and waits as long as Retry-After says, else about a second, doubled each time.
type Retry struct {
	Base http.RoundTripper
	// Patience is the most that a request waits altogether; an answer that asks for
	// more is given to the caller as it is. Zero asks once.
	Patience time.Duration
}

// RoundTrip implements http.RoundTripper.
func (r *Retry) RoundTrip(request *http.Request) (*http.Response, error) {
	left := r.Patience
	for attempt := 0; ; attempt++ {
		response, err := r.Base.RoundTrip(request)
		if attempt+1 == maxAttempts || !again(request, response, err) {
			return response, err
		}
		pause := pauseBefore(attempt, response)
		if pause > left || !fits(request.Context(), pause) {
			return response, err
		}
		next, err2 := rewound(request)
		if err2 != nil {
			return response, err
		}
		drop(response)
		if err := sleep(request.Context(), pause); err != nil {
			return nil, err
		}
		left -= pause
		request = next
	}
}

// again says that the same request may be answered otherwise, and does no harm.
func again(request *http.Request, response *http.Response, err error) bool {
	if !repeatable(request) {
		return false
	}
	if err != nil {
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
			errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "http2: server sent GOAWAY")
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// repeatable leaves out a manifest that is put under a tag: by the second time,
// another may have moved the tag on.
func repeatable(request *http.Request) bool {
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		return false
	}
	switch request.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPost, http.MethodPut:
		// A repository may be called blobs/uploads.
		if at := strings.LastIndex(request.URL.Path, "/manifests/"); at >= 0 && !strings.Contains(request.URL.Path[at+len("/manifests/"):], "/") {
			return strings.HasPrefix(request.URL.Path[at:], "/manifests/sha256:")
		}
		return strings.Contains(request.URL.Path, "/blobs/uploads/") || request.URL.Query().Has("digest")
	}
	return false
}

// pauseBefore is half of the time that doubles, and up to as much again: clients
// that failed together do not come back together.
func pauseBefore(attempt int, response *http.Response) time.Duration {
	if told := RetryAfter(response); told > 0 {
		return told
	}
	half := 500 * time.Millisecond << min(attempt, 6)
	return half + rand.N(half)
}

// RetryAfter is how long an answer asks to wait; zero where it does not.
func RetryAfter(response *http.Response) time.Duration {
	if response == nil {
		return 0
	}
	told := response.Header.Get("Retry-After")
	const most = 1 << 20 // seconds; more than anybody waits
	if seconds, err := strconv.Atoi(told); err == nil {
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	at, err := http.ParseTime(told)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), most*time.Second)
}

func fits(ctx context.Context, pause time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > pause
}

func rewound(request *http.Request) (*http.Request, error) {
	next := request.Clone(request.Context())
	if request.GetBody == nil {
		return next, nil
	}
	var err error
	next.Body, err = request.GetBody()
	return next, err
}

// drop reads what is little, so that the connection can be used again.
func drop(response *http.Response) {
	if response == nil {
		return
	}
	_, _ = io.CopyN(io.Discard, response.Body, 8<<10) // what is left is hung up on
	_ = response.Body.Close()
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
