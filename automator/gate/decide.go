package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sealift.dev/automator/choose"
	"sealift.dev/automator/ledger"
)

// Decide asks the gates about one candidate after the other, best first, until one passes
// all, or is there already. Its error is of a lookup that failed; the Decision is then worth
// no more than what was learned.
func Decide(ctx context.Context, q Question, facts Facts) (Decision, error) {
	r := &round{Question: q, facts: facts, digests: map[string]string{},
		out: Decision{question: q, Learned: map[string]ledger.Sighting{}}}
	for _, c := range q.Candidates {
		end, err := r.try(ctx, c)
		if err != nil {
			return r.out, err
		}
		if end {
			break
		}
	}
	return r.out, nil
}

// round is one Decide.
type round struct {
	Question
	facts Facts
	out   Decision
	// digests are resolved once: what is compared, checked and written is the same.
	digests map[string]string
	asked   int  // candidates that the network was asked about
	sound   bool // the list has been asked about
}

func (r *round) digest(ctx context.Context, tag string) (string, error) {
	if digest, ok := r.digests[tag]; ok {
		return digest, nil
	}
	digest, err := r.facts.Digest(ctx, tag)
	if err == nil {
		r.digests[tag] = digest
	}
	return digest, err
}

// try puts one candidate before the gates. End: none after it is looked at.
func (r *round) try(ctx context.Context, c choose.Candidate) (end bool, err error) {
	if there, err := r.there(ctx, c); there || err != nil {
		r.out.Candidate, r.out.Found = c, there
		return true, err
	}
	if reason := r.lower(c); reason != "" {
		r.refuse(c.Tag(), Downgrade, reason)
		return c.Seen.IsZero(), nil // what follows is lower still
	}
	if sound, err := r.believes(ctx); !sound || err != nil {
		return true, err
	}
	choices := make([]Choice, 0, 1)
	fresh := true
	for _, tag := range r.spellings(c) {
		choice, passed, err := r.check(ctx, tag, c.Text, fresh)
		if err != nil {
			return true, fmt.Errorf("checking tag %s: %w", tag, err)
		}
		if !passed {
			return r.asked > MaxAsked, nil
		}
		choices = append(choices, choice)
		fresh = false
	}
	r.out.Candidate, r.out.Choices, r.out.Found = c, choices, true
	return true, nil
}

// refuse keeps a reason.
func (r *round) refuse(tag string, gate Gate, reason string) {
	r.out.Refusals = append(r.out.Refusals, Refusal{Tag: tag, Gate: gate, Reason: reason})
}

// later keeps the earliest time at which a refusal may end.
func (r *round) later(t time.Time) {
	if r.out.Until.IsZero() || t.Before(r.out.Until) {
		r.out.Until = t
	}
}

// there says that the candidate changes no place: each holds it already, or something newer,
// so that nothing needs a check.
func (r *round) there(ctx context.Context, c choose.Candidate) (bool, error) {
	var holding []Value
	for _, v := range r.Current {
		switch {
		case v.Tag != "" && !slices.Contains(c.Tags, v.Tag):
			if r.lowers(c, v.Tag) == "" {
				return false, nil
			}
		case v.Pinned && v.Digest == "":
			return false, nil
		default:
			holding = append(holding, v)
		}
	}
	for _, v := range holding {
		if !v.Pinned || !r.Renew && !r.Moving {
			continue
		}
		tag := cmp.Or(v.Tag, c.Spelling(r.beside()))
		digest, err := r.digest(ctx, tag)
		if errors.Is(err, ErrRefused) {
			return false, nil // check says so
		}
		if err != nil {
			return false, fmt.Errorf("checking tag %s: %w", tag, err)
		}
		if digest != v.Digest {
			return false, nil
		}
	}
	return len(holding) > 0, nil
}

// beside is a tag that places hold, for those that hold a digest alone; empty: there is none.
func (q Question) beside() string {
	for _, v := range q.Current {
		if v.Tag != "" {
			return v.Tag
		}
	}
	return ""
}

// lower says why no place may get the candidate; empty: one may.
func (r *round) lower(c choose.Candidate) string {
	reason := ""
	for _, v := range r.Current {
		if v.Tag == "" && r.beside() != "" {
			continue // it follows those that have one
		}
		if reason = r.lowers(c, v.Tag); reason == "" {
			return ""
		}
	}
	return reason
}

// lowers says why the candidate is not written in place of current; empty: it may be.
func (q Question) lowers(c choose.Candidate, current string) string {
	if current == "" || slices.Contains(c.Tags, current) || q.AllowDowngrade && !q.chooses(current) {
		return ""
	}
	if !c.Seen.IsZero() {
		if since := q.came(current); !c.Seen.After(since) {
			return fmt.Sprintf("%s did not come after %s", c.Tag(), current)
		}
		return ""
	}
	switch order, ok := q.Compare(c.Tag(), current); {
	case !ok:
		return fmt.Sprintf("%s and %s cannot be compared", c.Tag(), current)
	case order < 0:
		hint := "; hint: allowDowngrade"
		if q.AllowDowngrade {
			hint = " from what is still a candidate"
		}
		return fmt.Sprintf("%s is newer than %s, and downgrades are not made%s", current, c.Tag(), hint)
	}
	return ""
}

// chooses says that the policy still has a tag for a candidate. Then a lower one is no reason
// to go down: something better was refused for now.
func (q Question) chooses(tag string) bool {
	return slices.ContainsFunc(q.Candidates, func(c choose.Candidate) bool { return slices.Contains(c.Tags, tag) })
}

// came is when a tag was seen first. One that is not known came with the oldest that are.
func (q Question) came(tag string) time.Time {
	if s, ok := q.Seen[tag]; ok {
		return s.Born()
	}
	var oldest time.Time
	for _, s := range q.Seen {
		if oldest.IsZero() || s.Born().Before(oldest) {
			oldest = s.Born()
		}
	}
	return oldest
}

// spellings are the tags of the candidate that places ask for, each once.
func (r *round) spellings(c choose.Candidate) []string {
	var tags []string
	for _, v := range r.Current {
		if tag := c.Spelling(cmp.Or(v.Tag, r.beside())); r.lowers(c, v.Tag) == "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	if len(r.Current) == 0 {
		tags = append(tags, c.Tag())
	}
	return tags
}

// For is what a place that holds the tag current gets. A reason says why it stays as it is. A
// place that holds a digest alone has the tag of the one beside it, if there is one.
func (d Decision) For(current string) (choice Choice, reason string) {
	if !d.Found {
		return Choice{}, d.Why()
	}
	current = cmp.Or(current, d.question.beside())
	if reason := d.question.lowers(d.Candidate, current); reason != "" {
		return Choice{}, reason
	}
	tag := d.Candidate.Spelling(current)
	for _, c := range d.Choices {
		if c.Tag == tag {
			return c, ""
		}
	}
	return Choice{}, "it is up to date"
}

// UpToDate says that no place is changed: each holds the candidate already, or something newer.
func (d Decision) UpToDate() bool { return d.Found && len(d.Choices) == 0 }

// Why is one line: the first refusal, and how many there are.
func (d Decision) Why() string {
	if len(d.Refusals) == 0 {
		return "there is no candidate"
	}
	first := d.Refusals[0]
	why := first.Reason
	if first.Tag != "" {
		why = first.Tag + ": " + why
	}
	if more := len(d.Refusals) - 1; more > 0 {
		why += fmt.Sprintf(" (and %d more refused)", more)
	}
	return why
}

// Recheck asks for the digests again, directly before tags are written without them, and
// names the tags that moved since: they go to Question.Refused, and Decide is asked again.
// Where all places are pinned nothing is asked, for they hold what was checked.
func (d Decision) Recheck(ctx context.Context, facts Facts) (moved map[string]string, err error) {
	if !slices.ContainsFunc(d.question.Current, func(v Value) bool { return !v.Pinned }) {
		return nil, nil
	}
	moved = map[string]string{}
	for _, c := range d.Choices {
		if c.Digest == "" {
			continue
		}
		switch now, err := facts.Digest(ctx, c.Tag); {
		case errors.Is(err, ErrRefused):
			moved[c.Tag] = "the tag went away after it was checked"
		case err != nil:
			return nil, fmt.Errorf("checking tag %s again: %w", c.Tag, err)
		case now != c.Digest:
			moved[c.Tag] = fmt.Sprintf("the tag moved from %s to %s after it was checked; hint: pin", c.Digest, now)
		}
	}
	return moved, nil
}
