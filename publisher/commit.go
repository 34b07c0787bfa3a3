package publisher

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/internal/git"
	"sealift.dev/internal/giturl"
)

// place is where a commit is read, and how. All releases of one place are of one commit.
type place struct {
	dir, rev, ref, source, version string
	submodules, pointers           bool
}

// commit is what a release is made of: the files, and what is said of them.
type commit struct {
	tree      *git.Tree
	statement artifact.Statement
	derived   bool // the version is from epoch and sequence: nobody chose it
}

// read opens the commit, and finds what the release will state. A commit is read once,
// however many releases are made of it.
func (b *batch) read(ctx context.Context, o Options) (commit, error) {
	if err := o.check(); err != nil {
		return commit{}, err
	}
	at := place{o.Dir, o.Rev, o.Ref, o.Source, o.Version, o.AllowSubmodules, o.AllowPointers}
	c, known := b.commits[at]
	if !known {
		var err error
		if c, err = readCommit(ctx, o); err != nil {
			return commit{}, err
		}
		b.commits[at] = c
	}
	c.statement.Repository, c.statement.Epoch = o.To.String(), o.Epoch
	if c.derived {
		c.statement.Version = fmt.Sprintf("0.%d.%d", o.Epoch-1, c.statement.Sequence)
	}
	return c, nil
}

// readCommit finds all that does not depend on where the release goes.
func readCommit(ctx context.Context, o Options) (commit, error) {
	repository, err := git.Open(o.Dir)
	if err != nil {
		return commit{}, err
	}
	c, err := repository.Resolve(o.Rev)
	if err != nil {
		return commit{}, err
	}
	s := artifact.Statement{Created: c.Time}
	if s.Ref, err = findRef(ctx, o, repository, c); err != nil {
		return commit{}, err
	}
	s.Revision = shortRef(s.Ref) + "@sha1:" + c.Hash
	if s.Sequence, err = c.FirstParents(ctx); err != nil {
		return commit{}, fmt.Errorf("counting the commits up to %s: %w", c.Hash, err)
	}
	version, chosen, err := findVersion(o, c)
	if err != nil {
		return commit{}, err
	}
	s.Version = version
	if s.Source = giturl.Normalize(o.Source); s.Source == "" {
		if s.Source, err = repository.Source(); err != nil {
			return commit{}, err
		}
	}
	tree, err := c.Tree()
	if err != nil {
		return commit{}, err
	}
	tree.SkipSubmodules, tree.KeepPointers = o.AllowSubmodules, o.AllowPointers
	return commit{tree: tree, statement: s, derived: !chosen}, nil
}

func (o Options) check() error {
	switch {
	case o.To == artifact.Repository{}:
		return errors.New("there is nowhere to publish to; hint: --to oci://HOST/REPOSITORY, or publish: in sealift.yaml")
	case len(o.Environments) == 0:
		return errors.New("there is no environment to publish; hint: --environment NAME=FOLDER, or publish: in sealift.yaml")
	case o.Registry == nil || o.Signer == nil || o.Verifier == nil:
		return errors.New("a registry, a signer and a verifier are needed to publish")
	case o.Epoch < 1:
		return fmt.Errorf("the epoch is %d, and the first is 1", o.Epoch)
	}
	for name, e := range o.Environments {
		if err := artifact.CheckEnvironment(name); err != nil {
			return err
		}
		if err := checkSource(e); err != nil {
			return fmt.Errorf("the environment %s %w", name, err)
		}
	}
	return nil
}

func checkSource(e v1alpha1.Environment) error {
	switch {
	case e.Folder == "" && e.Helm == nil:
		return errors.New("has no folder; hint: NAME=FOLDER")
	case e.Folder != "" && e.Helm != nil:
		return errors.New("has both a folder and a chart; hint: make two environments of it")
	case e.Helm != nil && e.Helm.Chart == "":
		return errors.New("has no chart; hint: helm: {chart: FOLDER}")
	case e.Helm != nil && strings.Contains(e.Helm.Chart, "://") && !strings.HasPrefix(e.Helm.Chart, artifact.Scheme):
		return fmt.Errorf("has the chart %q; hint: a chart is a folder of the repository, or oci://HOST/REPOSITORY@sha256:DIGEST", e.Helm.Chart)
	}
	return nil
}

// findRef is the ref that the commit is published under. The commit must lie on its
// own line: the sequence counts along that.
func findRef(ctx context.Context, o Options, repository *git.Repository, c *git.Commit) (string, error) {
	ref := o.Ref
	if ref == "" {
		branch, err := repository.Branch(o.Rev)
		if err != nil {
			return "", err
		}
		if branch == "" {
			return "", fmt.Errorf("the revision %q is not the tip of a branch, and a release states which one it is from; hint: name it with --ref refs/heads/BRANCH", o.Rev)
		}
		ref = branch
	}
	if !refPattern.MatchString(ref) {
		return "", fmt.Errorf("%q is not a Git ref in full; hint: write refs/heads/BRANCH", ref)
	}
	return ref, checkReachable(ctx, ref, repository, c)
}

// checkReachable wants the commit on the ref's own line, in the clone's branch or in
// what it last fetched of origin's.
func checkReachable(ctx context.Context, ref string, repository *git.Repository, c *git.Commit) error {
	names := []string{ref}
	if branch, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		names = append(names, "refs/remotes/origin/"+branch)
	}
	known := false
	for _, name := range names {
		if !repository.HasRef(name) {
			continue
		}
		known = true
		if in, err := c.IsIn(ctx, name); err != nil || in {
			return err
		}
	}
	if !known {
		return fmt.Errorf("the clone has no %s, so that nobody can tell whether the commit %s is one of it; hint: git fetch origin +%s:%s", ref, c.Hash, ref, names[len(names)-1])
	}
	return fmt.Errorf("the commit %s is not one of %s itself, counted along first parents; hint: publish the merge, or name another --ref", c.Hash, ref)
}

var refPattern = regexp.MustCompile(`^refs/(heads|tags)/[^\x00-\x20\x7f~^:?*@\[\\]+$`)

// shortRef is main for refs/heads/main, and v1 for refs/tags/v1.
func shortRef(ref string) string {
	if short, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return short
	}
	return strings.TrimPrefix(ref, "refs/tags/")
}

// findVersion is what o or the highest of the commit's tags says; chosen is false
// where neither says anything.
func findVersion(o Options, c *git.Commit) (version string, chosen bool, err error) {
	if o.Version != "" {
		v, err := parseVersion(o.Version)
		if err != nil {
			return "", false, fmt.Errorf("the version %q is not a semantic version that fits a tag, such as 1.2.3 or 1.2.3-rc.1", o.Version)
		}
		return v.String(), true, nil
	}
	tags, err := c.Tags()
	if err != nil {
		return "", false, err
	}
	var highest *semver.Version
	for _, tag := range tags {
		v, err := parseVersion(tag)
		if err == nil && (highest == nil || v.GreaterThan(highest)) {
			highest = v
		}
	}
	if highest == nil {
		return "", false, nil
	}
	return highest.String(), true, nil
}

// parseVersion reads 1.2.3 or v1.2.3. Build metadata is refused: a tag cannot hold
// its "+".
func parseVersion(s string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(s, "v"))
	if err == nil && (v.Metadata() != "" || len(v.String()) > maxTag) {
		err = semver.ErrInvalidMetadata
	}
	return v, err
}
