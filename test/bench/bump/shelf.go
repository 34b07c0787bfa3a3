package bump

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"sealift.dev/test/bench/wire"
)

// shelf is a registry of tags: it lists them in pages, in lexical order, and has a manifest for
// each, but no content. A hundred thousand images would take long to push.
type shelf struct {
	host     string
	meter    wire.Meter
	requests atomic.Int64
	server   *http.Server

	mu        sync.Mutex
	tags      map[string][]string // by repository, sorted
	manifests map[string][]byte   // by digest
}

// page is how many tags one answer has where the client asks for no fewer.
const page = 1000

func newShelf() (*shelf, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &shelf{host: listener.Addr().String(), tags: map[string][]string{}, manifests: map[string][]byte{}}
	s.server = &http.Server{Handler: s}
	go s.server.Serve(s.meter.Listen(listener)) // ends with Close
	return s, nil
}

// put adds tags to a repository.
func (s *shelf) put(repository string, tags ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(s.tags[repository], tags...)
	slices.Sort(all)
	s.tags[repository] = all
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	repository, lists := strings.CutSuffix(path, "/tags/list")
	at, reference, manifest := strings.Cut(path, "/manifests/")
	switch {
	case path == "":
		w.WriteHeader(http.StatusOK)
	case lists:
		s.list(w, r, repository)
	case manifest:
		s.manifest(w, at, reference)
	default:
		http.NotFound(w, r)
	}
}

func (s *shelf) list(w http.ResponseWriter, r *http.Request, repository string) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > page {
		n = page
	}
	s.mu.Lock()
	all, found := s.tags[repository]
	s.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	if last := r.URL.Query().Get("last"); last != "" {
		i, exact := slices.BinarySearch(all, last)
		if exact {
			i++
		}
		all = all[i:]
	}
	if len(all) > n {
		all = all[:n]
		w.Header().Set("Link", fmt.Sprintf("</v2/%s/tags/list?last=%s&n=%d>; rel=\"next\"", repository, all[n-1], n))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": all}) // the client's error, not ours
}

func (s *shelf) manifest(w http.ResponseWriter, repository, reference string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := s.manifests[reference]
	if _, found := slices.BinarySearch(s.tags[repository], reference); found {
		data = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[],"annotations":{"of":"%s:%s"}}`, repository, reference)
	}
	if data == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	s.manifests[digest] = data
	w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // the client's error, not ours
}
