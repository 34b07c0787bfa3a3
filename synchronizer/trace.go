package synchronizer

import (
	"errors"
	"net/http"

	"sealift.dev/verify"
)

// step tells the trace that a pass of d begins a step.
func (s *Synchronizer) step(d Delivery, step Step) {
	if s.options.Trace.Step != nil {
		s.options.Trace.Step(d.Key(), step)
	}
}

// verdict tells the trace what came of verifying a release.
func (s *Synchronizer) verdict(err error) {
	if s.options.Trace.Verdict == nil {
		return
	}
	var refusal *verify.Refusal
	switch {
	case errors.As(err, &refusal):
		s.options.Trace.Verdict(string(refusal.Reason))
	case err == nil:
		s.options.Trace.Verdict("")
	}
}

// trouble tells the trace that the cache does not work.
func (s *Synchronizer) trouble(err error) {
	if s.options.Trace.Trouble != nil {
		s.options.Trace.Trouble(err)
	}
}

// traced tells what every request is answered with, also those to token servers.
type traced struct {
	base   http.RoundTripper
	answer func(host string, status int)
}

func (t traced) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.base.RoundTrip(request)
	status := 0
	if err == nil {
		status = response.StatusCode
	}
	t.answer(request.URL.Host, status)
	return response, err
}

// tracing is base, traced where anybody wants to know.
func (s *Synchronizer) tracing(base http.RoundTripper) http.RoundTripper {
	if s.options.Trace.Answer == nil {
		return base
	}
	return traced{base: base, answer: s.options.Trace.Answer}
}
