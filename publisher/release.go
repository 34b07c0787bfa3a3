package publisher

import (
	"context"
	"fmt"
	"time"

	"sealift.dev/artifact"
	"sealift.dev/internal/text"
)

// draft is a release whose environments are rendered, and not yet packed.
type draft struct {
	o Options
	commit
	rendered rendered
	started  time.Time
}

// draft reads the commit and renders it. It must not be called twice at once.
func (b *batch) draft(ctx context.Context, o Options) (draft, error) {
	d := draft{o: o, started: time.Now()}
	o.Progress("reading the commit")
	var err error
	if d.commit, err = b.read(ctx, o); err != nil {
		return d, err
	}
	o.Progress(fmt.Sprintf("rendering %s of %s", text.Count(len(o.Environments), "environment", "environments"), d.statement.Revision))
	d.rendered, err = renderAll(ctx, o, d.tree)
	return d, err
}

// publish packs, pushes, signs, attests and tags a draft, in this order: a tag never
// leads to something unsigned.
func (b *batch) publish(ctx context.Context, d draft) (Result, error) {
	o := d.o
	release, err := b.pack(ctx, d)
	if err != nil {
		return Result{}, err
	}
	t := tagger{o: o, commit: d.commit, ref: o.To.At(release.Digest())}
	if same, err := t.unchanged(ctx, release); err != nil || same != nil {
		return same.orZero(), err
	}
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
	attested, err := attest(ctx, d, t.ref, release)
	if err != nil {
		return Result{}, err
	}
	tags, err := t.move(ctx)
	if err != nil {
		return Result{}, err
	}
	if tags.versionTaken != "" {
		o.Progress(fmt.Sprintf("the tag %s is another ref's release; going without it", d.statement.Version))
	}
	result := describe(d.statement, t.ref, release.Contents)
	result.Tags = tags.there
	result.Superseded, result.SupersededEpoch, result.VersionTaken = tags.superseded, tags.epoch, tags.versionTaken
	if !pushed && !signed && !attested && !tags.moved {
		result.State, result.Unchanged = Unchanged, true
	}
	return result, nil
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

// attest is done before any tag moves: whoever follows one finds what a policy may
// ask for.
func attest(ctx context.Context, d draft, ref artifact.Ref, release *artifact.Package) (wrote bool, err error) {
	if d.o.Attester == nil {
		return false, nil
	}
	d.o.Progress("attesting " + ref.String())
	return d.o.Attester.Attest(ctx, ref, Build{
		Statement: d.statement,
		Contents:  release.Contents,
		Config:    d.o.config,
		Sources:   d.o.Environments,
		Started:   d.started,
	})
}

func describe(s artifact.Statement, ref artifact.Ref, contents artifact.Config) Result {
	return Result{
		State:        Published,
		Repository:   ref.Repository.String(),
		Reference:    ref.String(),
		Digest:       ref.Digest.String(),
		Version:      s.Version,
		Revision:     s.Revision,
		Epoch:        s.Epoch,
		Sequence:     s.Sequence,
		Environments: contents.Environments,
		Images:       contents.Images,
	}
}
