package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
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

func (t fieldText) bytes() []byte {
	if t == (fieldText{}) {
		return nil
	}
	return []byte(t.shared.Value())
}

// DefaultReapply is how long the watches are relied on.
const DefaultReapply = 10 * time.Hour

// stale says that an object was applied, or found as it was applied, long ago: it is
// applied again, since watches may miss what happens. Not all owners do it at once.
func (a *applied) stale(t Target, now time.Time) bool {
	if a.at.IsZero() {
		return false
	}
	every := cmp.Or(t.Reapply, DefaultReapply)
	sum := sha256.Sum256([]byte(t.Owner))
	spread := time.Duration(binary.BigEndian.Uint64(sum[:])>>1) % max(every/5, 1)
	return now.Sub(a.at) > every-every/10+spread
}

// confirmable says that a step's object is one that an apply leaves as it finds it.
func (s *Step) confirmable() bool {
	return len(s.item.course.phases) == 0 && (s.writes() || s.Action == Unchanged)
}

// Confirmation stands for the objects of p as they were applied, each with its
// identity, its entry of ours and the content that was wanted. It is empty while one
// of them is not so. A process that finds the same has nothing to confirm.
func (e *Engine) Confirmation(p *Plan) string {
	records := e.tracker.records(p.Owner, refsOfSteps(p.Steps))
	for _, s := range p.Steps {
		r := records[s.Ref]
		there := r.rv > 0 && r.owned
		if s.confirmable() && there && (!r.appliedFor(p.Owner) || r.applied.wanted != s.wanted || r.drift != nil || r.inflight > 0) {
			return ""
		}
	}
	return confirmationOf(p, records)
}

// confirm takes for applied what is as a confirmation of an earlier process says.
func (e *Engine) confirm(t Target, p *Plan, records map[ObjectRef]record) {
	unsure := func(s *Step) bool { return s.Action == Update && s.Reason == notConfirmed }
	if t.Confirmed == "" || !slices.ContainsFunc(p.Steps, unsure) || confirmationOf(p, records) != t.Confirmed {
		return
	}
	for _, s := range p.Steps {
		if r := records[s.Ref]; unsure(s) && !r.appliedFor(t.Owner) && e.tracker.vouch(r, t.Owner, s.wanted) {
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

func confirmationOf(p *Plan, records map[ObjectRef]record) string {
	lines := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		if !s.confirmable() {
			continue
		}
		r := records[s.Ref]
		line := fmt.Sprintf("%s %x absent", s.Ref, s.wanted)
		if r.rv > 0 && r.owned && r.owner == p.Owner {
			fields := sha256.Sum256(r.fields.bytes())
			line = fmt.Sprintf("%s %x %s %x %s", s.Ref, s.wanted, r.uid, fields, r.stamp.UTC().Format(time.RFC3339Nano))
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	sum := sha256.New()
	for _, line := range lines {
		fmt.Fprintln(sum, line)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func refsOfSteps(steps []*Step) []ObjectRef {
	refs := make([]ObjectRef, len(steps))
	for i, s := range steps {
		refs[i] = s.Ref
	}
	return refs
}
