package objects

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ImagePath says where objects of a kind name container images.
type ImagePath struct {
	APIVersion string // GROUP/VERSION, or GROUP alone for all its versions
	Kind       string
	Fields     []Field
}

// Field is the way to strings in an object: keys, and "[*]" for each element of a list.
type Field []string

const elements = "[*]"

// ParseField reads spec.image or spec.containers[*].image.
func ParseField(path string) (Field, error) {
	var f Field
	for _, part := range strings.Split(path, ".") {
		key, each := strings.CutSuffix(part, elements)
		if key == "" || strings.ContainsAny(key, "[]*") {
			return nil, fmt.Errorf("%q is no path to a field; hint: write spec.image, or spec.containers[*].image", path)
		}
		f = append(f, key)
		if each {
			f = append(f, elements)
		}
	}
	return f, nil
}

// podSpec is where a built-in workload kind keeps its pod; nil for other kinds.
func podSpec(u *unstructured.Unstructured) Field {
	gvk := u.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case "/Pod":
		return Field{"spec"}
	case "/PodTemplate":
		return Field{"template", "spec"}
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "/ReplicationController":
		return Field{"spec", "template", "spec"}
	case "batch/CronJob":
		return Field{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// imageFields is where u names images: as a built-in workload, or by extra. Each place
// is there once.
func imageFields(u *unstructured.Unstructured, extra []ImagePath) []Field {
	var fields []Field
	if spec := podSpec(u); spec != nil {
		for _, containers := range []string{"containers", "initContainers", "ephemeralContainers"} {
			fields = append(fields, append(slices.Clone(spec), containers, elements, "image"))
		}
		fields = append(fields, append(slices.Clone(spec), "volumes", elements, "image", "reference"))
	}
	for _, e := range extra {
		version := u.GetAPIVersion()
		if e.Kind != u.GetKind() || e.APIVersion != version && e.APIVersion != u.GroupVersionKind().Group {
			continue
		}
		for _, f := range e.Fields {
			if !slices.ContainsFunc(fields, func(known Field) bool { return slices.Equal(known, f) }) {
				fields = append(fields, f)
			}
		}
	}
	return fields
}

// EachImage gives visit every container image that objs name, as it is written, in
// the places of built-in workloads and of extra. What visit returns takes its place.
func EachImage(objs []*unstructured.Unstructured, extra []ImagePath, visit func(u *unstructured.Unstructured, image string) (string, error)) error {
	for _, u := range objs {
		one := func(image string) (string, error) { return visit(u, image) }
		for _, field := range imageFields(u, extra) {
			if err := field.each(u.Object, one); err != nil {
				return err
			}
		}
	}
	return nil
}

// each replaces the strings that f leads to. What is not there, empty or of another
// type is passed over.
func (f Field) each(value any, replace func(string) (string, error)) error {
	if f[0] == elements {
		list, _ := value.([]any)
		for i := range list {
			if err := f[1:].at(list[i], func(v any) { list[i] = v }, replace); err != nil {
				return err
			}
		}
		return nil
	}
	m, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	return f[1:].at(m[f[0]], func(v any) { m[f[0]] = v }, replace)
}

// at goes on with f, or has arrived at value, which put replaces.
func (f Field) at(value any, put func(any), replace func(string) (string, error)) error {
	if len(f) > 0 {
		return f.each(value, replace)
	}
	image, _ := value.(string)
	if image == "" {
		return nil
	}
	replaced, err := replace(image)
	if err == nil {
		put(replaced)
	}
	return err
}

// Images lists the container images of built-in workloads, and of extra, as they are
// written, sorted, each once.
func Images(objs []*unstructured.Unstructured, extra ...ImagePath) []string {
	var images []string
	_ = EachImage(objs, extra, func(_ *unstructured.Unstructured, image string) (string, error) { // only visit fails
		images = append(images, image)
		return image, nil
	})
	slices.Sort(images)
	return slices.Compact(images)
}
