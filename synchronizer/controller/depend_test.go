package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sealift.dev/api/v1alpha1"
)

// among are Deliveries by what they depend on.
type among map[string][]string

func (a among) get(name string) (*v1alpha1.Delivery, error) {
	on, exists := a[name]
	if !exists {
		return nil, nil
	}
	d := &v1alpha1.Delivery{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, other := range on {
		d.Spec.DependsOn = append(d.Spec.DependsOn, v1alpha1.Dependency{Name: other})
	}
	return d, nil
}

// chain is n Deliveries of which each depends on the next, and the last on those given.
func chain(n int, last ...string) among {
	a := among{}
	for i := range n - 1 {
		a[fmt.Sprint(i)] = []string{fmt.Sprint(i + 1)}
	}
	a[fmt.Sprint(n-1)] = last
	return a
}

func TestFindCycle(t *testing.T) {
	wide := among{"a": nil}
	for i := range 32 {
		wide["a"] = append(wide["a"], fmt.Sprint("x", i))
		for j := range 32 {
			wide[fmt.Sprint("x", i)] = append(wide[fmt.Sprint("x", i)], fmt.Sprint("y", j))
			wide[fmt.Sprint("y", j)] = nil
		}
	}
	for name, test := range map[string]struct {
		from string
		of   among
		want string
	}{
		"none":                  {"a", among{"a": {"b", "c"}, "b": {"c"}, "c": nil}, ""},
		"itself":                {"a", among{"a": {"a"}}, "a → a"},
		"two":                   {"a", among{"a": {"b"}, "b": {"a"}}, "a → b → a"},
		"of others":             {"a", among{"a": {"b"}, "b": {"c"}, "c": {"b"}}, ""},
		"behind one that isn't": {"a", among{"a": {"gone", "b"}, "b": {"gone", "a"}}, "a → b → a"},
		"a diamond":             {"a", wide, ""},
		"a long chain":          {"0", chain(1000), ""},
		"a long way round":      {"0", chain(1000, "0"), "998 → 999 → 0"},
	} {
		asked := 0
		d, _ := test.of.get(test.from)
		cycle, err := findCycle(d, func(name string) (*v1alpha1.Delivery, error) { asked++; return test.of.get(name) })
		way := strings.Join(cycle, " → ")
		if err != nil || (test.want == "") != (way == "") || !strings.HasSuffix(way, test.want) {
			t.Errorf("%s: %v, %v", name, cycle, err)
		}
		if asked > maxFollowed || asked > len(test.of) {
			t.Errorf("%s: %d Deliveries were looked at, of %d", name, asked, len(test.of))
		}
	}
}

// TestTurned: who depends on a Delivery looks again at one that was not ready meanwhile,
// though its status was held back and tells of the same release.
func TestTurned(t *testing.T) {
	before := &v1alpha1.Delivery{}
	set(&before.Status, 1, v1alpha1.ConditionReady, metav1.ConditionTrue, "Delivered", "")
	after := before.DeepCopy()
	after.Status.Objects = &v1alpha1.ObjectCount{Total: 2}
	if turned(before, after) {
		t.Error("its objects changed: dependents have nothing to see")
	}
	after.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(time.Minute))
	if !turned(before, after) {
		t.Error("it was not ready meanwhile, and dependents wait on")
	}
}
