package objects

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Normalize holds an object that was changed since Decode against the same rules, and
// strips from it what Decode strips.
func Normalize(u *unstructured.Unstructured) error { return normalize(u.Object) }

// Distinct refuses two objects of one group, kind, namespace and name.
func Distinct(objs []*unstructured.Unstructured) error {
	seen := make(map[identity]bool, len(objs))
	for _, u := range objs {
		id := identityOf(u)
		if seen[id] {
			return fmt.Errorf("%s is there twice", Name(u))
		}
		seen[id] = true
	}
	return nil
}
