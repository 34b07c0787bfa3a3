package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"unique"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	integers "k8s.io/apimachinery/pkg/util/json"
)

// Set is objects that somebody wants, packed: their JSON takes a fraction of the memory
// of decoded objects, and a pass needs little of those that stay as they are. A set
// never changes, and may be shared. Nil is the empty set.
type Set struct {
	manifests []manifest
	// definitions are what the CustomResourceDefinitions in the set define.
	definitions map[schema.GroupKind]definition
}

// manifest is one object of a Set: its JSON, and what decisions need of it.
type manifest struct {
	kind            schema.GroupVersionKind
	namespace, name string
	// text is the request that applies the object, but for the owner, which comes before
	// text[at], and for the namespace.
	text []byte
	at   int
	asks *directives // nil: nothing
	way  *course     // nil: none
	// wrong is why its annotations cannot be followed.
	wrong error
	// passes says that it is a Job which goes some time after its end.
	passes bool
	// speaks says that its health shows in its status.
	speaks bool
}

// NewSet packs objects, which are neither changed nor kept.
func NewSet(objects []*unstructured.Unstructured) (*Set, error) {
	s := &Set{manifests: make([]manifest, len(objects))}
	for i, o := range objects {
		m, err := pack(o)
		if err != nil {
			return nil, err
		}
		s.manifests[i] = m
		if !isDefinition(m.kind.GroupKind()) || m.asks != nil && (m.asks.local != "" || m.asks.untouched() != "") {
			continue
		}
		if s.definitions == nil {
			s.definitions = map[schema.GroupKind]definition{}
		}
		gk, d := readDefinition(o)
		s.definitions[gk] = d
	}
	return s, nil
}

// Len is how many objects there are.
func (s *Set) Len() int { return len(s.all()) }

// Objects decodes all, in the order given to NewSet. An ownership label is left out:
// the engine sets its own.
func (s *Set) Objects() ([]*unstructured.Unstructured, error) {
	objects := make([]*unstructured.Unstructured, s.Len())
	for i := range objects {
		var err error
		if objects[i], err = s.manifests[i].object(); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func (s *Set) all() []manifest {
	if s == nil {
		return nil
	}
	return s.manifests
}

func pack(o *unstructured.Unstructured) (manifest, error) {
	gvk := o.GroupVersionKind()
	m := manifest{
		kind:      schema.GroupVersionKind{Group: shared(gvk.Group), Version: shared(gvk.Version), Kind: shared(gvk.Kind)},
		namespace: shared(o.GetNamespace()),
		name:      o.GetName(),
		passes:    passes(o),
		speaks:    speaks(o),
	}
	if asked := readDirectives(o.GetAnnotations()); asked != (directives{}) {
		m.asks = &asked
	}
	way, err := readCourse(o)
	if m.wrong = err; way.wave != 0 || way.hook() || way.skipped != "" || way.ends != (endings{}) || len(way.after) > 0 {
		m.way = &way
	}
	if m.text, m.at, err = template(o.Object); err != nil {
		return m, fmt.Errorf("encoding %s %s: %w", gvk, m.name, err)
	}
	return m, nil
}

// shared is the same text for all who have an equal one.
func shared(text string) string { return unique.Make(text).Value() }

// template is an object's JSON without namespace and ownership label, and where the
// latter's value goes. Equal objects give equal bytes.
func template(object map[string]any) (text []byte, at int, err error) {
	top := maps.Clone(object)
	meta, _ := top["metadata"].(map[string]any)
	delete(top, "metadata")
	meta = maps.Clone(meta)
	labels, _ := meta["labels"].(map[string]any)
	labels = maps.Clone(labels)
	delete(labels, OwnerLabel)
	delete(meta, "labels")
	delete(meta, "namespace")
	text = append(text, `{"metadata":{`...)
	if text, err = appendMembers(text, meta, true); err != nil {
		return nil, 0, err
	}
	text = append(text, `"labels":{`...)
	if text, err = appendMembers(text, labels, true); err != nil {
		return nil, 0, err
	}
	text = append(text, `"`+OwnerLabel+`":`...)
	at = len(text)
	text = append(text, '}')
	if len(top) > 0 {
		text = append(text, ',')
	}
	if text, err = appendMembers(text, top, false); err != nil {
		return nil, 0, err
	}
	return append([]byte(nil), append(text, '}')...), at, nil
}

// appendMembers adds what is between the braces of an object, and a comma behind it
// where more follows.
func appendMembers(text []byte, members map[string]any, more bool) ([]byte, error) {
	if len(members) == 0 {
		return text, nil
	}
	encoded, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	text = append(text, encoded[1:len(encoded)-1]...)
	if more {
		text = append(text, ',')
	}
	return text, nil
}

// body is the request that applies the object, with identity and ownership set. Equal
// objects give equal bytes.
func (m *manifest) body(namespace string, owner Owner) []byte {
	label, _ := json.Marshal(owner) // a string always encodes
	label = append(label, '}')
	if namespace != "" {
		place, _ := json.Marshal(namespace)
		label = append(append(label, `,"namespace":`...), place...)
	}
	body := make([]byte, 0, len(m.text)+len(label))
	return append(append(append(body, m.text[:m.at]...), label...), m.text[m.at:]...)
}

// object decodes the manifest.
func (m *manifest) object() (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := integers.Unmarshal(m.body(m.namespace, ""), &o.Object); err != nil {
		return nil, fmt.Errorf("decoding %s %s: %w", m.kind, m.name, err)
	}
	meta, _ := o.Object["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	if delete(labels, OwnerLabel); len(labels) == 0 {
		delete(meta, "labels")
	}
	return o, nil
}

// changed is the request that applies the object as change makes it.
func (m *manifest) changed(namespace string, owner Owner, change func(*unstructured.Unstructured)) ([]byte, error) {
	o, err := m.object()
	if err != nil {
		return nil, err
	}
	change(o)
	other := *m
	if other.text, other.at, err = template(o.Object); err != nil {
		return nil, fmt.Errorf("encoding %s %s: %w", m.kind, m.name, err)
	}
	return other.body(namespace, owner), nil
}
