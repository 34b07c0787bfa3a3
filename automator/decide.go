package automator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/automator/gate"
	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/registry"
	"sealift.dev/verify"
)

// decidedAtOnce is how many images are asked about at a time; each host has a budget besides.
const decidedAtOnce = 8

// decided is what may be written of one image, and where.
type decided struct {
	spots    []spot
	decision gate.Decision
	holds    []hold.Hold
	err      error // a lookup failed: nothing is written
}

// decide asks holds and gates about every image.
func (a *Automator) decide(ctx context.Context, t *turn) {
	var group errgroup.Group
	group.SetLimit(decidedAtOnce)
	made := make([]decided, len(t.settings.images))
	for i, img := range t.settings.images {
		// The ledger's map is not for several goroutines, its entries are.
		entry := t.ledger.Image(img.policy, img.Image.Image)
		group.Go(func() error {
			made[i] = a.decideImage(ctx, t, img, entry, slices.Clone(t.spots[img.policy]))
			return nil
		})
	}
	_ = group.Wait() // every failure is in made
	for i, img := range t.settings.images {
		t.decided[img.policy] = made[i]
	}
}

func (a *Automator) decideImage(ctx context.Context, t *turn, img followed, entry *ledger.Image, spots []spot) decided {
	d := decided{spots: spots}
	found := t.found[img.policy]
	if found.err != nil {
		return d
	}
	values, which := values(spots)
	outcome := hold.Judge(hold.Question{
		Image: img.policy, Values: values, Written: entry.Written, Past: t.past, Stored: entry.Holds,
		Explicit: t.reading.holds, Freeze: img.OnRevert == v1alpha1.RevertFreeze, Moving: img.order.Moving(),
		Compare: t.compare(img), Now: t.now,
	})
	d.holds = outcome.Holds
	entry.Holds, entry.Written = outcome.Store, outcome.Written
	for i, why := range outcome.Frozen {
		d.spots[which[i]].frozen = why
	}
	if found.none != nil || len(spots) == 0 {
		return d
	}
	facts := a.facts(t, img)
	d.decision, d.err = gate.Decide(ctx, a.question(t, img, entry, d), facts)
	entry.Learn(d.decision.Learned)
	if d.err != nil {
		d.err = fmt.Errorf("deciding about %s: %w", img.policy, d.err)
		return d
	}
	if found.complete {
		entry.Listed(found.tags, d.decision.Shrunk, t.now)
	}
	return d
}

func (a *Automator) question(t *turn, img followed, entry *ledger.Image, d decided) gate.Question {
	found := t.found[img.policy]
	return gate.Question{
		Candidates: found.candidates, Current: current(img, d.spots), Compare: t.compare(img),
		Moving: img.order.Moving() != "", Renew: img.Pin == v1alpha1.PinAlways,
		Holds: d.holds, Window: img.window, MinimumAge: img.MinimumAge.Duration, Platforms: img.Platforms,
		Verify: img.Trust != "" || len(a.opts.Trust.Policies) > 0, AllowDowngrade: img.AllowDowngrade,
		Tags: gate.Tags{
			Count: found.tags, Complete: found.complete, Lacks: found.lacks(d.spots),
			Before: entry.Count, Shrunk: entry.Shrunk,
		},
		Seen: entry.Tags, Refused: t.moved[img.policy], Now: t.now,
	}
}

// facts answers what gates ask the network about one image.
func (a *Automator) facts(t *turn, img followed) gate.Facts {
	f := &facts{registry: a.opts.Registry, trust: a.opts.Trust, repo: img.Image.Image}
	if img.Trust != "" {
		f.sets = append(f.sets, t.reading.trust[img.Trust])
	}
	if len(a.opts.Trust.Policies) > 0 {
		f.sets = append(f.sets, a.opts.Trust.Policies)
	}
	return f
}

type facts struct {
	registry *registry.Client
	trust    Trust
	sets     [][]verify.NamedPolicy // of each, what matches has to pass
	repo     string
}

func (f *facts) Digest(ctx context.Context, tag string) (string, error) {
	found, err := f.registry.Digest(ctx, f.repo, tag)
	return found, refused(err)
}

func (f *facts) Platforms(ctx context.Context, digest string) ([]string, error) {
	found, err := f.registry.Platforms(ctx, f.repo, digest)
	return found, refused(err)
}

func refused(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return fmt.Errorf("%w: %w", gate.ErrRefused, err)
	}
	return err
}

// Verify lets an image pass that every set of policies lets pass.
func (f *facts) Verify(ctx context.Context, digested string) (gate.Proof, error) {
	if f.trust.Verifier == nil {
		return gate.Proof{}, errors.New("images cannot be verified here: there is no verifier")
	}
	address, err := artifact.ParseImage(f.repo)
	if err != nil {
		return gate.Proof{}, err
	}
	var proof gate.Proof
	for i, policies := range f.sets {
		answer, err := gate.Answer(f.trust.Verifier.Image(ctx, f.trust.Registry, address.Repository.At(digest.Digest(digested)), policies))
		if err != nil {
			return gate.Proof{}, err
		}
		proof.Signers = append(proof.Signers, answer.Signers...)
		proof.Findings = append(proof.Findings, answer.Findings...)
		if i == 0 || answer.Time.IsZero() || !proof.Time.IsZero() && answer.Time.After(proof.Time) {
			proof.Time = answer.Time
		}
	}
	return proof, nil
}

// lacks are the tags in use that the list should have, and has not.
func (s scanned) lacks(spots []spot) []string {
	var missing []string
	for _, v := range spots {
		if s.asked[v.tag] && !s.present[v.tag] && v.frozen == "" {
			missing = append(missing, v.tag)
		}
	}
	return missing
}
