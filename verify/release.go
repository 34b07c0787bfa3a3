// Package verify decides whether a release may be let in: it finds the
// signatures of a release, checks them against trust policies, and is the only
// package that can make a Verified.
package verify

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify/policy"
)

// Registry is what verification reads. Every answer is bounded, and manifests and
// blobs hash to the digest asked for.
type Registry interface {
	Resolve(ctx context.Context, repository artifact.Repository, tag string) (artifact.Ref, error)
	Manifest(ctx context.Context, ref artifact.Ref) (artifact.Manifest, error)
	Blob(ctx context.Context, repository artifact.Repository, desc ocispec.Descriptor, limit int64) ([]byte, error)
	Referrers(ctx context.Context, ref artifact.Ref, artifactType string, limit int) ([]ocispec.Descriptor, error)
}

// NamedPolicy is a policy and what reports call it.
type NamedPolicy = policy.Named

// Claim says as whose a release is to be let in. The zero Claim is that of a
// person outside a cluster.
type Claim struct {
	// Namespace is the Delivery's; empty outside a cluster, where the namespaces
	// of policies are ignored.
	Namespace string
}

// readStatement reads what the release says of itself. A statement that cannot be
// read is told as a problem, not as an error: that nobody signed it matters more.
func readStatement(ctx context.Context, registry Registry, ref artifact.Ref) (told, error) {
	manifest, err := registry.Manifest(ctx, ref)
	if err != nil {
		return told{}, refuseManifest(ref, err)
	}
	statement, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil {
		return told{problem: fmt.Sprintf("the release statement is malformed: %s", clean(err.Error())), cause: err}, nil
	}
	return told{statement: statement}, nil
}

func refuseManifest(ref artifact.Ref, err error) *Refusal {
	refusal := &Refusal{Reason: Unavailable, Ref: ref, cause: err, problem: "the registry could not be asked: " + clean(err.Error())}
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		refusal.Reason = NotFound
		refusal.problem = "the registry has no such manifest"
	case permanent(err):
		refusal.Reason = Malformed
		refusal.problem = "its manifest cannot be read: " + clean(err.Error())
	}
	return refusal
}

// permanent says that asking again would give the same answer.
func permanent(err error) bool {
	return !errors.Is(err, artifact.ErrUnavailable) && !errors.Is(err, artifact.ErrUnauthorized) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
