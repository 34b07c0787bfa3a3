package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	integers "k8s.io/apimachinery/pkg/util/json"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := integers.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestManifest: the request is the object with its identity and its owner, whatever the
// object holds; and the object comes back as it was.
func TestManifest(t *testing.T) {
	for name, test := range map[string]struct{ object, namespace, want string }{
		"the least":    {`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}`, "shop", `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"shop","labels":{"sealift.dev/delivery":"shop.app"}}}`},
		"no namespace": {`{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"x"}}`, "", `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","labels":{"sealift.dev/delivery":"shop.app"}}}`},
		"labels": {`{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"x","annotations":{"b":"<&>"},"labels":{"zz":"1","a":"2"}},"data":{"k":"\u2028\"\\"}}`, "shop",
			`{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"shop","annotations":{"b":"<&>"},"labels":{"zz":"1","a":"2","sealift.dev/delivery":"shop.app"}},"data":{"k":"\u2028\"\\"}}`},
		"numbers": {`{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"spec":{"i":9007199254740993,"f":0.1,"n":null,"e":{},"l":[]}}`, "shop",
			`{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"shop","labels":{"sealift.dev/delivery":"shop.app"}},"spec":{"i":9007199254740993,"f":0.1,"n":null,"e":{},"l":[]}}`},
		"nothing but metadata": {`{"metadata":{}}`, "shop", `{"metadata":{"namespace":"shop","labels":{"sealift.dev/delivery":"shop.app"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			o := parse(t, test.object)
			m, err := pack(o)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(o, parse(t, test.object)) {
				t.Error("the object was changed")
			}
			if got := m.body(test.namespace, me); !reflect.DeepEqual(parse(t, string(got)), parse(t, test.want)) {
				t.Errorf("the request is %s", got)
			}
			if back, err := m.object(); err != nil || !reflect.DeepEqual(back, o) {
				t.Errorf("it comes back as %v: %v", back, err)
			}
		})
	}
}

// TestManifestOfAnother: an ownership label that the author wrote counts for nothing.
func TestManifestOfAnother(t *testing.T) {
	plain := packed(parse(t, `{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}`))
	forged := packed(parse(t, `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","labels":{"sealift.dev/delivery":"someone"}}}`))
	if string(plain.body("shop", me)) != string(forged.body("shop", me)) {
		t.Errorf("%s", forged.body("shop", me))
	}
	odd := Owner("a\"b\\\n")
	var got unstructured.Unstructured
	if err := json.Unmarshal(plain.body("shop", odd), &got.Object); err != nil || got.GetLabels()[OwnerLabel] != string(odd) {
		t.Errorf("an owner is not encoded: %s: %v", plain.body("shop", odd), err)
	}
}

// TestManifestChanged: a change is in the request, and not in the set.
func TestManifestChanged(t *testing.T) {
	m := packed(parse(t, `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"replicas":1,"paused":true}}`))
	before := string(m.body("shop", me))
	body, err := m.changed("shop", me, func(o *unstructured.Unstructured) {
		cutAll(o.Object, []pointer{{"spec", "replicas"}, {"metadata", "labels"}})
	})
	want := `{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":"shop","labels":{"sealift.dev/delivery":"shop.app"}},"spec":{"paused":true}}`
	if err != nil || !reflect.DeepEqual(parse(t, string(body)), parse(t, want)) {
		t.Errorf("%s: %v", body, err)
	}
	if string(m.body("shop", me)) != before {
		t.Error("the set was changed")
	}
}

// TestSet is shared by many at once.
func TestSet(t *testing.T) {
	var objects []*unstructured.Unstructured
	for i := range 20 {
		objects = append(objects, parse(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a%d"}}`, i)))
	}
	definition := `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"%[1]s.example.com"%[2]s},
		"spec":{"group":"example.com","scope":"Namespaced","names":{"kind":"%[1]s","plural":"%[1]s"},"versions":[{"name":"v1","served":true}]}}`
	objects = append(objects, parse(t, fmt.Sprintf(definition, "carts", "")),
		parse(t, fmt.Sprintf(definition, "ghosts", `,"annotations":{"sealift.dev/reconcile":"disabled"}`)))
	set, err := NewSet(objects)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.definitions) != 1 || set.Len() != 22 || (*Set)(nil).Len() != 0 {
		t.Errorf("%d objects, defined are %v", set.Len(), set.definitions)
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			back, err := set.Objects()
			if err != nil || !reflect.DeepEqual(back, objects) {
				t.Errorf("they come back as %v: %v", back, err)
			}
			back[0].SetName("changed") // is nobody else's
			owner := Owner(fmt.Sprint("owner-", i))
			if body := string(set.manifests[0].body("shop", owner)); !strings.Contains(body, string(owner)) {
				t.Error(body)
			}
		})
	}
	all.Wait()
}
