package objects

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// podSpec is where a built-in workload kind keeps its pod; nil for other kinds.
func podSpec(u *unstructured.Unstructured) []string {
	gvk := u.GroupVersionKind()
	switch gvk.Group + "/" + gvk.Kind {
	case "/Pod":
		return []string{"spec"}
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job":
		return []string{"spec", "template", "spec"}
	case "batch/CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// Images lists the container images of built-in workloads as they are written,
// sorted, each once.
func Images(objs []*unstructured.Unstructured) []string {
	var images []string
	for _, u := range objs {
		spec := podSpec(u)
		if spec == nil {
			continue
		}
		for _, field := range []string{"containers", "initContainers", "ephemeralContainers"} {
			containers, _, _ := unstructured.NestedFieldNoCopy(u.Object, append(slices.Clone(spec), field)...)
			list, _ := containers.([]any)
			for _, c := range list {
				container, _ := c.(map[string]any)
				if image, _ := container["image"].(string); image != "" {
					images = append(images, image)
				}
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}
