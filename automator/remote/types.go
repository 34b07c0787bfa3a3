package remote

import (
	"context"
	"errors"
	"time"
)

var errTodo = errors.New("not there yet")

// Open checks the options. It does not speak to the server.
func Open(o Options) (*Repository, error) { return nil, errTodo }

// Close hangs up connections that are kept between requests. The Repository can be used again.
func (r *Repository) Close() {}

// Refs are the commits (or tags) that the refs of these full names are at, as hex ids; a ref
// that is not there is not in the map.
func (r *Repository) Refs(ctx context.Context, names ...string) (map[string]string, error) {
	return nil, errTodo
}

// DefaultBranch is the branch that the remote's HEAD names, without refs/heads/.
func (r *Repository) DefaultBranch(ctx context.Context) (string, error) { return "", errTodo }

// Snapshot reads the folders of a commit, and its files only where the server cannot leave
// them out. Nothing is asked if the commit is the one that was read or pushed last.
func (r *Repository) Snapshot(ctx context.Context, tip string) (*Snapshot, error) {
	return nil, errTodo
}

// Snapshot is a commit and its folders.
type Snapshot struct{}

// Tip is the commit's id, in hex.
func (s *Snapshot) Tip() string { return "" }

// Files visits the regular files in the order of their paths. Symbolic links and submodules
// are left out. Odd says what is wrong with a path that nobody should write; empty: nothing.
func (s *Snapshot) Files(ctx context.Context, visit func(path, blob, odd string) error) error {
	return errTodo
}

// Find is the blob of one regular file; empty: there is none.
func (s *Snapshot) Find(path string) (blob string, err error) { return "", errTodo }

// Read gives the contents of files by their blobs, in one request for all that are not known
// yet. A blob larger than Limits.File is left out of the map, and is in tooLarge.
func (s *Snapshot) Read(ctx context.Context, blobs []string) (contents map[string][]byte, tooLarge []string, err error) {
	return nil, nil, errTodo
}

// Diff shows what files (by path; nil: deleted) would change in s, in Git's unified format.
func (s *Snapshot) Diff(ctx context.Context, files map[string][]byte) (string, error) {
	return "", errTodo
}

// Commit is one entry of a history.
type Commit struct {
	ID      string
	Parents []string
	Author  Author
	Time    time.Time // of the committer
	Message string
}

// Author is a commit's author and committer.
type Author struct{ Name, Email string }

// History gives up to n commits from tip on, newest first, without their files where the
// server can leave them out.
func (r *Repository) History(ctx context.Context, tip string, n int) ([]Commit, error) {
	return nil, errTodo
}

// Message is what a commit says, and who says it. A zero Time is now.
type Message struct {
	Author Author
	Text   string
	Time   time.Time
}

// Pending is a commit that the server may not have yet. The zero Pending stands for no
// commit: an Update to it deletes the ref.
type Pending struct{}

// ID is the commit's, in hex; empty for the zero Pending.
func (p Pending) ID() string { return "" }

// Snapshot is the commit's, to build another one on it.
func (p Pending) Snapshot() *Snapshot { return nil }

// Existing stands for a commit that the server has.
func Existing(id string) (Pending, error) { return Pending{}, errTodo }

// Commit builds a commit on base in which files (by path; nil: deleted) have new contents, and
// signs it if there is a signer. A nil base makes a commit without parents, of these files
// only. A new file is a regular one; an existing one keeps its mode.
func (r *Repository) Commit(ctx context.Context, base *Snapshot, files map[string][]byte, m Message) (Pending, error) {
	return Pending{}, errTodo
}

// Update moves one ref. The server does so only if the ref is at Old, so nobody's commit is
// lost; an empty Old makes a ref that is not there. New need not descend from Old.
type Update struct {
	Ref string // full: refs/heads/main
	Old string // hex
	New Pending
}

// PushOptions of a push. The zero value has none.
type PushOptions struct {
	Options []string // as git push -o sends them; an error if the server takes none
	Atomic  bool     // all refs move, or none; an error if the server cannot
}

// Push moves refs in one request. What the server refuses is in the error, as one
// *RejectedError for each ref (see Rejections); the other refs have moved.
func (r *Repository) Push(ctx context.Context, updates []Update, o PushOptions) error {
	return errTodo
}

// RejectedError is a ref that the server did not move.
type RejectedError struct {
	Ref    string
	Reason string // of the server, on one line
}

func (e *RejectedError) Error() string { return "the push to " + e.Ref + " was rejected: " + e.Reason }

// Rejections are the refs that an error of Push tells of.
func Rejections(err error) []*RejectedError { return nil }

// Signer signs commits.
type Signer interface {
	// Sign returns an armored signature of payload.
	Sign(payload []byte) (string, error)
}

// NewSigner reads a private key that signs commits: an SSH key, or an armored OpenPGP key.
// Passphrase opens it; empty: it is not locked.
func NewSigner(key, passphrase []byte) (Signer, error) { return nil, errTodo }

type (
	wire     interface{}
	greeting struct{}
	cache    struct{}
	hash     [20]byte
)
