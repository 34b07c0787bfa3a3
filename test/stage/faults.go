package stage

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Fault is a way in which a registry fails. The zero Fault is none.
type Fault string

// Faults of a registry.
const (
	TooMany    Fault = "429"        // with Retry-After: 1
	Broken     Fault = "500"        //
	HalfBody   Fault = "half"       // the connection ends in the middle of the body
	WrongBytes Fault = "wrong"      // a bit of the body, or the digest in the header, is another
	HangUp     Fault = "connection" // the connection ends without an answer
)

// Question is what a client asks a registry for.
type Question string

// Questions, in the order of a delivery.
const (
	Tag       Question = "tag"       // which digest a tag names
	Signature Question = "signature" // referrers, and the manifests and blobs of signatures
	Layer     Question = "layer"     // the blob that holds the release's files
)

// Faults stands in front of a registry, and answers some questions wrongly. The zero Faults
// passes everything on; it is safe for concurrent use.
type Faults struct {
	mu        sync.Mutex
	fault     Fault
	questions []Question
	layers    map[string]bool // digests of layers
	met       int
}

// Set answers questions with fault from now on; no questions are all. What is written and
// what is asked for otherwise passes.
func (f *Faults) Set(fault Fault, questions ...Question) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.questions, f.met = fault, questions, 0
}

// Layer says that a digest ("sha256:...") is a release's layer.
func (f *Faults) Layer(digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.layers == nil {
		f.layers = map[string]bool{}
	}
	f.layers[digest] = true
}

// Met counts the questions answered wrongly since Set.
func (f *Faults) Met() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.met
}

// Wrap is for RegistryOptions.
func (f *Faults) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := f.next(r)
		if fault == "" {
			next.ServeHTTP(w, r)
			return
		}
		right := httptest.NewRecorder()
		next.ServeHTTP(right, r)
		fault.answer(w, r, right)
	})
}

// next is the fault that r meets.
func (f *Faults) next(r *http.Request) Fault {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	question := f.asked(r)
	if f.fault == "" || question == "" || len(f.questions) > 0 && !slices.Contains(f.questions, question) {
		return ""
	}
	f.met++
	return f.fault
}

// asked is the question of r; empty for what is none, such as whether there is a registry.
func (f *Faults) asked(r *http.Request) Question {
	_, reference, manifest := strings.Cut(r.URL.Path, "/manifests/")
	_, digest, blob := strings.Cut(r.URL.Path, "/blobs/")
	switch {
	case manifest && !strings.Contains(reference, ":"):
		return Tag
	case strings.Contains(r.URL.Path, "/tags/list"):
		return Tag
	case blob && f.layers[digest]:
		return Layer
	case manifest, blob, strings.Contains(r.URL.Path, "/referrers/"):
		return Signature
	}
	return ""
}

func (f Fault) answer(w http.ResponseWriter, r *http.Request, right *httptest.ResponseRecorder) {
	for key, values := range right.Header() {
		w.Header()[key] = values
	}
	body := bytes.Clone(right.Body.Bytes())
	switch f {
	case TooMany:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case Broken:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case HangUp:
		panic(http.ErrAbortHandler)
	case HalfBody:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(right.Code)
		_, _ = w.Write(body[:len(body)/2]) // the client's error, not ours
		panic(http.ErrAbortHandler)
	case WrongBytes:
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		if r.Method == http.MethodHead {
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		}
		w.WriteHeader(right.Code)
		_, _ = w.Write(body)
	}
}
