package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sealift.dev/automator/hold"
	"sealift.dev/automator/ledger"
	"sealift.dev/automator/registry"
	"sealift.dev/internal/text"
	"sealift.dev/verify"
)

// When a list is much shorter than before: it had shrinkFrom tags or more, and has less than
// half of them. It is believed once that has been so for shrinkFor.
const (
	shrinkFrom = 10
	shrinkFor  = 24 * time.Hour
	maxLacks   = 4 // tags that are asked for since the list lacks them
)

// believes holds the list of tags against the last one, and against what is there.
func (r *round) believes(ctx context.Context) (bool, error) {
	if r.sound {
		return true, nil
	}
	t := r.Tags
	if t.Complete && t.Before >= shrinkFrom && t.Count*2 < t.Before {
		since := t.Shrunk
		if since.IsZero() || since.After(r.Now) {
			since = r.Now
		}
		if end := since.Add(shrinkFor); r.Now.Before(end) {
			r.out.Shrunk = true
			r.later(end)
			r.refuse("", List, fmt.Sprintf("the registry lists %d tags, and listed %d before; this is believed from %s on", t.Count, t.Before, stamp(end)))
			return false, nil
		}
	}
	for _, tag := range t.Lacks[:min(len(t.Lacks), maxLacks)] {
		_, err := r.digest(ctx, tag)
		if errors.Is(err, ErrRefused) {
			continue // it was deleted, so the list tells the truth
		}
		if err != nil {
			return false, fmt.Errorf("checking tag %s: %w", tag, err)
		}
		r.refuse("", List, fmt.Sprintf("the list of %d tags lacks %s, which the registry has: it is not complete", t.Count, tag))
		return false, nil
	}
	r.sound = true
	return true, nil
}

// check puts one tag before the gates that are about it alone. Fresh: no other spelling of
// its candidate was asked about.
func (r *round) check(ctx context.Context, tag, alias string, fresh bool) (Choice, bool, error) {
	choice := Choice{Tag: tag}
	if gate, reason := r.known(tag, alias); gate != "" {
		r.refuse(tag, gate, reason)
		return choice, false, nil
	}
	if !r.needsDigest() {
		return choice, true, nil
	}
	if fresh {
		r.asked++
	}
	if r.asked > MaxAsked {
		r.refuse(tag, Budget, fmt.Sprintf("%d other candidates were asked about in this pass", MaxAsked))
		return choice, false, nil
	}
	gate, reason, err := r.ask(ctx, &choice)
	if gate == "" && err == nil {
		gate, reason = r.window()
	}
	if gate != "" {
		r.refuse(tag, gate, reason)
	}
	return choice, gate == "" && err == nil, err
}

// known are the gates that need no network.
func (r *round) known(tag, alias string) (Gate, string) {
	if reason, ok := r.Refused[tag]; ok {
		return Moved, reason
	}
	for _, h := range r.Holds {
		if !h.Over(r.Now) && h.Covers(tag, alias, r.Compare) {
			return r.held(h)
		}
	}
	seen, met := r.Seen[tag]
	met = met && seen.Digest != "" && !seen.First.After(r.Now) // a clock that was ahead is made up for by ask
	if met && !r.Moving && !r.Renew && (!r.Verify || !seen.Signed.IsZero()) {
		if reason := r.young(r.born(seen)); reason != "" {
			return Age, reason
		}
	}
	if r.MinimumAge > 0 && !met {
		return "", "" // its clock starts, also while the window is closed
	}
	return r.window()
}

func (r *round) held(h hold.Hold) (Gate, string) {
	if !h.Until.IsZero() {
		r.later(h.Until)
	}
	return Held, h.String()
}

func (r *round) window() (Gate, string) {
	if r.Window == nil {
		return "", ""
	}
	opens := r.Window.Opens(r.Now)
	if !opens.After(r.Now) {
		return "", ""
	}
	r.later(opens)
	return Time, "updates are made from " + stamp(opens) + " on"
}

// needsDigest says that something that is checked, or written, depends on the digest.
func (r *round) needsDigest() bool {
	if r.Verify || r.MinimumAge > 0 || len(r.Platforms) > 0 || r.Moving {
		return true
	}
	for _, v := range r.Current {
		if v.Pinned {
			return true
		}
	}
	for _, h := range r.Holds {
		if h.Digest != "" {
			return true
		}
	}
	return false
}

// ask are the gates that need the network. What they ask is asked of one digest.
func (r *round) ask(ctx context.Context, choice *Choice) (Gate, string, error) {
	digest, err := r.digest(ctx, choice.Tag)
	if err != nil {
		return refusedBy(Exists, err)
	}
	choice.Digest = digest
	for _, h := range r.Holds {
		if !h.Over(r.Now) && h.CoversDigest(digest) {
			gate, reason := r.held(h)
			return gate, reason, nil
		}
	}
	seen := r.meet(choice.Tag, digest)
	if !r.Verify {
		if reason := r.young(seen.First); reason != "" {
			return Age, reason, nil
		}
	}
	if gate, reason, err := r.platforms(ctx, digest); gate != "" || err != nil {
		return gate, reason, err
	}
	return r.verify(ctx, choice, seen)
}

// meet is the sighting of a tag with a digest: the ledger's, or one of now.
func (r *round) meet(tag, digest string) ledger.Sighting {
	seen, ok := r.Seen[tag]
	if !ok || seen.Digest != "" && seen.Digest != digest {
		seen = ledger.Sighting{First: r.Now}
	}
	seen.Digest = digest
	if seen.First.After(r.Now) {
		seen.First = r.Now // a clock was ahead
	}
	if r.MinimumAge > 0 || r.ordersByTime() {
		r.out.Learned[tag] = seen
	}
	return seen
}

func (r *round) platforms(ctx context.Context, digest string) (Gate, string, error) {
	if len(r.Platforms) == 0 {
		return "", "", nil
	}
	have, err := r.facts.Platforms(ctx, digest)
	if err != nil {
		return refusedBy(Platform, err)
	}
	for _, want := range r.Platforms {
		if !registry.HasPlatform(have, want) {
			return Platform, fmt.Sprintf("there is no %s, but %s", want, text.Line(strings.Join(have, ", "), 200)), nil
		}
	}
	return "", "", nil
}

// verify asks whose signatures there are, and since when.
func (r *round) verify(ctx context.Context, choice *Choice, seen ledger.Sighting) (Gate, string, error) {
	if !r.Verify {
		return "", "", nil
	}
	proof, err := r.facts.Verify(ctx, choice.Digest)
	if err != nil {
		return refusedBy(Signature, err)
	}
	choice.Signers, choice.Findings = proof.Signers, proof.Findings
	seen.Signed = proof.Time
	if _, ok := r.out.Learned[choice.Tag]; ok {
		r.out.Learned[choice.Tag] = seen
	}
	if reason := r.young(r.born(seen)); reason != "" {
		return Age, reason, nil
	}
	return "", "", nil
}

func (r *round) ordersByTime() bool {
	return len(r.Candidates) > 0 && !r.Candidates[0].Seen.IsZero()
}

// born is what the age counts from: verified times are for images that are verified.
func (r *round) born(s ledger.Sighting) time.Time {
	if r.Verify {
		return s.Born()
	}
	return s.First
}

// young says until when a tag is too young; empty: it is old enough.
func (r *round) young(born time.Time) string {
	if born.After(r.Now) {
		born = r.Now
	}
	end := born.Add(r.MinimumAge)
	if !r.Now.Before(end) {
		return ""
	}
	r.later(end)
	return fmt.Sprintf("it is younger than %s, until %s", r.MinimumAge, stamp(end))
}

// refusedBy tells a refusal from a lookup that failed.
func refusedBy(gate Gate, err error) (Gate, string, error) {
	if errors.Is(err, ErrRefused) {
		return gate, text.Line(strings.TrimPrefix(err.Error(), ErrRefused.Error()+": "), 500), nil
	}
	return "", "", err
}

// Answer makes what Facts.Verify returns of what a Verifier says. An answer that says nothing
// of the image, since a registry is away or a policy cannot be applied, is no refusal.
func Answer(verified verify.Verified, err error) (Proof, error) {
	var refusal *verify.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason != verify.Unavailable && refusal.Reason != verify.InvalidPolicy:
		return Proof{}, fmt.Errorf("%w: %w", ErrRefused, err)
	case err != nil:
		return Proof{}, err
	}
	var p Proof
	dated := true
	for _, s := range verified.Signers() {
		p.Signers = append(p.Signers, text.Line(s.Authority, 100))
		dated = dated && !s.Time.IsZero()
		if s.Time.After(p.Time) {
			p.Time = s.Time
		}
	}
	if !dated {
		p.Time = time.Time{}
	}
	for _, finding := range verified.Findings() {
		p.Findings = append(p.Findings, text.Line(finding, 500))
	}
	return p, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
