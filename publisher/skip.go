package publisher

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"sealift.dev/artifact"
)

// unchanged is the result where no release is to be made, because the channel's has
// the same content; otherwise nil. A version that somebody chose is always published.
func (t tagger) unchanged(ctx context.Context, release *artifact.Package) (*Result, error) {
	if t.o.SkipIfUnchanged == nil || !*t.o.SkipIfUnchanged || !t.derived {
		return nil, nil
	}
	channel, err := t.channel()
	if err != nil {
		return nil, err
	}
	at, err := t.find(ctx, channel)
	if err != nil || at == (artifact.Ref{}) {
		return nil, err
	}
	manifest, err := t.o.Registry.Manifest(ctx, at)
	if err != nil {
		return nil, ifUnknown(err)
	}
	there, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil || !t.standsFor(there) {
		return nil, nil
	}
	contents, err := t.sameContent(ctx, manifest, release)
	if err != nil || contents == nil {
		return nil, err
	}
	if err := t.o.Verifier.Verify(ctx, at); err != nil {
		return nil, ifUnknown(err)
	}
	r := describe(there, at, *contents)
	r.State, r.Unchanged, r.Tags = Skipped, true, []string{channel}
	if there.Commit() == t.statement.Commit() {
		r.State = Unchanged
	}
	return &r, nil
}

func (r *Result) orZero() Result {
	if r == nil {
		return Result{}
	}
	return *r
}

// standsFor says that a release is of the same line of history as ours. Of one with
// our sequence and another commit, history was rewritten.
func (t tagger) standsFor(there artifact.Statement) bool {
	ours := t.statement
	return there.Repository == ours.Repository && there.Source == ours.Source && there.Ref == ours.Ref &&
		there.Epoch == ours.Epoch && (there.Sequence != ours.Sequence || there.Commit() == ours.Commit())
}

// sameContent is the contents of the release in manifest if they are ours, else nil.
// Mostly the layer's digest tells; where another build of Sealift packed it, the
// digests of the environments do.
func (t tagger) sameContent(ctx context.Context, manifest artifact.Manifest, release *artifact.Package) (*artifact.Config, error) {
	var ours artifact.Manifest
	if err := json.Unmarshal(release.Manifest, &ours.Manifest); err != nil {
		return nil, err
	}
	if len(manifest.Layers) != 1 || manifest.Config.MediaType != artifact.TypeConfig {
		return nil, nil
	}
	if manifest.Layers[0].Digest == ours.Layers[0].Digest {
		return &release.Contents, nil
	}
	there, err := t.contents(ctx, manifest)
	if err != nil || there == nil {
		return nil, err
	}
	same := slices.EqualFunc(there.Environments, release.Contents.Environments, func(a, b artifact.Environment) bool {
		return a.Name == b.Name && a.Digest == b.Digest
	})
	if !same {
		return nil, nil
	}
	return there, nil
}

// contents reads the config of a release; nil if it is none.
func (t tagger) contents(ctx context.Context, manifest artifact.Manifest) (*artifact.Config, error) {
	data, err := t.o.Registry.Blob(ctx, t.o.To, manifest.Config, artifact.DefaultLimits().Config)
	if err != nil {
		return nil, ifUnknown(err)
	}
	var c artifact.Config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, nil
	}
	return &c, nil
}

// pinnedBefore is the digests that the images of this very commit were published
// with, by the image as it is written: publishing again gives the same release, even
// if a tag leads elsewhere by now.
func (d draft) pinnedBefore(ctx context.Context) (map[string]string, error) {
	if !d.rendered.hasTags(d.o) {
		return nil, nil
	}
	t := tagger{o: d.o, commit: d.commit}
	at, err := t.find(ctx, d.statement.Version)
	if err != nil || at == (artifact.Ref{}) {
		return nil, err
	}
	contents, err := t.ownContents(ctx, at)
	if err == nil && contents == nil { // another ref's release may have the version
		contents, err = t.contentsOfChannel(ctx)
	}
	if err != nil || contents == nil {
		return nil, err
	}
	return digestsOf(contents.Images, d.rendered.images(d.o)), nil
}

func (t tagger) contentsOfChannel(ctx context.Context) (*artifact.Config, error) {
	channel, err := t.channel()
	if err != nil {
		return nil, err
	}
	at, err := t.find(ctx, channel)
	if err != nil || at == (artifact.Ref{}) {
		return nil, err
	}
	return t.ownContents(ctx, at)
}

// ownContents reads the config of a release of ours that states what t's does; nil if
// it is none.
func (t tagger) ownContents(ctx context.Context, at artifact.Ref) (*artifact.Config, error) {
	manifest, err := t.o.Registry.Manifest(ctx, at)
	if err != nil {
		return nil, ifUnknown(err)
	}
	there, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil || !maps.Equal(there.Annotations(), t.statement.Annotations()) || manifest.Config.MediaType != artifact.TypeConfig {
		return nil, nil
	}
	if err := t.o.Verifier.Verify(ctx, at); err != nil {
		return nil, ifUnknown(err)
	}
	return t.contents(ctx, manifest)
}

// digestsOf is the digest of each image without the one that it is written with. Of
// several under one name, those that are written somewhere are not from a tag.
func digestsOf(images []artifact.Image, written []string) map[string]string {
	all := map[string][]string{}
	for _, image := range images {
		name := image.Name
		if image.Tag != "" {
			name += ":" + image.Tag
		}
		all[name] = append(all[name], image.Digest)
	}
	digests := map[string]string{}
	for name, several := range all {
		if len(several) > 1 {
			several = slices.DeleteFunc(several, func(digest string) bool { return slices.Contains(written, withDigest(name, digest)) })
		}
		if len(several) == 1 {
			digests[name] = several[0]
		}
	}
	return digests
}
