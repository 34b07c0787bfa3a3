package engine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unique"
)

// fieldText is an entry's fieldsV1. Equal ones share their memory: most objects of
// many Deliveries have the fields of others. The zero fieldText is empty.
type fieldText struct{ shared unique.Handle[string] }

func textOf(fields []byte) fieldText {
	if len(fields) == 0 {
		return fieldText{}
	}
	return fieldText{shared: unique.Make(string(fields))}
}

func (t fieldText) text() string {
	if t == (fieldText{}) {
		return ""
	}
	return t.shared.Value()
}

func (t fieldText) bytes() []byte { return []byte(t.text()) }

// DefaultReapply is how long the watches are relied on.
const DefaultReapply = 10 * time.Hour

// stale says that an object was applied, or found as it was applied, long ago: it is
// applied again, since watches may miss what happens. Not all owners do it at once.
func (a *applied) stale(t Target, now time.Time) bool {
	if a.at.IsZero() {
		return false
	}
	return now.Sub(a.at) > t.rest()
}

// rest is how long what was applied for a target's owner rests.
func (t Target) rest() time.Duration {
	every := cmp.Or(t.Reapply, DefaultReapply)
	sum := sha256.Sum256([]byte(t.Owner))
	spread := time.Duration(binary.BigEndian.Uint64(sum[:])>>1) % max(every/5, 1)
	return every - every/10 + spread
}

// confirmable says that a step's object is one that an apply leaves as it finds it.
func (s *Step) confirmable() bool {
	return len(s.item.course.phases) == 0 && (s.writes() || s.Action == Unchanged)
}

// Confirmation stands for the objects of p as they were applied, each with its
// identity, its entry of ours and the content that was wanted. A process that finds the
// same has nothing to confirm. Many objects have it in parts, so that one that changed
// while no process ran, or is not as it was applied, leaves the other parts as they are.
// It is empty when no part is as it was applied.
func (e *Engine) Confirmation(p *Plan) string {
	return joinParts(e.tracker.confirmation(p, true))
}

const (
	partSize = 64 // objects that a part stands for, unless there are too many
	maxParts = 64
	// partText is how many hexadecimal digits a part has that is not the only one.
	partText = 24
)

// partsOf is in how many parts n objects are confirmed.
func partsOf(n int) int { return max(1, min(maxParts, (n+partSize-1)/partSize)) }

// partOf is the part of an object that is wanted so.
func partOf(wanted digest, parts int) int {
	return int(binary.BigEndian.Uint32(wanted[:]) % uint32(parts))
}

const confirmedPrefix = "sha256:"

// joinParts writes parts as a status has them.
func joinParts(parts []string) string {
	if !slices.ContainsFunc(parts, func(part string) bool { return part != "" }) {
		return ""
	}
	return confirmedPrefix + strings.Join(parts, ".")
}

// confirm takes for applied what is as a confirmation of an earlier process says.
func (e *Engine) confirm(t Target, p *Plan) {
	unsure := func(s *Step) bool { return s.Action == Update && s.Reason == notConfirmed }
	if t.Confirmed == "" || !slices.ContainsFunc(p.Steps, unsure) {
		return
	}
	records := e.tracker.records(t.Owner, refsOfSteps(p.Steps)) // before: what changes after is not vouched for
	found, before := e.tracker.confirmation(p, false), strings.Split(strings.TrimPrefix(t.Confirmed, confirmedPrefix), ".")
	if len(found) != len(before) {
		return
	}
	for _, s := range p.Steps {
		part := partOf(s.wanted, len(found))
		if r := records[s.Ref]; found[part] == before[part] && unsure(s) && !r.appliedFor(t.Owner) && e.tracker.vouch(r, t.Owner, s.wanted) {
			s.Action, s.Reason, s.lenient = Unchanged, "", false
		}
	}
}

// vouch remembers an object as applied, unless it is another than r by now.
func (t *tracker) vouch(r record, owner Owner, wanted digest) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.objects[r.ref]
	if now == nil || now.applied != nil || now.inflight > 0 || now.uid != r.uid || now.fields != r.fields || !now.stamp.Equal(r.stamp) {
		return false
	}
	now.applied = &applied{owner: owner, wanted: wanted, rv: now.rv, fields: now.fields, stamp: now.stamp, at: t.now()}
	return true
}

// confirmation stands for the objects of p as they are, in parts. Where they have to be
// as they were applied, a part is empty while one of its objects is not.
func (t *tracker) confirmation(p *Plan, applied bool) []string {
	lines := t.lines(p, applied)
	parts := make([]string, len(lines))
	for i, part := range lines {
		if part.broken {
			continue
		}
		slices.SortFunc(part.lines, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
		sum := sha256.New()
		for i := range part.lines {
			sum.Write(part.lines[i][:])
		}
		parts[i] = hex.EncodeToString(sum.Sum(nil))
		if len(lines) > 1 {
			parts[i] = parts[i][:partText]
		}
	}
	return parts
}

// part is what a part of a confirmation is made of, a line for each object.
type part struct {
	lines  []digest
	broken bool // one of them is not as it was applied
}

func (t *tracker) lines(p *Plan, applied bool) []part {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, s := range p.Steps {
		if s.confirmable() {
			n++
		}
	}
	parts, text := make([]part, partsOf(n)), []byte{}
	for _, s := range p.Steps {
		if !s.confirmable() {
			continue
		}
		r := t.objects[s.Ref]
		of := &parts[partOf(s.wanted, len(parts))]
		there := r != nil && r.rv > 0 && r.owned
		if there && applied && (!r.appliedFor(p.Owner) || r.applied.wanted != s.wanted || r.drift != nil || r.inflight > 0) {
			of.broken = true
			continue
		}
		text = append(text[:0], s.wanted[:]...)
		for _, part := range []string{s.Ref.Group, s.Ref.Kind, s.Ref.Namespace, s.Ref.Name} {
			text = append(append(text, part...), 0)
		}
		if there && r.owner == p.Owner {
			text = append(append(text, r.uid...), 0)
			text = r.stamp.UTC().AppendFormat(text, time.RFC3339Nano)
			text = append(append(text, 0), r.fields.text()...)
		}
		of.lines = append(of.lines, sha256.Sum256(text))
	}
	return parts
}

func refsOfSteps(steps []*Step) []ObjectRef {
	refs := make([]ObjectRef, len(steps))
	for i, s := range steps {
		refs[i] = s.Ref
	}
	return refs
}
