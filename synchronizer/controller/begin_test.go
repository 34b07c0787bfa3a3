package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
)

// TestBegunIsRead: what a process begun and did not tell is known to the next one, and
// counts no more once the status, or the Delivery, is another.
func TestBegunIsRead(t *testing.T) {
	stored := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "one", Generation: 3,
		Annotations: map[string]string{v1alpha1.RequestedAtAnnotation: "now"}}}
	name, mark := client.ObjectKeyFromObject(stored), synchronizer.Watermark{Repository: "r.example.com/shop", Sequence: 7}
	intent := synchronizer.Intent{Release: release("two"), Accepted: mark, Kinds: []schema.GroupKind{{Group: "apps", Kind: "Deployment"}}}
	status := begun(stored, intent)
	value := record{marks: watermarks{mark.Repository: mark}, begun: beginningOf(stored, status, intent, time.Now())}
	kept := map[string]*corev1.ConfigMap{}
	changed, _ := place("sealift-system", kept, []*saving{{key: recordKey(name), value: value}})
	kept[changed[0].Name] = changed[0]

	r := &reconciler{accepted: &acceptance{stored: kept}}
	d := stored.DeepCopy()
	r.overlay(d)
	expect(t, d, metav1.ConditionUnknown, "Progressing")
	d.Status.Conditions, status.Conditions = nil, nil // they tell the second
	if !equal(d.Status, status) {
		t.Errorf("what was begun is read as\n%+v, not\n%+v", d.Status, status)
	}

	for what, change := range map[string]func(*v1alpha1.Delivery){
		"its status was written": func(d *v1alpha1.Delivery) { d.Status.Applied = &v1alpha1.Release{Digest: "sha256:0"} },
		"it was made anew":       func(d *v1alpha1.Delivery) { d.UID = types.UID("two") },
	} {
		other := stored.DeepCopy()
		change(other)
		want := other.DeepCopy()
		if r.overlay(other); !equal(other.Status, want.Status) {
			t.Errorf("%s, and what was begun before still counts: %+v", what, other.Status)
		}
	}
}

// TestBegunOfAnotherVersion: a status that says something else of the same moment, as
// another version writes it, forgets no kinds of what was begun after it.
func TestBegunOfAnotherVersion(t *testing.T) {
	at := time.Now()
	for what, test := range map[string]struct {
		turned time.Time
		want   int
	}{
		"begun after it": {at.Add(-time.Minute), 2},
		"told by it":     {at.Add(time.Minute), 1},
	} {
		d := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "one"}}
		d.Status.Kinds = []v1alpha1.Kind{{Kind: "ConfigMap"}}
		set(&d.Status, 1, v1alpha1.ConditionReady, metav1.ConditionTrue, "Delivered", "")
		d.Status.Conditions[0].LastTransitionTime = metav1.NewTime(test.turned)
		intent := synchronizer.Intent{Release: release("two"), Kinds: []schema.GroupKind{{Kind: "ConfigMap"}, {Group: "apps", Kind: "Deployment"}}}
		value := record{begun: beginningOf(d, begun(d, intent), intent, at)}
		changed, _ := place("sealift-system", nil, []*saving{{key: recordKey(client.ObjectKeyFromObject(d)), value: value}})
		d.Status.Drifted = []string{"for a field that the other version did not know"}
		r := &reconciler{accepted: &acceptance{stored: map[string]*corev1.ConfigMap{changed[0].Name: changed[0]}}}
		if r.overlay(d); len(d.Status.Kinds) != test.want {
			t.Errorf("%s: its kinds are %v, want %d", what, d.Status.Kinds, test.want)
		}
	}
}

// TestBegunLastCounts: a leader whose clock is behind saves what it begins all the same.
func TestBegunLastCounts(t *testing.T) {
	at := time.Now()
	text := encode("", record{begun: &beginning{Base: "former", At: metav1.NewTime(at.Add(time.Hour))}})
	found, err := decode(encode(text, record{begun: &beginning{Base: "now", At: metav1.NewTime(at)}}))
	if err != nil || found.begun.Base != "now" {
		t.Errorf("%+v was begun last, %v", found.begun, err)
	}
}
