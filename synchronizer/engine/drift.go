package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// DriftReason says in which way an object left its wanted state.
type DriftReason string

const (
	// Changed: fields of ours are held by someone else, or by no one.
	Changed DriftReason = "changed"
	// Missing: the object was deleted, or lost its ownership label.
	Missing DriftReason = "deleted or unlabelled"
	// Disowned: our entry is gone from the object's managedFields.
	Disowned DriftReason = "ownership record wiped"
)

// maxDriftFields bounds how many fields a Drift names.
const maxDriftFields = 10

// Drift is how an object differs from what the engine applied last.
type Drift struct {
	Reason DriftReason
	// Fields that we no longer hold, at most 10.
	Fields []FieldDrift
	// Observed is when the watch told of it.
	Observed time.Time
}

// FieldDrift is one field that someone took. Manager is empty when nobody can
// be named.
type FieldDrift struct {
	// Path is in the notation of structured-merge-diff: .spec.replicas
	Path                            string
	Manager, Operation, Subresource string
	// Time is when the manager wrote last, to the second.
	Time time.Time
}

// String is for Events and reports:
// "changed: .spec.replicas by kubectl (scale) at 2026-11-21T12:30:05Z".
func (d *Drift) String() string {
	var parts []string
	for _, f := range d.Fields {
		part := f.Path
		if f.Manager != "" {
			part += " by " + f.Manager
		}
		if f.Subresource != "" {
			part += " (" + f.Subresource + ")"
		}
		if !f.Time.IsZero() {
			part += " at " + f.Time.UTC().Format(time.RFC3339)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return string(d.Reason)
	}
	return fmt.Sprintf("%s: %s", d.Reason, strings.Join(parts, ", "))
}

// entry is our own record in an object's managedFields.
type entry struct {
	fields []byte
	stamp  time.Time
	// ownsLabel: the object belongs to the owner that its label names.
	ownsLabel bool
}

// ownEntry finds the entry; nil when there is none.
func ownEntry(m *metav1.PartialObjectMetadata) *entry {
	for _, f := range m.ManagedFields {
		if f.Manager != FieldManager || f.Operation != metav1.ManagedFieldsOperationApply || f.Subresource != "" || f.FieldsV1 == nil {
			continue
		}
		e := &entry{fields: f.FieldsV1.GetRawBytes(), ownsLabel: holdsLabel(f.FieldsV1.GetRawBytes())}
		if f.Time != nil {
			e.stamp = f.Time.Time
		}
		return e
	}
	return nil
}

func holdsLabel(fields []byte) bool {
	if !bytes.Contains(fields, []byte("f:"+OwnerLabel)) {
		return false
	}
	var set struct {
		Metadata struct {
			Labels map[string]json.RawMessage `json:"f:labels"`
		} `json:"f:metadata"`
	}
	if json.Unmarshal(fields, &set) != nil {
		return false
	}
	_, held := set.Metadata.Labels["f:"+OwnerLabel]
	return held
}

// sameFields compares two field sets whatever the order they are written in.
func sameFields(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return fieldSet(a).Equals(fieldSet(b))
}

func fieldSet(raw []byte) *fieldpath.Set {
	set := &fieldpath.Set{}
	if len(raw) == 0 || set.FromJSON(bytes.NewReader(raw)) != nil {
		return &fieldpath.Set{}
	}
	return set
}

// compare says how an object that was written by someone after us differs from
// what we applied; nil when all that is ours still stands, but for what is given up.
func compare(former *applied, m *metav1.PartialObjectMetadata, y *yielding, now time.Time) *Drift {
	own := ownEntry(m)
	if own == nil {
		return &Drift{Reason: Disowned, Observed: now}
	}
	if before := former.fields.bytes(); !sameFields(before, own.fields) {
		was, is := fieldSet(before), fieldSet(own.fields)
		lost := y.ours(was.Difference(is).Leaves())
		if y == nil || !lost.Empty() || !is.Difference(was).Empty() {
			return &Drift{Reason: Changed, Fields: takers(lost, m.ManagedFields), Observed: now}
		}
	}
	if Owner(m.Labels[OwnerLabel]) != former.owner || !own.stamp.Equal(former.stamp) {
		// Someone applies in our name: the fields are ours, the values may not be.
		return &Drift{Reason: Changed, Observed: now, Fields: []FieldDrift{{
			Path: ".", Manager: FieldManager, Operation: string(metav1.ManagedFieldsOperationApply), Time: own.stamp}}}
	}
	return nil
}

// takers names who holds the lost fields now; a field that nobody holds was
// removed, by whoever of the others wrote last.
func takers(lost *fieldpath.Set, managers []metav1.ManagedFieldsEntry) []FieldDrift {
	type holder struct {
		entry metav1.ManagedFieldsEntry
		set   *fieldpath.Set
	}
	var holders []holder
	var latest *metav1.ManagedFieldsEntry
	for i, m := range managers {
		if m.FieldsV1 == nil || m.Manager == FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == "" {
			continue
		}
		holders = append(holders, holder{m, fieldSet(m.FieldsV1.GetRawBytes())})
		if m.Subresource != "status" && m.Time != nil && (latest == nil || latest.Time.Before(m.Time)) {
			latest = &managers[i]
		}
	}
	var out []FieldDrift
	lost.Iterate(func(path fieldpath.Path) { // All panics when it is left early
		if len(out) == maxDriftFields {
			return
		}
		taker := latest
		for _, h := range holders {
			if h.set.Has(path) {
				taker = &h.entry
				break
			}
		}
		out = append(out, fieldDrift(path.String(), taker))
	})
	return out
}

func fieldDrift(path string, m *metav1.ManagedFieldsEntry) FieldDrift {
	f := FieldDrift{Path: path}
	if m == nil {
		return f
	}
	f.Manager, f.Operation, f.Subresource = m.Manager, string(m.Operation), m.Subresource
	if m.Time != nil {
		f.Time = m.Time.Time
	}
	return f
}
