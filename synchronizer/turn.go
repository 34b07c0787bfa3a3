package synchronizer

import (
	"context"
	"runtime"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"sealift.dev/artifact"
	"sealift.dev/verify"
)

// maxTurns is how many releases are verified and decoded at once.
func maxTurns() int { return 2 * runtime.GOMAXPROCS(0) }

// turn lets who has it compute. It is given away while its holder waits for others, so
// that a registry that never answers costs a namespace nothing that another one needs.
type turn struct {
	of        *fair
	namespace string

	mu      sync.Mutex
	resting int
}

// turn waits until it is the turn of a namespace; rest ends it.
func (s *Synchronizer) turn(namespace string) *turn {
	t := &turn{of: s.turns, namespace: namespace, resting: 1}
	t.resume()
	return t
}

// turnKey has the turn of a verification in its context.
type turnKey struct{}

// Waiting is for verify.Options: a verification that waits lets others compute.
func Waiting(ctx context.Context) (over func()) {
	t, has := ctx.Value(turnKey{}).(*turn)
	if !has {
		return func() {}
	}
	t.rest()
	return t.resume
}

// rest gives the turn away until as many resumed as rested.
func (t *turn) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting++; t.resting == 1 {
		t.of.leave(t.namespace, "")
	}
}

func (t *turn) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting--; t.resting == 0 {
		t.of.wait(t.namespace, "")
	}
}

// patient is a registry whose reader rests while it answers.
type patient struct {
	registry verify.Registry
	turn     *turn
}

func (p patient) Resolve(ctx context.Context, repository artifact.Repository, tag string) (artifact.Ref, error) {
	p.turn.rest()
	defer p.turn.resume()
	return p.registry.Resolve(ctx, repository, tag)
}

func (p patient) Manifest(ctx context.Context, ref artifact.Ref) (artifact.Manifest, error) {
	p.turn.rest()
	defer p.turn.resume()
	return p.registry.Manifest(ctx, ref)
}

func (p patient) Blob(ctx context.Context, repository artifact.Repository, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	p.turn.rest()
	defer p.turn.resume()
	return p.registry.Blob(ctx, repository, desc, limit)
}

func (p patient) Referrers(ctx context.Context, ref artifact.Ref, artifactType string, limit int) ([]ocispec.Descriptor, error) {
	p.turn.rest()
	defer p.turn.resume()
	return p.registry.Referrers(ctx, ref, artifactType, limit)
}
