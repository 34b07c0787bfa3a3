// Package publisher turns a Git commit into a signed release in an OCI registry.
package publisher

import (
	"context"
	"fmt"

	"sealift.dev/artifact"
)

// Registry is where releases go.
type Registry interface {
	Resolve(ctx context.Context, repository artifact.Repository, tag string) (artifact.Ref, error)
	Manifest(ctx context.Context, ref artifact.Ref) (artifact.Manifest, error)
	Push(ctx context.Context, repository artifact.Repository, p *artifact.Package) (ref artifact.Ref, pushed bool, err error)
	Tag(ctx context.Context, ref artifact.Ref, tag string) error
}

// Signer signs the release at ref. Signing again changes nothing; wrote says that a
// signature was missing.
type Signer interface {
	Sign(ctx context.Context, ref artifact.Ref) (wrote bool, err error)
}

// Verifier says whether the release at ref is ours: signed as our own signer does.
// Where that cannot be found out, the error wraps artifact.ErrUnavailable or
// artifact.ErrUnauthorized.
type Verifier interface {
	Verify(ctx context.Context, ref artifact.Ref) error
}

// Options say what to publish, and where. Registry, Signer, Verifier, To and
// Environments are needed; Plan takes the last two from sealift.yaml.
type Options struct {
	Registry Registry
	Signer   Signer
	Verifier Verifier

	Dir          string              // the Git repository or a folder in it; empty: the current folder
	Rev          string              // the commit; empty: HEAD
	Ref          string              // the Git ref in full that the release states; empty: the branch that Rev stands for
	Source       string              // the Git URL that the release states; empty: the remote origin's; credentials are stripped
	To           artifact.Repository // where to
	Environments map[string]string   // the folder of each environment
	Version      string              // a semantic version; empty: the highest tag of the commit, or else 0.EPOCH-1.SEQUENCE
	Channel      string              // the tag that moves; empty: the last part of Ref
	Epoch        int64               // 0: 1; to be raised when history was rewritten
	AllowSecrets bool                // publish Secrets that are not encrypted
	Progress     func(step string)   // told before each step; nil: nobody
}

// Result is what was published.
type Result struct {
	Reference    string                 `json:"reference"` // HOST/PATH@DIGEST
	Digest       string                 `json:"digest"`
	Tags         []string               `json:"tags"` // those that lead to this release now
	Version      string                 `json:"version"`
	Revision     string                 `json:"revision"`
	Epoch        int64                  `json:"epoch"`
	Sequence     int64                  `json:"sequence"`
	Environments []artifact.Environment `json:"environments"`
	Images       []artifact.Image       `json:"images"`
	// Unchanged says that release, signature and tags were there already.
	Unchanged bool `json:"unchanged"`
	// Superseded is the newer release of ours that the channel stays at; empty: none.
	Superseded string `json:"superseded,omitempty"`
	// SupersededEpoch is the epoch of that release if it is higher than ours: until
	// the epoch is raised, nothing we publish is newer. 0: it is not higher.
	SupersededEpoch int64 `json:"supersededEpoch,omitempty"`
	// VersionTaken is the release of another ref that has the tag of the version,
	// which nobody chose, so that this release goes without; empty: none.
	VersionTaken string `json:"versionTaken,omitempty"`
}

// Publish makes a release of a commit, signs it, and moves the tags once the
// signature has been read back. Nothing is written before all that can be checked
// was. Publishing the same again changes nothing; publishing again after a crash
// finishes what was left.
func Publish(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	o.Progress("reading the commit")
	commit, err := read(ctx, o)
	if err != nil {
		return Result{}, err
	}
	o.Progress(fmt.Sprintf("rendering %d environments of %s", len(o.Environments), commit.statement.Revision))
	release, err := pack(o, commit)
	if err != nil {
		return Result{}, err
	}
	t := tagger{o: o, commit: commit, ref: o.To.At(release.Digest())}
	if _, err := t.plan(ctx); err != nil {
		return Result{}, err
	}
	o.Progress("pushing " + t.ref.String())
	_, pushed, err := o.Registry.Push(ctx, o.To, release)
	if err != nil {
		return Result{}, err
	}
	signed, err := sign(ctx, o, t.ref, pushed)
	if err != nil {
		return Result{}, err
	}
	tags, err := t.move(ctx)
	if err != nil {
		return Result{}, err
	}
	if tags.versionTaken != "" {
		o.Progress(fmt.Sprintf("the tag %s is another ref's release; going without it", commit.statement.Version))
	}
	result := describe(commit.statement, t.ref, release)
	result.Tags = tags.there
	result.Superseded, result.SupersededEpoch, result.VersionTaken = tags.superseded, tags.epoch, tags.versionTaken
	result.Unchanged = !pushed && !signed && !tags.moved
	return result, nil
}

func (o Options) withDefaults() Options {
	if o.Dir == "" {
		o.Dir = "."
	}
	if o.Rev == "" {
		o.Rev = "HEAD"
	}
	if o.Epoch == 0 {
		o.Epoch = 1
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// sign signs the release and reads the signature back. Signed is false where it
// was there already.
func sign(ctx context.Context, o Options, ref artifact.Ref, pushed bool) (signed bool, err error) {
	before := !pushed && o.Verifier.Verify(ctx, ref) == nil
	o.Progress("signing " + ref.String())
	wrote, err := o.Signer.Sign(ctx, ref)
	if err != nil {
		return false, err
	}
	if before && !wrote {
		return false, nil
	}
	o.Progress("verifying the signature")
	if err := o.Verifier.Verify(ctx, ref); err != nil {
		return false, fmt.Errorf("verifying what was just signed: %w", err)
	}
	return true, nil
}

func describe(s artifact.Statement, ref artifact.Ref, release *artifact.Package) Result {
	return Result{
		Reference:    ref.String(),
		Digest:       ref.Digest.String(),
		Version:      s.Version,
		Revision:     s.Revision,
		Epoch:        s.Epoch,
		Sequence:     s.Sequence,
		Environments: release.Contents.Environments,
		Images:       release.Contents.Images,
	}
}
