package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"sealift.dev/artifact"
)

// maxTag is the length of a tag in OCI's grammar.
const maxTag = 128

// tagger finds and moves the tags of one release.
type tagger struct {
	o Options
	commit
	ref artifact.Ref
}

// tags is where the tags are.
type tags struct {
	there        []string // tags that lead to the release
	missing      []string // tags that are to be moved to it
	moved        bool     // one of those that are there was not before
	superseded   string   // the newer release at which the channel stays
	epoch        int64    // that release's epoch, if it is higher than ours
	versionTaken string   // the release of another ref that has our version's tag
}

// plan asks where the tags are, and changes nothing. The version must be free, or be
// at this release: it never moves. The channel moves forward only.
func (t tagger) plan(ctx context.Context) (tags, error) {
	channel, err := t.channel()
	if err != nil {
		return tags{}, err
	}
	found := tags{there: []string{}}
	if err := t.planVersion(ctx, &found); err != nil {
		return tags{}, err
	}
	return found, t.planChannel(ctx, channel, &found)
}

func (t tagger) planVersion(ctx context.Context, found *tags) error {
	version := t.statement.Version
	at, err := t.find(ctx, version)
	switch {
	case err != nil:
		return err
	case at == t.ref:
		found.there = append(found.there, version)
		return nil
	case at == artifact.Ref{}:
		found.missing = append(found.missing, version)
		return nil
	}
	other, err := t.statementOf(ctx, at)
	if err != nil {
		return err
	}
	if t.derived && other.Ref != t.statement.Ref {
		found.versionTaken = at.String()
		return nil
	}
	return fmt.Errorf("the version %s of %s is taken by %s, and versions never move: %w", version, t.o.To, at.Digest, t.conflict(ctx, at, other))
}

// conflict says why the release at a version's tag is not this one.
func (t tagger) conflict(ctx context.Context, at artifact.Ref, other artifact.Statement) error {
	if other.Commit() == "" {
		return errors.New("it is no release of Sealift; hint: choose another --version")
	}
	if other.Commit() != t.statement.Commit() {
		rewritten := other.Repository == t.statement.Repository && other.Ref == t.statement.Ref &&
			other.Epoch == t.statement.Epoch && other.Sequence >= t.statement.Sequence
		if rewritten && t.o.Verifier.Verify(ctx, at) == nil {
			return fmt.Errorf("it is release %d of the commit %q; hint: choose another --version, or, if history was rewritten, raise --epoch above %d",
				other.Sequence, other.Commit(), other.Epoch)
		}
		return fmt.Errorf("it is of the commit %q; hint: choose another --version", other.Commit())
	}
	theirs, ours := other.Annotations(), t.statement.Annotations()
	var differ []string
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		if theirs[key] != ours[key] {
			differ = append(differ, fmt.Sprintf("%s is %q there, and %q here", key, theirs[key], ours[key]))
		}
	}
	if len(differ) == 0 {
		differ = append(differ, "only the content differs, by its environments, by the images that tags lead to, by --verify-images, or by the build of sealift")
	}
	return fmt.Errorf("it is of the same commit; %s; hint: publish it in the same way again, choose another --version, or, to add a signature, cosign sign the digest", strings.Join(differ, "; "))
}

func (t tagger) planChannel(ctx context.Context, channel string, found *tags) error {
	at, err := t.find(ctx, channel)
	if err != nil {
		return err
	}
	if at == t.ref {
		found.there = append(found.there, channel)
		return nil
	}
	newer, err := t.isNewer(ctx, at)
	switch {
	case err != nil:
		return err
	case newer == artifact.Statement{}:
		found.missing = append(found.missing, channel)
	default:
		found.superseded = at.String()
		if newer.Epoch > t.statement.Epoch {
			found.epoch = newer.Epoch
		}
	}
	return nil
}

// find is where a tag is; the zero Ref if it is nowhere.
func (t tagger) find(ctx context.Context, tag string) (artifact.Ref, error) {
	at, err := t.o.Registry.Resolve(ctx, t.o.To, tag)
	if errors.Is(err, artifact.ErrNotFound) {
		return artifact.Ref{}, nil
	}
	return at, err
}

// statementOf is what the release at a tag says of itself, whoever made it; zero if
// it is none.
func (t tagger) statementOf(ctx context.Context, at artifact.Ref) (artifact.Statement, error) {
	manifest, err := t.o.Registry.Manifest(ctx, at)
	if err != nil {
		return artifact.Statement{}, ifUnknown(err)
	}
	other, err := artifact.ParseStatement(manifest.Annotations)
	if err != nil {
		return artifact.Statement{}, nil
	}
	return other, nil
}

// isNewer is the statement of a release at which the channel must stay, or else the
// zero one. Only a release of ours can keep it: whoever else may write to the
// registry shall not be able to hold back what we publish.
func (t tagger) isNewer(ctx context.Context, at artifact.Ref) (artifact.Statement, error) {
	var none artifact.Statement
	if at == (artifact.Ref{}) {
		return none, nil
	}
	other, err := t.statementOf(ctx, at)
	if err != nil || other.Repository != t.statement.Repository {
		return none, err
	}
	order := cmp.Or(cmp.Compare(other.Epoch, t.statement.Epoch), cmp.Compare(other.Sequence, t.statement.Sequence))
	if order < 0 || order == 0 && other.Commit() == t.statement.Commit() {
		return none, nil
	}
	if err := t.o.Verifier.Verify(ctx, at); err != nil {
		return none, ifUnknown(err)
	}
	if order > 0 {
		return other, nil
	}
	hint := fmt.Sprintf("if history was rewritten, raise --epoch above %d", other.Epoch)
	if other.Ref != t.statement.Ref {
		hint = fmt.Sprintf("it is from %q; give each ref its own --channel", other.Ref)
	}
	return none, fmt.Errorf("%s is release %d of another commit, %q; hint: %s", at, other.Sequence, other.Commit(), hint)
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

// maxMoves is how often the channel is moved before others' moves end the publishing.
const maxMoves = 10

// move moves the tags, the channel last. After each move it reads again where they
// are, because others publish, too, and registries have no comparing write: of two
// publishers, the one with the higher sequence puts back the channel that the other
// took. An older one that reads the channel, is overtaken by all of a newer one's
// publishing, and only then writes, finds the newer's version and gives way.
func (t tagger) move(ctx context.Context) (tags, error) {
	moved := false
	for range maxMoves {
		found, err := t.plan(ctx)
		if err != nil {
			return tags{}, err
		}
		if len(found.missing) == 0 {
			found.moved = moved
			return found, nil
		}
		// One at a time: what is planned for the channel is decided right before.
		tag := found.missing[0]
		t.o.Progress("tagging " + tag)
		if err := t.o.Registry.Tag(ctx, t.ref, tag); err != nil {
			return tags{}, err
		}
		moved = true
		if channel, err := t.channel(); err == nil && tag == channel {
			t.giveWay(ctx, channel)
		}
	}
	return tags{}, fmt.Errorf("moving the tags of %s: others moved them back %d times; hint: publish one after the other", t.ref, maxMoves)
}

// maxTags bounds the list of a repository's tags, and maxRivals how many of them are
// asked what they are.
const (
	maxTags   = 100_000
	maxRivals = 16
)

// giveWay hands the channel, which t has just moved, to a newer release of ours that
// was there for a moment: its version is tagged before the channel is moved, so it is
// among the tags. That is a move, too, and checked in the same way. What cannot be
// found out is left as it is: the newer publisher looks at the channel, too.
func (t tagger) giveWay(ctx context.Context, channel string) {
	for range maxMoves {
		at, newer, found := t.overtaking(ctx)
		if !found || t.o.Registry.Tag(ctx, at, channel) != nil {
			return
		}
		t.ref, t.statement = at, newer
	}
}

// overtaking is a newer release than t's on the same ref.
func (t tagger) overtaking(ctx context.Context) (artifact.Ref, artifact.Statement, bool) {
	names, err := t.o.Registry.Tags(ctx, t.o.To, maxTags)
	if err != nil {
		return artifact.Ref{}, artifact.Statement{}, false
	}
	for _, tag := range t.rivals(names) {
		at, err := t.find(ctx, tag)
		if err != nil || at == (artifact.Ref{}) {
			continue
		}
		other, err := t.statementOf(ctx, at)
		if err != nil || other.Ref != t.statement.Ref {
			continue
		}
		if newer, err := t.isNewer(ctx, at); err == nil && newer != (artifact.Statement{}) {
			return at, newer, true
		}
	}
	return artifact.Ref{}, artifact.Statement{}, false
}

// rivals are the tags of the versions right above ours, the highest first.
func (t tagger) rivals(names []string) []string {
	ours, err := parseVersion(t.statement.Version)
	if err != nil {
		return nil
	}
	above := map[string]*semver.Version{}
	for _, name := range names {
		if v, err := parseVersion(name); err == nil && v.GreaterThan(ours) {
			above[name] = v
		}
	}
	sorted := slices.SortedFunc(maps.Keys(above), func(a, b string) int { return above[a].Compare(above[b]) })
	sorted = sorted[:min(len(sorted), maxRivals)]
	slices.Reverse(sorted)
	return sorted
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
