// Package git reads commits from a repository's object store, never from its
// working tree: what is not committed cannot leak into a release.
package git

import (
	"context"
	"fmt"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"sealift.dev/internal/giturl"
)

// Repository is a Git repository on disk, with or without a working tree.
type Repository struct {
	dir  string
	repo *gogit.Repository
}

// Commit is one commit of a repository.
type Commit struct {
	Hash string // 40 hex digits
	Time time.Time

	repository *Repository
	commit     *object.Commit
}

const branchPrefix = "refs/heads/"

const hintShallow = "; hint: fetch the full history: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)"

// Resolve finds the commit that rev names: a branch, a tag, a hash, HEAD~2.
func (r *Repository) Resolve(rev string) (*Commit, error) {
	name := plumbing.Revision(rev)
	if r.hasBranch(rev) { // also one that is named like the start of a hash
		name = branchPrefix + name
	}
	hash, err := r.repo.ResolveRevision(name)
	if err != nil {
		return nil, fmt.Errorf("the repository %q has no commit %q (%w); hint: git log shows those it has", r.dir, rev, err)
	}
	commit, err := r.repo.CommitObject(*hash)
	if err != nil {
		return nil, fmt.Errorf("reading the commit %s of %q: %w", hash, r.dir, err)
	}
	return &Commit{Hash: hash.String(), Time: commit.Committer.When.UTC(), repository: r, commit: commit}, nil
}

// Branch is the branch that rev stands for, refs/heads/NAME: the one that is checked
// out for HEAD, or the one that rev names. It is empty if there is none.
func (r *Repository) Branch(rev string) (string, error) {
	if rev == "HEAD" || rev == "@" {
		head, err := r.repo.Reference(plumbing.HEAD, false)
		if err != nil {
			return "", fmt.Errorf("reading HEAD of %q: %w", r.dir, err)
		}
		if head.Type() != plumbing.SymbolicReference || !head.Target().IsBranch() {
			return "", nil
		}
		return head.Target().String(), nil
	}
	if strings.HasPrefix(rev, branchPrefix) && r.HasRef(rev) {
		return rev, nil
	}
	if r.hasBranch(rev) {
		return branchPrefix + rev, nil
	}
	return "", nil
}

// hasBranch says whether rev names a branch. A hash in full never does, as in Git:
// whoever may push a branch shall not say what it stands for.
func (r *Repository) hasBranch(rev string) bool {
	return !plumbing.IsHash(rev) && r.HasRef(branchPrefix+rev)
}

// HasRef says whether the repository has a ref, by its full name.
func (r *Repository) HasRef(ref string) bool {
	_, err := r.repo.Reference(plumbing.ReferenceName(ref), true)
	return err == nil
}

// Source is where the remote origin is, as Normalize writes it; empty without a
// remote.
func (r *Repository) Source() (string, error) {
	config, err := r.repo.Config()
	if err != nil {
		return "", fmt.Errorf("reading the configuration of %q: %w", r.dir, err)
	}
	origin := config.Remotes["origin"]
	if origin == nil || len(origin.URLs) == 0 {
		return "", nil
	}
	return giturl.Normalize(origin.URLs[0]), nil
}

// FirstParents counts c and the commits before it, along first parents. In a
// shallow clone, which cannot tell, it fails.
func (c *Commit) FirstParents(ctx context.Context) (int64, error) {
	var n int64
	err := c.walk(ctx, func(string) bool { n++; return false })
	return n, err
}

// walk visits c and its first parents until visit says that it is done.
func (c *Commit) walk(ctx context.Context, visit func(hash string) (done bool)) error {
	shallow, err := c.repository.repo.Storer.Shallow()
	if err != nil {
		return fmt.Errorf("reading the Git repository %q: %w", c.repository.dir, err)
	}
	if len(shallow) > 0 {
		return fmt.Errorf("the Git repository %q is a shallow clone, which cannot tell how many commits there are%s", c.repository.dir, hintShallow)
	}
	for at := c.commit; !visit(at.Hash.String()) && len(at.ParentHashes) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		parent, err := c.repository.repo.CommitObject(at.ParentHashes[0])
		if err != nil {
			return fmt.Errorf("reading the commit %s of %q: %w%s", at.ParentHashes[0], c.repository.dir, err, hintShallow)
		}
		at = parent
	}
	return nil
}

// IsIn says whether c is in the first-parent history of ref. A commit that was
// merged from elsewhere is not: its FirstParents say nothing about ref's order.
func (c *Commit) IsIn(ctx context.Context, ref string) (bool, error) {
	tip, err := c.repository.Resolve(ref)
	if err != nil {
		return false, err
	}
	found := false
	err = tip.walk(ctx, func(hash string) bool {
		found = hash == c.Hash
		return found
	})
	return found, err
}

// Tags lists the tags at c, annotated ones included, without refs/tags/.
func (c *Commit) Tags() ([]string, error) {
	refs, err := c.repository.repo.Tags()
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %q: %w", c.repository.dir, err)
	}
	defer refs.Close()
	var names []string
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		at := ref.Hash()
		if tag, err := c.repository.repo.TagObject(at); err == nil {
			at = tag.Target
		}
		if at == c.commit.Hash {
			names = append(names, ref.Name().Short())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %q: %w", c.repository.dir, err)
	}
	return names, nil
}
