package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	maxRecent = 4      // snapshots that are remembered
	maxWants  = 20_000 // files that one request asks for
)

// Snapshot is a commit and its folders. Its files are read when they are asked for.
type Snapshot struct {
	repo  *Repository
	tip   plumbing.Hash
	root  plumbing.Hash
	trees objects
	log   Commit
	// files are all that are not too large, where the server does not give single ones; else nil.
	files objects
	// unpushed are the objects that the server lacks, if this commit is not there yet.
	unpushed objects
}

// Snapshot reads the folders of a commit, and its files only where the server cannot leave
// them out. Of a commit that is like one of the last four, only the difference is transferred;
// nothing at all of one of these four, or of one that was pushed.
func (r *Repository) Snapshot(ctx context.Context, tip string) (*Snapshot, error) {
	if !plumbing.IsHash(tip) {
		return nil, fmt.Errorf("reading %s of %s: that is no commit's id", oneLine(tip), r.url)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := plumbing.NewHash(tip)
	for _, known := range r.recent {
		if known.tip == id {
			return known, nil
		}
	}
	s, err := r.readSnapshot(ctx, id, r.recent)
	var status *errStatus
	if err != nil && len(r.recent) > 0 && ctx.Err() == nil && !errors.As(err, &status) {
		// The server may have forgotten what the difference was to be made from.
		s, err = r.readSnapshot(ctx, id, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", tip, r.url, hinted(err))
	}
	r.remember(s)
	return s, nil
}

// remember keeps s, and others as long as there are few and their files are not many bytes.
func (r *Repository) remember(s *Snapshot) {
	others := r.recent
	r.recent = []*Snapshot{s}
	size := s.fileBytes()
	for _, other := range others[:min(len(others), maxRecent-1)] {
		if size += other.fileBytes(); size <= r.limits.Cache {
			r.recent = append(r.recent, other)
		}
	}
}

// fileBytes counts the files that s keeps.
func (s *Snapshot) fileBytes() int64 {
	size := int64(0)
	for _, o := range s.files {
		size += int64(len(o.data))
	}
	return size
}

func (r *Repository) readSnapshot(ctx context.Context, tip plumbing.Hash, like []*Snapshot) (*Snapshot, error) {
	g, err := r.greet(ctx)
	if err != nil {
		return nil, err
	}
	w := want{ids: []plumbing.Hash{tip}, depth: 1, limits: r.limits}
	s := &Snapshot{repo: r, tip: tip}
	if w.filter = "blob:none"; !g.canFilter() || !g.canPick() {
		w.filter = r.limitFilter()
		s.files = objects{}
	}
	var pools []objects
	if g.canShallow() {
		w.known = objects{}
		for _, other := range like {
			w.haves = append(w.haves, other.tip)
			pools = append(pools, other.trees, other.files)
			maps.Copy(w.known, other.trees)
		}
	}
	if s.files != nil {
		w.known = nil // differences could be from a file that was dropped
	}
	got, err := r.fetch(ctx, g, w)
	if err != nil {
		return nil, err
	}
	if s.root, s.log, err = commitOf(got, tip); err != nil {
		return nil, err
	}
	s.trees, err = reachable(s.root, s.files, append([]objects{got}, pools...)...)
	return s, err
}

// limitFilter leaves out the files that are too large.
func (r *Repository) limitFilter() string { return fmt.Sprintf("blob:limit=%d", r.limits.File+1) }

func decodeCommit(from objects, id plumbing.Hash) (*object.Commit, error) {
	o, ok := from[id]
	if !ok || o.kind != plumbing.CommitObject {
		return nil, errors.New("what the server sent has no such commit")
	}
	encoded := new(plumbing.MemoryObject)
	encoded.SetType(o.kind)
	if _, err := encoded.Write(o.data); err != nil {
		return nil, err
	}
	c := new(object.Commit)
	if err := c.Decode(encoded); err != nil {
		return nil, fmt.Errorf("decoding the commit: %w", err)
	}
	c.Hash = id
	return c, nil
}

// Tip is the commit's id, in hex.
func (s *Snapshot) Tip() string { return s.tip.String() }

// Files visits the regular files in the order of their paths. Symbolic links and submodules
// are left out. Odd says what is wrong with a path that nobody should write; empty: nothing.
func (s *Snapshot) Files(ctx context.Context, visit func(path, blob, odd string) error) error {
	w := &walker{trees: s.trees, visit: visit}
	if err := w.walk(ctx, s.root, "", 0); err != nil {
		return fmt.Errorf("reading the folders of %s: %w", s.tip, err)
	}
	return nil
}

// Find is the blob of one regular file; empty: there is none.
func (s *Snapshot) Find(path string) (blob string, err error) {
	e, ok, err := s.find(path)
	if err != nil {
		return "", fmt.Errorf("reading the folders of %s: %w", s.tip, err)
	}
	if !ok || !e.isRegular() {
		return "", nil
	}
	return e.id.String(), nil
}

// BlobID is the id that Git gives a file of this content, for Find's.
func BlobID(content []byte) string {
	return plumbing.ComputeHash(plumbing.BlobObject, content).String()
}

func (s *Snapshot) find(path string) (entry, bool, error) {
	e := entry{mode: modeDir, id: s.root}
	for part := range strings.SplitSeq(path, "/") {
		if !e.isDir() {
			return entry{}, false, nil
		}
		entries, err := parseTree(s.trees[e.id].data)
		if err != nil {
			return entry{}, false, err
		}
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == part })
		if i < 0 {
			return entry{}, false, nil
		}
		e = entries[i]
	}
	return e, true, nil
}

// Read gives the contents of files by their blobs, in one request for all that are not known
// yet. A blob larger than Limits.File is left out of the map, and is in tooLarge.
func (s *Snapshot) Read(ctx context.Context, blobs []string) (contents map[string][]byte, tooLarge []string, err error) {
	s.repo.mu.Lock()
	defer s.repo.mu.Unlock()
	contents = map[string][]byte{}
	found, err := s.read(ctx, blobs)
	if err != nil {
		return nil, nil, fmt.Errorf("reading files of %s of %s: %w", s.tip, s.repo.url, hinted(err))
	}
	for _, blob := range blobs {
		if o := found[plumbing.NewHash(blob)]; o.data != nil {
			contents[blob] = o.data
		} else if !slices.Contains(tooLarge, blob) {
			tooLarge = append(tooLarge, blob)
		}
	}
	return contents, tooLarge, nil
}

// read finds what is known, and asks for the rest. What is not in the result is too large.
func (s *Snapshot) read(ctx context.Context, blobs []string) (objects, error) {
	found := objects{}
	var lacking []plumbing.Hash
	for _, blob := range blobs {
		if !plumbing.IsHash(blob) {
			return nil, fmt.Errorf("%q is no file's id", oneLine(blob))
		}
		id := plumbing.NewHash(blob)
		if _, ok := found[id]; ok {
			continue
		}
		o, ok := s.known(id)
		if found[id] = o; !ok {
			lacking = append(lacking, id)
		}
	}
	if len(lacking) == 0 || s.files != nil {
		return found, nil
	}
	got, err := s.pick(ctx, lacking)
	var limit *limitError
	var refused *errServer
	if errors.As(err, &limit) || errors.As(err, &refused) {
		// Single files come whole, however large, and some servers give none. A commit can be
		// had without the large ones.
		got, err = s.sieve(ctx, refused != nil)
	}
	if err != nil {
		return nil, err
	}
	for _, id := range lacking {
		found[id] = got[id]
		s.repo.blobs.put(id, got[id].data)
	}
	return found, nil
}

func (s *Snapshot) known(id plumbing.Hash) (gitObject, bool) {
	if o, ok := s.unpushed[id]; ok {
		return o, true
	}
	if o, ok := s.files[id]; ok {
		return o, true
	}
	content, ok := s.repo.blobs.get(id)
	return gitObject{kind: plumbing.BlobObject, data: content}, ok
}

// pick asks for files by their names.
func (s *Snapshot) pick(ctx context.Context, ids []plumbing.Hash) (objects, error) {
	g, err := s.repo.greet(ctx)
	if err != nil {
		return nil, err
	}
	got := objects{}
	for some := range slices.Chunk(ids, maxWants) {
		part, err := s.repo.fetch(ctx, g, want{ids: some, limits: s.repo.limits})
		if err != nil {
			return nil, err
		}
		maps.Copy(got, part)
	}
	for _, id := range ids {
		if got[id].kind != plumbing.BlobObject {
			return nil, fmt.Errorf("the server left out the file %s", id)
		}
	}
	return got, nil
}

// sieve asks for all files that are not too large.
func (s *Snapshot) sieve(ctx context.Context, noPick bool) (objects, error) {
	g, err := s.repo.greet(ctx)
	if err != nil {
		return nil, err
	}
	g.noPick = g.noPick || noPick
	return s.repo.fetch(ctx, g, want{ids: []plumbing.Hash{s.tip}, depth: 1, filter: s.repo.limitFilter(), limits: s.repo.limits})
}
