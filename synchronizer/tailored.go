package synchronizer

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer/engine"
)

// tailorTimeout bounds what a pass makes of a release. That is work, and nothing in it
// waits for anybody outside; but patches for thousands of objects take seconds, and
// take turns with those of other Deliveries.
const tailorTimeout = 90 * time.Second

// tailored is what this cluster has of a release, made once.
type tailored struct {
	ref         artifact.Ref
	environment string
	options     [sha256.Size]byte
	objects     *engine.Set
}

// tailor makes of a release what d wants of it. Nothing is made of it while it is not
// known what d wants.
func (s *Synchronizer) tailor(ctx context.Context, d Delivery, l *loaded, memo *memo) (*engine.Set, error) {
	s.step(d, Tailor)
	ctx, cancel := context.WithTimeout(ctx, tailorTimeout)
	defer cancel()
	if d.Untailored != nil {
		return nil, d.Untailored
	}
	if d.Tailored == "" {
		memo.tailored = nil
		return l.content.objects, l.content.sealed
	}
	key := tailored{ref: l.release.Ref, environment: l.environment, options: fingerprint(d.Tailoring)}
	for _, made := range memo.tailored {
		if made.ref == key.ref && made.environment == key.environment && made.options == key.options {
			return made.objects, nil
		}
	}
	decoded, err := l.content.objects.Objects()
	if err != nil {
		return nil, err
	}
	if decoded, err = s.tailors.Apply(ctx, decoded, d.Tailoring); err != nil {
		return nil, err
	}
	if key.objects, err = engine.NewSet(decoded); err != nil {
		return nil, err
	}
	const kept = 2 // the release that is wanted, and the last good one
	memo.tailored = slices.Insert(memo.tailored[:min(len(memo.tailored), kept-1)], 0, key)
	return key.objects, nil
}

// settled says that just this was applied in full before.
func settled(d Delivery, l *loaded, state State) bool {
	return l.release.Ref == state.Applied && d.Tailored == state.Tailored
}
