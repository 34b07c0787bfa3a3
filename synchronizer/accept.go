package synchronizer

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"sealift.dev/artifact"
	"sealift.dev/internal/text"
)

var (
	// ErrDowngrade refuses a release that is older than one accepted before.
	ErrDowngrade = errors.New("older than a release accepted before")
	// ErrEquivocation refuses a second release with the sequence of the first.
	ErrEquivocation = errors.New("another release has the same sequence")
)

// Watermark is the highest release accepted from one repository; the zero
// Watermark is below every release.
type Watermark struct {
	Repository      string
	Epoch, Sequence int64
	Digest          digest.Digest
	Revision        string
}

// short is a revision as it is kept: tenants share the place for it, and a release may
// say thousands of bytes.
func short(revision string) string { return text.Short(revision, 256) }

func watermarkOf(repository string, ref artifact.Ref, s artifact.Statement) Watermark {
	return Watermark{
		Repository: repository,
		Epoch:      s.Epoch,
		Sequence:   s.Sequence,
		Digest:     ref.Digest,
		Revision:   short(s.Revision),
	}
}

// publishedAt is the repository under which a release counts: where it says that it
// was published, so that a mirror neither resets the count nor blocks it. What says
// nothing counts where the place that it is read from, or what that mirrors, has
// accepted most.
func publishedAt(d Delivery, ref artifact.Ref, s artifact.Statement, accepted map[string]Watermark) string {
	if s.Repository != "" {
		return s.Repository
	}
	highest := ref.Repository.String()
	for _, named := range d.Policies {
		for _, origin := range named.Policy.Origins(ref.Repository.String()) {
			if accepted[highest].Below(accepted[origin]) {
				highest = origin
			}
		}
	}
	return highest
}

// Below says that w comes before o in order of epoch and sequence.
func (w Watermark) Below(o Watermark) bool {
	return w.Epoch < o.Epoch || w.Epoch == o.Epoch && w.Sequence < o.Sequence
}

// accept decides whether next may follow highest, and returns the new highest.
// A pinned release is accepted even when it is older: the digest is a person's word.
func accept(highest, next Watermark, pinned bool) (Watermark, error) {
	if highest.Repository != next.Repository {
		return next, nil
	}
	switch {
	case pinned && !highest.Below(next):
		return highest, nil
	case next.Below(highest):
		return highest, fmt.Errorf("%s has epoch %d and sequence %d, and %d/%d (%s) was accepted before: %w; hint: publish a git revert, which is a newer release, or pin the digest",
			next.Digest, next.Epoch, next.Sequence, highest.Epoch, highest.Sequence, highest.Digest, ErrDowngrade)
	case highest.Below(next):
		return next, nil
	case next.Digest != highest.Digest && short(next.Revision) != short(highest.Revision) && next.Sequence > 0:
		return highest, fmt.Errorf("%s (%q) and %s (%q) both have sequence %d: %w; hint: find out who publishes from a rewritten history",
			next.Digest, next.Revision, highest.Digest, highest.Revision, next.Sequence, ErrEquivocation)
	}
	return next, nil
}
