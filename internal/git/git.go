// Package git reads commits from a repository's object store, never from its
// working tree: what is not committed cannot leak into a release.
package git

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
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

const hintShallow = "; hint: fetch the full history: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)"

// Open finds the repository that dir is in.
func Open(dir string) (*Repository, error) {
	repo, err := gogit.PlainOpenWithOptions(dir, &gogit.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		repo, err = gogit.PlainOpen(dir) // a bare one
	}
	if errors.Is(err, gogit.ErrRepositoryNotExists) {
		return nil, fmt.Errorf("opening %q: no Git repository is there or above it", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository %q: %w", dir, err)
	}
	return withAlternates(&Repository{dir: dir, repo: repo})
}

// withAlternates lets objects lie in other repositories on the same disk, as
// git clone --shared and many CI servers arrange it.
func withAlternates(r *Repository) (*Repository, error) {
	store, ok := r.repo.Storer.(*filesystem.Storage)
	if !ok {
		return r, nil
	}
	options := filesystem.Options{AlternatesFS: osfs.New("/")}
	repo, err := gogit.Open(filesystem.NewStorageWithOptions(store.Filesystem(), cache.NewObjectLRUDefault(), options), nil)
	if err != nil {
		return nil, fmt.Errorf("opening the Git repository %q: %w", r.dir, err)
	}
	r.repo = repo
	return r, nil
}

// Resolve finds the commit that rev names: a branch, a tag, a hash, HEAD~2.
func (r *Repository) Resolve(rev string) (*Commit, error) {
	hash, err := r.repo.ResolveRevision(plumbing.Revision(rev))
	if err != nil {
		return nil, fmt.Errorf("the repository %q has no commit %q (%w); hint: git log shows those it has", r.dir, rev, err)
	}
	commit, err := r.repo.CommitObject(*hash)
	if err != nil {
		return nil, fmt.Errorf("reading the commit %s of %q: %w", hash, r.dir, err)
	}
	return &Commit{Hash: hash.String(), Time: commit.Committer.When.UTC(), repository: r, commit: commit}, nil
}

// HeadRef is the branch that is checked out, refs/heads/NAME; empty if none is.
func (r *Repository) HeadRef() (string, error) {
	head, err := r.repo.Reference(plumbing.HEAD, false)
	if err != nil {
		return "", fmt.Errorf("reading HEAD of %q: %w", r.dir, err)
	}
	if head.Type() != plumbing.SymbolicReference {
		return "", nil
	}
	return head.Target().String(), nil
}

// HasRef says whether the repository has a ref, by its full name.
func (r *Repository) HasRef(ref string) bool {
	_, err := r.repo.Reference(plumbing.ReferenceName(ref), true)
	return err == nil
}

// Source is where the remote origin is, without user and password; empty
// without a remote.
func (r *Repository) Source() (string, error) {
	config, err := r.repo.Config()
	if err != nil {
		return "", fmt.Errorf("reading the configuration of %q: %w", r.dir, err)
	}
	origin := config.Remotes["origin"]
	if origin == nil || len(origin.URLs) == 0 {
		return "", nil
	}
	return StripCredentials(origin.URLs[0]), nil
}

// StripCredentials takes user, password, query and fragment out of a Git URL. The
// user of an SSH address stays: it is part of the name, and no secret.
func StripCredentials(address string) string {
	u, err := url.Parse(address)
	if scheme, after, ok := strings.Cut(address, "://"); ok && err != nil {
		return scheme + "://" + after[strings.LastIndexByte(after, '@')+1:]
	}
	if err != nil || u.Host == "" {
		return address
	}
	if u.Scheme == "ssh" && u.User != nil {
		u.User = url.User(u.User.Username())
	} else {
		u.User = nil
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// FirstParents counts c and the commits before it, along first parents. In a
// shallow clone, which cannot tell, it fails.
func (c *Commit) FirstParents(ctx context.Context) (int64, error) {
	shallow, err := c.repository.repo.Storer.Shallow()
	if err != nil {
		return 0, fmt.Errorf("reading the Git repository %q: %w", c.repository.dir, err)
	}
	if len(shallow) > 0 {
		return 0, fmt.Errorf("the Git repository %q is a shallow clone, which cannot tell how many commits there are%s", c.repository.dir, hintShallow)
	}
	n := int64(1)
	for at := c.commit; len(at.ParentHashes) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		parent, err := c.repository.repo.CommitObject(at.ParentHashes[0])
		if err != nil {
			return 0, fmt.Errorf("reading the commit %s of %q: %w%s", at.ParentHashes[0], c.repository.dir, err, hintShallow)
		}
		at = parent
	}
	return n, nil
}

// IsIn says whether ref points at c or at a commit that came from it.
func (c *Commit) IsIn(ref string) (bool, error) {
	tip, err := c.repository.Resolve(ref)
	if err != nil {
		return false, err
	}
	if tip.Hash == c.Hash {
		return true, nil
	}
	in, err := c.commit.IsAncestor(tip.commit)
	if err != nil {
		return false, fmt.Errorf("comparing %s with %s: %w%s", c.Hash, ref, err, hintShallow)
	}
	return in, nil
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
