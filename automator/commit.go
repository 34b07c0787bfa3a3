package automator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// maxListed is how many changes a commit message lists.
const maxListed = 100

// newCommit is a commit in memory, with the objects that the server lacks.
type newCommit struct {
	commit  *object.Commit
	objects []plumbing.Hash
}

// commit builds a commit on base in which files have new contents. Trees are
// written along their paths only.
func (r *repository) commit(base *object.Commit, files map[string][]byte, message string, author Author) (newCommit, error) {
	b := builder{storage: r.objects}
	tree, err := base.Tree()
	if err != nil {
		return newCommit{}, fmt.Errorf("reading the tree of %s: %w", base.Hash, err)
	}
	root, err := b.tree(tree, "", files)
	if err != nil {
		return newCommit{}, fmt.Errorf("building a commit on %s: %w", base.Hash, err)
	}
	signature := object.Signature{Name: author.Name, Email: author.Email, When: time.Now()}
	hash, err := b.store(&object.Commit{
		Author: signature, Committer: signature, Message: message,
		TreeHash: root, ParentHashes: []plumbing.Hash{base.Hash},
	})
	if err != nil {
		return newCommit{}, fmt.Errorf("building a commit on %s: %w", base.Hash, err)
	}
	commit, err := object.GetCommit(r.objects, hash)
	if err != nil {
		return newCommit{}, fmt.Errorf("building a commit on %s: %w", base.Hash, err)
	}
	return newCommit{commit: commit, objects: b.stored}, nil
}

// builder stores Git objects and remembers which.
type builder struct {
	storage *memory.Storage
	stored  []plumbing.Hash
}

// tree stores the tree in folder dir with the new contents below it.
func (b *builder) tree(old *object.Tree, dir string, files map[string][]byte) (plumbing.Hash, error) {
	entries := append([]object.TreeEntry(nil), old.Entries...)
	below := map[string]bool{}
	for name := range files {
		if rest, ok := strings.CutPrefix(name, dir); ok {
			first, _, _ := strings.Cut(rest, "/")
			below[first] = true
		}
	}
	for i, entry := range entries {
		if !below[entry.Name] {
			continue
		}
		hash, err := b.entry(entry, dir+entry.Name, files)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		entries[i].Hash = hash
	}
	return b.store(&object.Tree{Entries: entries})
}

func (b *builder) entry(entry object.TreeEntry, name string, files map[string][]byte) (plumbing.Hash, error) {
	if data, ok := files[name]; ok {
		return b.blob(data)
	}
	child, err := object.GetTree(b.storage, entry.Hash)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("reading %s: %w", name, err)
	}
	return b.tree(child, name+"/", files)
}

func (b *builder) blob(data []byte) (plumbing.Hash, error) {
	encoded := b.storage.NewEncodedObject()
	encoded.SetType(plumbing.BlobObject)
	w, err := encoded.Writer()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(data); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.save(encoded)
}

func (b *builder) store(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	encoded := b.storage.NewEncodedObject()
	if err := o.Encode(encoded); err != nil {
		return plumbing.ZeroHash, err
	}
	return b.save(encoded)
}

func (b *builder) save(encoded plumbing.EncodedObject) (plumbing.Hash, error) {
	hash, err := b.storage.SetEncodedObject(encoded)
	if err == nil {
		b.stored = append(b.stored, hash)
	}
	return hash, err
}

// message is the commit's: a headline, the changes, and one trailer per image.
//
//	Update shop to 1.2.0
//
//	deploy/prod/shop.yaml:7: 1.1.0 -> 1.2.0
//
//	Sealift-Image: shop:shop 1.2.0
func message(changes []Change) string {
	var lines strings.Builder
	var order []string
	newest := map[string]string{}
	for i, c := range changes {
		if i < maxListed {
			fmt.Fprintf(&lines, "%s:%d: %s -> %s\n", printable(c.File), c.Line, printable(c.Old), c.New)
		}
		if _, ok := newest[c.Image]; !ok {
			order = append(order, c.Image)
			newest[c.Image] = ""
		}
		if c.Tag != "" {
			newest[c.Image] = c.Tag
		}
	}
	if more := len(changes) - maxListed; more > 0 {
		fmt.Fprintf(&lines, "and %d more\n", more)
	}
	var trailers strings.Builder
	for _, image := range order {
		fmt.Fprintf(&trailers, "Sealift-Image: %s\n", strings.TrimSpace(image+" "+newest[image]))
	}
	return headline(order, newest) + "\n\n" + lines.String() + "\n" + trailers.String()
}

func headline(order []string, newest map[string]string) string {
	if len(order) > 1 {
		return fmt.Sprintf("Update %d images", len(order))
	}
	_, name, _ := strings.Cut(order[0], ":")
	if newest[order[0]] == "" {
		return "Update " + name
	}
	return "Update " + name + " to " + newest[order[0]]
}

// printable quotes what does not fit on a line of a commit message.
func printable(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// diff shows what a commit changes in files, in Git's unified format.
func (r *repository) diff(ctx context.Context, from, to *object.Commit, files map[string][]byte) (string, error) {
	var changes object.Changes
	for _, name := range slices.Sorted(maps.Keys(files)) {
		before, err := r.locate(from, name)
		if err != nil {
			return "", fmt.Errorf("comparing %s: %w", from.Hash, err)
		}
		after, err := r.locate(to, name)
		if err != nil {
			return "", fmt.Errorf("comparing %s: %w", to.Hash, err)
		}
		changes = append(changes, &object.Change{From: before, To: after})
	}
	patch, err := changes.PatchContext(ctx)
	if err != nil {
		return "", fmt.Errorf("comparing %s with %s: %w", from.Hash, to.Hash, err)
	}
	return patch.String(), nil
}

// locate finds a file by its path, whatever other files are called.
func (r *repository) locate(commit *object.Commit, name string) (object.ChangeEntry, error) {
	tree, err := commit.Tree()
	for rest := name; err == nil; {
		part, below, isDir := strings.Cut(rest, "/")
		i := slices.IndexFunc(tree.Entries, func(e object.TreeEntry) bool { return e.Name == part })
		switch {
		case i < 0:
			return object.ChangeEntry{}, fmt.Errorf("%s: %w", name, object.ErrEntryNotFound)
		case !isDir:
			return object.ChangeEntry{Name: name, Tree: tree, TreeEntry: tree.Entries[i]}, nil
		}
		rest = below
		tree, err = object.GetTree(r.objects, tree.Entries[i].Hash)
	}
	return object.ChangeEntry{}, err
}
