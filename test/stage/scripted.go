package stage

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Answer is what a scripted registry says to a request. The zero value is an empty 200.
type Answer struct {
	Status int // 0: 200
	Header http.Header
	Body   []byte
	// Stream writes the body instead of Body, in chunks, as long as it likes. It ends when the
	// client is gone, which fails its writes and ends the context.
	Stream func(ctx context.Context, w io.Writer) error
	// Do gives the answer instead of all the others. Nil: the others count.
	Do http.HandlerFunc
}

// Asked is a request that a scripted registry got.
type Asked struct {
	Method, Host, Path, Query string
	Header                    http.Header
	Body                      string // its first 64 KiB
}

// ScriptedOptions of a scripted registry. The zero value is one behind plain HTTP.
type ScriptedOptions struct {
	// TLSDir is a folder for a certificate of 127.0.0.1 and localhost, and of the authority that
	// signed it (ca.crt). Empty: plain HTTP.
	TLSDir string
}

// Scripted is a registry that gives the bytes it was told to, path by path, and 404 elsewhere: for
// what no real registry would answer. It is safe for concurrent use.
type Scripted struct {
	Host string // address and port
	CA   string // path of the PEM file; empty without TLS

	server  *server
	mu      sync.Mutex
	answers map[string]Answer
	asked   []Asked
}

// NewScripted listens on a free port.
func NewScripted(options ScriptedOptions) (*Scripted, error) {
	s := &Scripted{answers: map[string]Answer{}}
	start := func() (*server, error) { return serve(http.HandlerFunc(s.handle)) }
	if options.TLSDir != "" {
		start = func() (*server, error) { return s.serveTLS(options.TLSDir) }
	}
	server, err := start()
	if err != nil {
		return nil, fmt.Errorf("starting the scripted registry: %w", err)
	}
	s.server, s.Host = server, server.address
	return s, nil
}

func (s *Scripted) serveTLS(dir string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	files, err := newCertificates(dir)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		return nil, err
	}
	s.CA = filepath.Clean(files.ca)
	return serveTLS(http.HandlerFunc(s.handle), &tls.Config{Certificates: []tls.Certificate{pair}})
}

// Close stops listening and hangs up on everybody.
func (s *Scripted) Close() error { return s.server.Close() }

// URL is the registry's address with its scheme.
func (s *Scripted) URL() string {
	if s.CA != "" {
		return "https://" + s.Host
	}
	return "http://" + s.Host
}

// On answers a method and a path from now on. The path "*" is every path without an answer of its
// own, and an empty method every method without one.
func (s *Scripted) On(method, path string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[method+" "+path] = a
}

// Blob stores data, and gives its digest.
func (s *Scripted) Blob(repository string, data []byte) digest.Digest {
	d := digest.FromBytes(data)
	s.On("", fmt.Sprintf("/v2/%s/blobs/%s", repository, d), Answer{Body: data, Header: http.Header{
		"Content-Type": {"application/octet-stream"}, "Docker-Content-Digest": {d.String()}}})
	return d
}

// Manifest stores data under its digest and under tags, and gives the digest.
func (s *Scripted) Manifest(repository, mediaType string, data []byte, tags ...string) digest.Digest {
	d := digest.FromBytes(data)
	for _, reference := range append(tags, d.String()) {
		s.On("", fmt.Sprintf("/v2/%s/manifests/%s", repository, reference), Answer{Body: data, Header: http.Header{
			"Content-Type": {mediaType}, "Docker-Content-Digest": {d.String()}}})
	}
	return d
}

// Index answers the referrers API for a subject with descriptors, which are encoded as JSON.
func (s *Scripted) Index(repository string, subject digest.Digest, descriptors ...any) error {
	if descriptors == nil {
		descriptors = []any{}
	}
	const mediaType = "application/vnd.oci.image.index.v1+json"
	data, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": descriptors})
	if err != nil {
		return err
	}
	s.On("", fmt.Sprintf("/v2/%s/referrers/%s", repository, subject), Answer{Body: data, Header: http.Header{"Content-Type": {mediaType}}})
	return nil
}

// Asked lists the requests so far.
func (s *Scripted) Asked() []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Told says whether a request carried secret, in whatever place, or any credential at all where
// secret is empty.
func (s *Scripted) Told(secret string) bool {
	for _, a := range s.Asked() {
		if secret == "" && a.Header.Get("Authorization") != "" {
			return true
		}
		everything := a.Path + "?" + a.Query + fmt.Sprint(a.Header) + a.Body
		if secret != "" && strings.Contains(everything, secret) {
			return true
		}
	}
	return false
}

func (s *Scripted) handle(w http.ResponseWriter, r *http.Request) {
	const most = 64 << 10
	body, _ := io.ReadAll(io.LimitReader(r.Body, most)) // a client that hangs up has said enough
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := s.find(r, string(body))
	if answer.Do != nil {
		answer.Do(w, r)
		return
	}
	for key, values := range answer.Header {
		w.Header()[key] = values
	}
	status := answer.Status
	if status == 0 {
		status = http.StatusOK
	}
	if answer.Stream == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.Body)))
	}
	w.WriteHeader(status)
	switch {
	case r.Method == http.MethodHead:
	case answer.Stream != nil:
		_ = answer.Stream(r.Context(), flushing{w}) // the client's error, not ours
	default:
		_, _ = w.Write(answer.Body)
	}
}

// find records a request, and looks its answer up: the exact one first.
func (s *Scripted) find(r *http.Request, body string) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, Asked{Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body})
	for _, key := range []string{r.Method + " " + r.URL.Path, " " + r.URL.Path, r.Method + " *", " *"} {
		if answer, found := s.answers[key]; found {
			return answer
		}
	}
	return Answer{Status: http.StatusNotFound}
}

// flushing sends every write at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok && err == nil {
		flusher.Flush()
	}
	return n, err
}
