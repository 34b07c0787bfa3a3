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
