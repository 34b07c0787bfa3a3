// Package publisher turns a Git commit into a signed release in an OCI registry.
package publisher

import (
	"context"
	"fmt"
	"time"

	"sealift.dev/api/v1alpha1"
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

// Images resolves the images that workloads run.
type Images interface {
	// Image finds the digest and the platforms of an image, by what a manifest
	// calls it; with a digest in that, the image has to exist under it.
	Image(ctx context.Context, written string) (artifact.Image, error)
}

// ImageVerifier says by whom the image at ref is signed. An error means that it
// must not be published.
type ImageVerifier interface {
	VerifyImage(ctx context.Context, ref artifact.Ref) (signedBy []string, err error)
}

// Attester attaches statements about how the release at ref came to be. Attesting
// the same again changes nothing; wrote says that one was missing.
type Attester interface {
	Attest(ctx context.Context, ref artifact.Ref, b Build) (wrote bool, err error)
}

// Options say what to publish, and where. Registry, Signer, Verifier, To and
// Environments are needed; Plan takes the last two from sealift.yaml.
type Options struct {
	Registry Registry
	Signer   Signer
	Verifier Verifier
	Attester Attester // nil: no attestations

	Dir          string              // the Git repository or a folder in it; empty: the current folder
	Rev          string              // the commit; empty: HEAD
	Ref          string              // the Git ref in full that the release states; empty: the branch that Rev stands for
	Source       string              // the Git URL that the release states; empty: the remote origin's; credentials are stripped
	To           artifact.Repository // where to
	Environments map[string]v1alpha1.Environment
	Version      string            // a semantic version; empty: the highest tag of the commit, or else 0.EPOCH-1.SEQUENCE
	Channel      string            // the tag that moves; empty: the last part of Ref
	Epoch        int64             // 0: 1; to be raised when history was rewritten
	AllowSecrets bool              // publish Secrets that are not encrypted
	Progress     func(step string) // told before each step; nil: nobody

	config string // the file that Plan read; empty: none
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

// Build is how a release came to be.
type Build struct {
	Statement artifact.Statement
	Contents  artifact.Config // the environments with their digests, the images
	// Config is the file of the commit that said what to publish, sealift.yaml;
	// empty where the caller said it.
	Config string
	// Sources is what each environment was rendered from.
	Sources map[string]v1alpha1.Environment
	Started time.Time
}

// Publish makes a release of a commit, signs it, and moves the tags once the
// signature has been read back. Nothing is written before all that can be checked
// was. Publishing the same again changes nothing; publishing again after a crash
// finishes what was left.
func Publish(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	build := Build{Config: o.config, Sources: o.Environments, Started: time.Now()}
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
	build.Statement, build.Contents = commit.statement, release.Contents
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
	attested, err := attest(ctx, o, t.ref, build)
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
	result.Unchanged = !pushed && !signed && !attested && !tags.moved
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

// attest is done before any tag moves: whoever follows one finds what a policy may ask for.
func attest(ctx context.Context, o Options, ref artifact.Ref, b Build) (wrote bool, err error) {
	if o.Attester == nil {
		return false, nil
	}
	o.Progress("attesting " + ref.String())
	return o.Attester.Attest(ctx, ref, b)
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
