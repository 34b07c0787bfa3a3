// Package publisher turns a Git commit into a signed release in an OCI registry.
package publisher

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
)

// Registry is where releases go, and where charts come from.
type Registry interface {
	Resolve(ctx context.Context, repository artifact.Repository, tag string) (artifact.Ref, error)
	Tags(ctx context.Context, repository artifact.Repository, limit int) ([]string, error)
	Manifest(ctx context.Context, ref artifact.Ref) (artifact.Manifest, error)
	Blob(ctx context.Context, repository artifact.Repository, desc ocispec.Descriptor, limit int64) ([]byte, error)
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
// Environments are needed; Plan takes the last two from sealift.yaml. In a batch, all
// but Signer may be called by several goroutines at once, and Signer, too, for
// different releases.
type Options struct {
	Registry      Registry
	Signer        Signer
	Verifier      Verifier
	Attester      Attester      // nil: no attestations
	Images        Images        // nil: images stay as they are written
	ImageVerifier ImageVerifier // nil: whoever signed them

	Dir          string              // the Git repository or a folder in it; empty: the current folder
	Rev          string              // the commit; empty: HEAD
	Ref          string              // the Git ref in full that the release states; empty: the branch that Rev stands for
	Source       string              // the Git URL that the release states; empty: the remote origin's; credentials are stripped
	To           artifact.Repository // where to
	Environments map[string]v1alpha1.Environment
	ImagePaths   []objects.ImagePath // where objects beside the built-in workloads name images
	Version      string              // a semantic version; empty: the highest tag of the commit, or else 0.EPOCH-1.SEQUENCE
	Channel      string              // the tag that moves; empty: the last part of Ref
	Epoch        int64               // 0: 1; to be raised when history was rewritten

	AllowSecrets    bool // publish Secrets that are not encrypted
	AllowSubmodules bool // leave out the files of submodules
	AllowPointers   bool // take pointers of Git LFS for the files themselves

	// SkipIfUnchanged makes no release where the channel's has the same content, is
	// ours, and nobody chose a version. nil: false; Plan makes it true where
	// sealift.yaml lists several releases.
	SkipIfUnchanged *bool
	Progress        func(step string) // told before each step; nil: nobody

	config string // the file that Plan read; empty: none
}

// States of a Result.
const (
	Published = "published" // something was written
	Unchanged = "unchanged" // release, signatures, attestations and tags were there already
	Skipped   = "skipped"   // the channel's release, of another commit, has the same content
	Failed    = "failed"
)

// Result is what was published. If the State is Skipped, it describes the release at
// the channel; if it is Failed, only Repository and Error are set.
type Result struct {
	State        string                 `json:"state"`
	Repository   string                 `json:"repository"` // HOST/PATH
	Error        string                 `json:"error,omitempty"`
	Reference    string                 `json:"reference"` // HOST/PATH@DIGEST
	Digest       string                 `json:"digest"`
	Tags         []string               `json:"tags"` // those that lead to this release now
	Version      string                 `json:"version"`
	Revision     string                 `json:"revision"`
	Epoch        int64                  `json:"epoch"`
	Sequence     int64                  `json:"sequence"`
	Environments []artifact.Environment `json:"environments"`
	Images       []artifact.Image       `json:"images"`
	// Unchanged says that nothing was written.
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
	b := newBatch()
	d, err := b.draft(ctx, o)
	if err != nil {
		return Result{}, err
	}
	return b.publish(ctx, d)
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
