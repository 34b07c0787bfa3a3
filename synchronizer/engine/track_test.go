package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var configMaps = schema.GroupKind{Kind: "ConfigMap"}

const (
	oursV1   = `{"f:data":{"f:a":{},"f:b":{}},"f:metadata":{"f:labels":{"f:sealift.dev/delivery":{}}}}`
	ours2V1  = `{"f:data":{"f:a":{}},"f:metadata":{"f:labels":{"f:sealift.dev/delivery":{}}}}`
	theirsV1 = `{"f:data":{"f:b":{}}}`
)

func managed(manager string, op metav1.ManagedFieldsOperationType, fields string) metav1.ManagedFieldsEntry {
	stamp := metav1.Unix(100, 0)
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: op, Time: &stamp, FieldsV1: metav1.NewFieldsV1(fields)}
}

// seen is ConfigMap shop/one at version rv.
func seen(rv int, owner Owner, entries ...metav1.ManagedFieldsEntry) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "one", UID: types.UID("u"), ResourceVersion: fmt.Sprint(rv),
		Labels: map[string]string{OwnerLabel: string(owner)}, ManagedFields: entries,
	}}
}

func ours(rv int) *metav1.PartialObjectMetadata {
	return seen(rv, me, managed(FieldManager, metav1.ManagedFieldsOperationApply, oursV1))
}

func stolen(rv int) *metav1.PartialObjectMetadata {
	return seen(rv, me, managed(FieldManager, metav1.ManagedFieldsOperationApply, ours2V1),
		managed("thief", metav1.ManagedFieldsOperationUpdate, theirsV1))
}

// TestTracker plays sequences of events and answers. A step's letter says what
// happens: b(egin), s(ettle), a(bandon), o(bserve), r(emove), l(ist without).
func TestTracker(t *testing.T) {
	one := ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "one"}
	type step struct {
		what string
		rv   int
		m    *metav1.PartialObjectMetadata
	}
	for _, test := range []struct {
		name  string
		steps []step
		drift string // of the record afterwards; "none" when there is no record
		told  int    // news after the last step
	}{
		{"own event after the answer", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 5, ours(5)}}, "", 0},
		{"own event before the answer", []step{{"b", 0, nil}, {"o", 5, ours(5)}, {"s", 5, ours(5)}}, "", 0},
		{"theft after the answer", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 6, stolen(6)}}, "changed: .data.b by thief at 1970-01-01T00:01:40Z", 1},
		{"theft before the answer was in", []step{{"b", 0, nil}, {"o", 6, stolen(6)}, {"s", 5, ours(5)}}, "changed: .data.b by thief at 1970-01-01T00:01:40Z", 1},
		{"theft that our apply undid", []step{{"b", 0, nil}, {"o", 4, stolen(4)}, {"s", 5, ours(5)}}, "", 0},
		{"stale theft", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 4, stolen(4)}}, "", 0},
		{"stale theft after news", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 7, ours(7)}, {"o", 6, stolen(6)}}, "", 0},
		{"stale news after the deletion", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"r", 7, nil}, {"o", 6, ours(6)}}, "deleted or unlabelled", 0},
		{"back after the deletion", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"r", 6, nil}, {"o", 7, ours(7)}}, "", 0},
		{"theft given back", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 6, stolen(6)}, {"o", 7, ours(7)}}, "", 0},
		{"wiped", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 6, seen(6, me)}}, "ownership record wiped", 1},
		{"foreign field", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 6, seen(6, me,
			managed(FieldManager, metav1.ManagedFieldsOperationApply, oursV1), managed("friend", metav1.ManagedFieldsOperationUpdate, `{"f:data":{"f:c":{}}}`))}}, "", 0},
		{"deleted", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"r", 6, nil}}, "deleted or unlabelled", 1},
		{"deleted while applying", []step{{"b", 0, nil}, {"o", 3, ours(3)}, {"r", 6, nil}, {"s", 5, ours(5)}}, "deleted or unlabelled", 0},
		{"the former one's deletion", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"r", 4, nil}}, "", 0},
		{"missing from a later list", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"l", 9, nil}}, "deleted or unlabelled", 1},
		{"missing from an earlier list", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"l", 4, nil}}, "", 0},
		{"deleted and healed", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"r", 6, nil}, {"b", 0, nil}, {"s", 7, ours(7)}, {"o", 7, ours(7)}}, "", 0},
		{"failed first apply", []step{{"b", 0, nil}, {"a", 0, nil}}, "none", 0},
		{"stray", []step{{"o", 5, ours(5)}}, "", 1},
		{"stray deleted", []step{{"o", 5, ours(5)}, {"r", 6, nil}}, "none", 1},
		{"a copy", []step{{"o", 5, seen(5, me, managed("kubectl", metav1.ManagedFieldsOperationUpdate, oursV1))}}, "none", 0},
		{"another Delivery takes it", []step{{"b", 0, nil}, {"s", 5, ours(5)}, {"o", 6, seen(6, you, managed(FieldManager, metav1.ManagedFieldsOperationApply, oursV1))}}, "changed: . by sealift at 1970-01-01T00:01:40Z", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := 0
			tr := newTracker(func(o Owner) {
				if o == me {
					told++
				}
			})
			for _, s := range test.steps {
				told = 0
				switch s.what {
				case "b":
					tr.begin(one, me)
				case "s":
					tr.settle(one, me, digest{}, s.m)
				case "a":
					tr.abandon(one)
				case "o":
					tr.observe(configMaps, &reading{PartialObjectMetadata: *s.m})
				case "r":
					tr.remove(one, uint64(s.rv))
				case "l":
					tr.replace(configMaps, nil, uint64(s.rv))
				}
			}
			got := "none"
			if r, ok := tr.records(me, []ObjectRef{one})[one]; ok {
				got = ""
				if r.drift != nil {
					got = r.drift.String()
				} else if r.lost != nil {
					got = r.lost.String()
				}
			}
			if got != test.drift || told != test.told {
				t.Errorf("drift is %q, not %q; told %d times, not %d", got, test.drift, told, test.told)
			}
		})
	}
}

func TestTrackerForgetsWhatItPrunes(t *testing.T) {
	told := 0
	tr := newTracker(func(Owner) { told++ })
	ref := refOf(configMaps, ours(5))
	tr.begin(ref, me)
	tr.settle(ref, me, digest{}, ours(5))
	tr.forget(ref)
	tr.remove(ref, 6)
	if len(tr.objects) != 0 || len(tr.owners) != 0 || told == 0 {
		t.Errorf("%d objects, %d owners left, told %d times", len(tr.objects), len(tr.owners), told)
	}
}

func TestSameFields(t *testing.T) {
	reordered := `{"f:metadata":{"f:labels":{"f:sealift.dev/delivery":{}}},"f:data":{"f:b":{},"f:a":{}}}`
	if !sameFields([]byte(oursV1), []byte(reordered)) {
		t.Error("the order of writing counts")
	}
	if sameFields([]byte(oursV1), []byte(ours2V1)) {
		t.Error("a lost field does not count")
	}
}

func TestHoldsLabel(t *testing.T) {
	for fields, want := range map[string]bool{
		oursV1: true,
		`{"f:metadata":{"f:annotations":{"f:sealift.dev/delivery":{}}}}`: false,
		`{"f:metadata":{"f:labels":{"f:other":{}}}}`:                     false,
		`f:sealift.dev/delivery`:                                         false,
	} {
		if holdsLabel([]byte(fields)) != want {
			t.Errorf("%s gives %v", fields, !want)
		}
	}
}

func TestDriftNamesAtMostTen(t *testing.T) {
	var fields []string
	for i := range 30 {
		fields = append(fields, fmt.Sprintf(`"f:k%02d":{}`, i))
	}
	former := &applied{owner: me, fields: textOf([]byte(`{"f:data":{` + strings.Join(fields, ",") + `}}`))}
	d := compare(former, seen(9, me, managed(FieldManager, metav1.ManagedFieldsOperationApply, ours2V1)), nil, time.Now())
	if d == nil || len(d.Fields) != maxDriftFields {
		t.Errorf("drift is %v", d)
	}
}

// TestTrackerLearnsFromLateEchoes: the echo of a write counts also after the object
// was forgotten and found as wanted again, or its verdict is awaited for ever.
func TestTrackerLearnsFromLateEchoes(t *testing.T) {
	tr := newTracker(func(Owner) {})
	ref := ObjectRef{Group: "apps", Kind: "DaemonSet", Namespace: "n", Name: "x"}
	m := ours(7)
	m.Namespace, m.Name = "n", "x"
	tr.begin(ref, "a.b")
	tr.settle(ref, "a.b", digest{}, m)
	tr.forget(ref)
	tr.observe(ref.GroupKind(), &reading{PartialObjectMetadata: *m, verdict: &verdict{rv: 7, status: "Current"}})
	if v := tr.await(ref, 7); v.status != "Current" {
		t.Errorf("it is %s: %s", v.status, v.message)
	}
}

// TestStrangeStatus: a status that kstatus cannot read says so, and nothing fails.
func TestStrangeStatus(t *testing.T) {
	for _, text := range []any{"well", map[string]any{"conditions": "none"}, map[string]any{"conditions": []any{"a"}}, map[string]any{"observedGeneration": "1"}} {
		live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Boat", "metadata": map[string]any{"name": "x"}, "status": text}}
		if v := kstatusOf(live); v.current() == (v.status == "Unknown") || v.status == "Unknown" && !strings.Contains(v.message, "spec.health") {
			t.Errorf("%v: %s, %s", text, v.status, v.message)
		}
	}
}

// TestLongMessages: of what an object says of itself, a bounded part is remembered.
func TestLongMessages(t *testing.T) {
	said := strings.Repeat("ü", 1<<20)
	live := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Boat", "metadata": map[string]any{"name": "x"},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Stalled", "status": "True", "message": said}}}}}
	v := kstatusOf(live)
	if v.status != "Failed" || len(v.message) < 100 || len(v.message) > 2*maxVerdict || !utf8.ValidString(v.message) {
		t.Errorf("%s, with a message of %d bytes", v.status, len(v.message))
	}
}

// TestNamesakeOfAFinishedJob: a Job that was made anew is not done because the one of its
// name before was, also where nobody saw it before it went.
func TestNamesakeOfAFinishedJob(t *testing.T) {
	tr := newTracker(func(Owner) {})
	ref := ObjectRef{Group: "batch", Kind: "Job", Namespace: "shop", Name: "one"}
	it := item{ref: ref, manifest: &manifest{passes: true}}
	spent := func() bool { return spentJob(Target{Owner: me}, it, tr.records(me, nil)[ref]) }
	tr.begin(ref, me)
	tr.settle(ref, me, digest{1}, ours(5))
	tr.observe(ref.GroupKind(), &reading{PartialObjectMetadata: *ours(6), verdict: &verdict{uid: "u", rv: 6, status: "Current", done: true}})
	tr.remove(ref, 7)
	if !spent() {
		t.Error("the finished one would be made again")
	}
	anew := ours(8)
	anew.UID = "another"
	tr.begin(ref, me)
	tr.settle(ref, me, digest{2}, anew)
	tr.remove(ref, 9)
	if spent() {
		t.Error("one that never ran would not be made again")
	}
}
