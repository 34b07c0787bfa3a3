package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Author is a commit's author and committer.
type Author struct{ Name, Email string }

// Message is what a commit says, and who says it. A zero Time is now.
type Message struct {
	Author Author
	Text   string
	Time   time.Time
}

// Pending is a commit that the server may not have yet. The zero Pending stands for no
// commit: an Update to it deletes the ref.
type Pending struct {
	id       plumbing.Hash
	snapshot *Snapshot // nil: of Existing
}

// ID is the commit's, in hex; empty for the zero Pending.
func (p Pending) ID() string {
	if p.id.IsZero() {
		return ""
	}
	return p.id.String()
}

// Snapshot is the commit's, to build another one on it; nil for Existing.
func (p Pending) Snapshot() *Snapshot { return p.snapshot }

// Existing stands for a commit that the server has.
func Existing(id string) (Pending, error) {
	if !plumbing.IsHash(id) {
		return Pending{}, fmt.Errorf("%q is no commit's id", oneLine(id))
	}
	return Pending{id: plumbing.NewHash(id)}, nil
}

// Commit builds a commit on base in which files (by path; nil: deleted) have new contents, and
// signs it if there is a signer. A nil base makes a commit without parents, of these files
// only. A new file is a regular one; an existing one keeps its mode.
func (r *Repository) Commit(ctx context.Context, base *Snapshot, files map[string][]byte, m Message) (Pending, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.build(ctx, base, files, m)
	if err != nil {
		on := "a first commit"
		if base != nil {
			on = "a commit on " + base.Tip()
		}
		return Pending{}, fmt.Errorf("building %s: %w", on, err)
	}
	return Pending{id: s.tip, snapshot: s}, nil
}

func (r *Repository) build(ctx context.Context, base *Snapshot, files map[string][]byte, m Message) (*Snapshot, error) {
	b := builder{made: objects{}}
	s := &Snapshot{repo: r, unpushed: objects{}}
	var root plumbing.Hash
	var parents []plumbing.Hash
	if base != nil {
		b.trees, s.files, root, parents = base.trees, base.files, base.root, []plumbing.Hash{base.tip}
		for id, o := range base.unpushed {
			s.unpushed[id] = o
		}
	}
	root, _, err := b.tree(ctx, root, "", files)
	if err != nil {
		return nil, err
	}
	text, err := commitText(root, parents, m, r.signer)
	if err != nil {
		return nil, err
	}
	s.root = root
	if s.trees, err = reachable(root, nil, b.made, b.trees); err != nil {
		return nil, err
	}
	s.tip = b.made.store(plumbing.CommitObject, text)
	if _, s.log, err = commitOf(b.made, s.tip); err != nil {
		return nil, err
	}
	for id, o := range b.made {
		s.unpushed[id] = o
		if o.kind == plumbing.BlobObject && int64(len(o.data)) <= r.limits.File {
			r.blobs.put(id, o.data)
		}
	}
	return s, nil
}

// commitText encodes a commit, and its signature.
func commitText(root plumbing.Hash, parents []plumbing.Hash, m Message, signer Signer) ([]byte, error) {
	if m.Author.Name == "" || strings.ContainsAny(m.Author.Name+m.Author.Email, "<>\r\n\x00") {
		return nil, fmt.Errorf("author %q <%q>: a name is needed, and neither may hold <, > or line breaks", m.Author.Name, m.Author.Email)
	}
	if strings.ContainsRune(m.Text, 0) {
		return nil, errors.New("the message holds a NUL")
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	by := object.Signature{Name: m.Author.Name, Email: m.Author.Email, When: m.Time.UTC()}
	c := &object.Commit{
		Author: by, Committer: by, TreeHash: root, ParentHashes: parents,
		Message: strings.ToValidUTF8(strings.TrimRight(m.Text, "\n"), "?") + "\n",
	}
	if signer != nil {
		payload, err := encoded(c.EncodeWithoutSignature)
		if err != nil {
			return nil, err
		}
		if c.PGPSignature, err = signer.Sign(payload); err != nil {
			return nil, fmt.Errorf("signing it: %w", err)
		}
	}
	return encoded(c.Encode)
}

func encoded(encode func(plumbing.EncodedObject) error) ([]byte, error) {
	o := new(plumbing.MemoryObject)
	if err := encode(o); err != nil {
		return nil, err
	}
	r, err := o.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// builder makes the trees of a commit.
type builder struct {
	trees objects // of the parent
	made  objects
}

// tree makes the tree in folder dir with the new contents below it. It is empty if nothing is
// left in it.
func (b *builder) tree(ctx context.Context, old plumbing.Hash, dir string, files map[string][]byte) (id plumbing.Hash, empty bool, err error) {
	if err := ctx.Err(); err != nil {
		return plumbing.ZeroHash, false, err
	}
	entries, err := parseTree(b.trees[old].data)
	if err != nil {
		return plumbing.ZeroHash, false, err
	}
	at := make(map[string]int, len(entries))
	for i, e := range entries {
		at[e.name] = i
	}
	added := false
	gone := map[string]bool{}
	for name, below := range byFolder(dir, files) {
		i, ok := at[name]
		if !ok {
			entries, i, added = append(entries, entry{name: name}), len(entries), true
		}
		if err := b.entry(ctx, &entries[i], dir+name, below); err != nil {
			return plumbing.ZeroHash, false, err
		}
		gone[name] = entries[i].id.IsZero()
	}
	entries = without(entries, gone)
	if added {
		sortEntries(entries)
	}
	return b.made.store(plumbing.TreeObject, encodeTree(entries)), len(entries) == 0, nil
}

func without(entries []entry, gone map[string]bool) []entry {
	var left []entry
	for _, e := range entries {
		if !gone[e.name] {
			left = append(left, e)
		}
	}
	return left
}

// byFolder sorts files by the entry of dir that they are, or that they are below.
func byFolder(dir string, files map[string][]byte) map[string]map[string][]byte {
	sorted := map[string]map[string][]byte{}
	for path, content := range files {
		first, _, _ := strings.Cut(path[len(dir):], "/")
		if sorted[first] == nil {
			sorted[first] = map[string][]byte{}
		}
		sorted[first][path] = content
	}
	return sorted
}

// entry changes one entry; a zero id says that it is gone.
func (b *builder) entry(ctx context.Context, e *entry, path string, files map[string][]byte) error {
	content, isFile := files[path]
	switch isNew := e.mode == ""; {
	case isFile && len(files) > 1:
		return fmt.Errorf("%s would be a file and a folder", path)
	case isFile && OddPath(path) != "":
		return fmt.Errorf("%q: %s", path, OddPath(path))
	case isFile && !isNew && !e.isRegular():
		return fmt.Errorf("%s is no regular file", path)
	case isFile && isNew && content == nil:
		return fmt.Errorf("deleting %s: %w", path, fs.ErrNotExist)
	case isFile && content == nil:
		e.id = plumbing.ZeroHash
		return nil
	case isFile:
		if isNew {
			e.mode = modeFile
		}
		e.id = b.made.store(plumbing.BlobObject, content)
		return nil
	case isNew:
		e.mode = modeDir
	case !e.isDir():
		return fmt.Errorf("%s is no folder", path)
	}
	id, empty, err := b.tree(ctx, e.id, path+"/", files)
	if e.id = id; empty {
		e.id = plumbing.ZeroHash
	}
	return err
}
