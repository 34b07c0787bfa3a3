package objects

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
)

// Decode reads the objects in files, in order. Lists are flattened, and what only
// a cluster may write is stripped: status, and in metadata managedFields, uid,
// resourceVersion, generation, selfLink, creationTimestamp, deletionTimestamp and
// deletionGracePeriodSeconds. Owner references, objects without kind or name,
// and two objects of one group, kind, namespace and name are refused.
// Errors name file and line.
func Decode(files []File, limits Limits) ([]*unstructured.Unstructured, error) {
	d := decoder{limits: limits, places: map[identity]string{}}
	for len(files) > 0 {
		n, err := d.batch(files)
		if n == 0 && err != nil {
			return nil, err
		}
		read := make([]contents, n)
		inParallel(n, func(i int) { read[i].read(files[i], limits) })
		for _, c := range read {
			if err := d.take(c); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return nil, err
		}
		files = files[n:]
	}
	return d.objects, nil
}

// batch is how many files are read at once, and counts what they may hold. With an
// error, it is of the file behind them.
func (d *decoder) batch(files []File) (n int, err error) {
	for size := 0; n < len(files); n++ {
		f := files[n]
		if size += len(f.Data); size > batchBytes && n > 0 {
			break
		}
		if d.total += int64(len(f.Data)); d.total > d.limits.Total {
			return n, fmt.Errorf("%q: the files hold more than %d bytes: %w", f.Path, d.limits.Total, ErrLimit)
		}
		if d.values += f.nodesAtMost(); d.values > d.limits.AllValues {
			return n, fmt.Errorf("%q: the files hold more than %d values: %w", f.Path, d.limits.AllValues, ErrLimit)
		}
	}
	return n, nil
}

// contents is what a file holds.
type contents struct {
	places []string
	values []any
	err    error // of what follows the values
}

func (c *contents) read(f File, limits Limits) {
	documents, err := Documents(f, limits)
	if err != nil {
		c.err = err
		return
	}
	encrypted := orders{}
	for _, document := range documents {
		place := fmt.Sprintf("%q line %d", f.Path, document.Line)
		var value any
		if err := json.Unmarshal(document.JSON, &value); err != nil {
			c.err = fmt.Errorf("%s: %w", place, err)
			return
		}
		if object, ok := value.(map[string]any); ok {
			encrypted.keep(object, document)
		}
		c.places, c.values = append(c.places, place), append(c.values, value)
	}
}

// identity is what a cluster tells objects apart by.
type identity struct{ group, kind, namespace, name string }

type decoder struct {
	limits  Limits
	total   int64
	values  int
	objects []*unstructured.Unstructured
	places  map[identity]string // where each object was read
}

func (d *decoder) take(c contents) error {
	for i, value := range c.values {
		object, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: a Kubernetes object is wanted, with apiVersion, kind and metadata", c.places[i])
		}
		if err := d.object(c.places[i], object); err != nil {
			return err
		}
	}
	return c.err
}

func (d *decoder) object(place string, object map[string]any) error {
	if items, ok := listItems(object); ok {
		if IsEncrypted(object) {
			return fmt.Errorf("%s: a List that SOPS encrypted as a whole; hint: encrypt its objects, one by one", place)
		}
		for i, item := range items {
			child, ok := item.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: item %d of the list is not an object", place, i)
			}
			if err := d.object(place, child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := normalize(object); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	u := &unstructured.Unstructured{Object: object}
	id := identityOf(u)
	if before, ok := d.places[id]; ok {
		return fmt.Errorf("%s: %s is there twice; the first is in %s", place, Name(u), before)
	}
	d.places[id] = place
	d.objects = append(d.objects, u)
	if len(d.objects) > d.limits.Documents {
		return fmt.Errorf("%s: more than %d objects: %w", place, d.limits.Documents, ErrLimit)
	}
	return nil
}

// listItems is the content of a List. A custom resource that happens to have
// items has a name as well.
func listItems(object map[string]any) ([]any, bool) {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	metadata, _ := object["metadata"].(map[string]any)
	if !strings.HasSuffix(kind, "List") || metadata["name"] != nil {
		return nil, false
	}
	if !ok && kind == "List" && object["items"] == nil {
		return nil, true
	}
	return items, ok
}

func identityOf(u *unstructured.Unstructured) identity {
	gvk := u.GroupVersionKind()
	return identity{gvk.Group, gvk.Kind, u.GetNamespace(), u.GetName()}
}

// Name is how messages call an object: KIND NAMESPACE/NAME.
func Name(u *unstructured.Unstructured) string {
	if u.GetNamespace() == "" {
		return u.GetKind() + " " + u.GetName()
	}
	return u.GetKind() + " " + u.GetNamespace() + "/" + u.GetName()
}
