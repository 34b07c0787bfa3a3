package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sealift.dev/artifact"
)

// maxTag is the length of a tag in OCI's grammar.
const maxTag = 128

// tagger finds and moves the tags of one release.
type tagger struct {
	o         Options
	statement artifact.Statement
	ref       artifact.Ref
}

// moves is what is to be done about tags.
type moves struct {
	there      []string // tags that lead to the release already
	missing    []string // tags to be moved to it
	superseded string   // the newer release at which the channel stays
}

func (m moves) tags() []string { return append(m.there[:len(m.there):len(m.there)], m.missing...) }

// plan asks where the tags are. The version must be free, or be at this release:
// it never moves. The channel moves forward only.
func (t tagger) plan(ctx context.Context) (moves, error) {
	channel, err := t.channel()
	if err != nil {
		return moves{}, err
	}
	var m moves
	at, err := t.find(ctx, t.statement.Version)
	switch {
	case err != nil:
		return moves{}, err
	case at == t.ref:
		m.there = append(m.there, t.statement.Version)
	case at != artifact.Ref{}:
		return moves{}, fmt.Errorf("the version %s of %s is taken by %s, and this release is %s; hint: versions never move: this release differs from that one in its commit, content, source or ref; choose another --version, or raise --epoch if history was rewritten",
			t.statement.Version, t.o.To, at.Digest, t.ref.Digest)
	default:
		m.missing = append(m.missing, t.statement.Version)
	}
	at, err = t.find(ctx, channel)
	if err != nil {
		return moves{}, err
	}
	if at == t.ref {
		m.there = append(m.there, channel)
		return m, nil
	}
	newer, err := t.isNewer(ctx, at)
	switch {
	case err != nil:
		return moves{}, err
	case newer:
		m.superseded = at.String()
	default:
		m.missing = append(m.missing, channel)
	}
	return m, nil
}

// find is where a tag is; the zero Ref if it is nowhere.
func (t tagger) find(ctx context.Context, tag string) (artifact.Ref, error) {
	at, err := t.o.Registry.Resolve(ctx, t.o.To, tag)
	if errors.Is(err, artifact.ErrNotFound) {
		return artifact.Ref{}, nil
	}
	return at, err
}

// isNewer says whether the channel must stay at another release. Only one of ours
// can keep it there: whoever else may write to the registry shall not be able to
// hold back what we publish.
func (t tagger) isNewer(ctx context.Context, at artifact.Ref) (bool, error) {
	if at == (artifact.Ref{}) {
		return false, nil
	}
	manifest, err := t.o.Registry.Manifest(ctx, at)
	if err != nil {
		return false, ifUnknown(err)
	}
	other, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil || other.Repository != t.statement.Repository {
		return false, nil
	}
	order := cmp.Or(cmp.Compare(other.Epoch, t.statement.Epoch), cmp.Compare(other.Sequence, t.statement.Sequence))
	if order < 0 || order == 0 && other.Commit() == t.statement.Commit() {
		return false, nil
	}
	if err := t.o.Verifier.Verify(ctx, at); err != nil {
		return false, ifUnknown(err)
	}
	if order == 0 {
		return false, fmt.Errorf("%s is release %d of another commit, %s; hint: if history was rewritten, raise --epoch above %d",
			at, other.Sequence, other.Commit(), other.Epoch)
	}
	return true, nil
}

// ifUnknown keeps an error that says nothing about the release itself.
func ifUnknown(err error) error {
	for _, unknown := range []error{artifact.ErrUnavailable, artifact.ErrUnauthorized, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, unknown) {
			return err
		}
	}
	return nil
}

func (t tagger) move(ctx context.Context, m moves) error {
	for _, tag := range m.missing {
		t.o.Progress("tagging " + tag)
		if err := t.o.Registry.Tag(ctx, t.ref, tag); err != nil {
			return err
		}
	}
	return nil
}

var (
	tagPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	notInTags    = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	digestsAsTag = regexp.MustCompile(`^sha[0-9]+-`)
)

// channel is the tag that moves. One that reads like a version or like the tags
// that stand for signatures and referrers is refused.
func (t tagger) channel() (string, error) {
	channel := t.o.Channel
	if channel == "" {
		channel = strings.TrimLeft(notInTags.ReplaceAllString(shortRef(t.statement.Ref), "-"), ".-")
		channel = channel[:min(len(channel), maxTag)]
	}
	_, notVersion := parseVersion(channel)
	switch {
	case !tagPattern.MatchString(channel) || len(channel) > maxTag:
		return "", fmt.Errorf("the channel %q is not a tag; hint: name one with --channel", channel)
	case notVersion == nil, digestsAsTag.MatchString(channel):
		return "", fmt.Errorf("the channel %q reads like a version or a digest, and those never move; hint: name another with --channel", channel)
	}
	return channel, nil
}
