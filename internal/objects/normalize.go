package objects

import (
	"errors"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation"
)

// ofTheCluster is what only a cluster writes in metadata.
func ofTheCluster() []string {
	return []string{
		"managedFields", "uid", "resourceVersion", "generation", "selfLink",
		"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
	}
}

var (
	kindPattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`)
	versionPattern = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// normalize checks what an object is, and strips what only a cluster writes.
func normalize(object map[string]any) error {
	kind, metadata, err := identify(object)
	if err != nil {
		return err
	}
	delete(object, "status")
	for _, key := range ofTheCluster() {
		delete(metadata, key)
	}
	if err := nameHook(kind, object, metadata); err != nil {
		return err
	}
	if err := checkNames(kind, metadata); err != nil {
		return err
	}
	if metadata["ownerReferences"] != nil {
		return fmt.Errorf("%s %v has ownerReferences, which name an object of one cluster by its UID; hint: remove them", kind, metadata["name"])
	}
	for _, key := range []string{"labels", "annotations"} {
		if err := checkStrings(metadata, key); err != nil {
			return fmt.Errorf("%s %v: %w", kind, metadata["name"], err)
		}
	}
	delete(metadata, "ownerReferences")
	return nil
}

func identify(object map[string]any) (kind string, metadata map[string]any, err error) {
	kind, ok := object["kind"].(string)
	if !ok || kind == "" {
		return "", nil, errors.New("an object without kind")
	}
	if !kindPattern.MatchString(kind) {
		return "", nil, fmt.Errorf("%q is not a kind", kind)
	}
	version, ok := object["apiVersion"].(string)
	if !ok || version == "" {
		return "", nil, fmt.Errorf("an object of kind %s without apiVersion", kind)
	}
	if !versionPattern.MatchString(version) {
		return "", nil, fmt.Errorf("%q is not an apiVersion", version)
	}
	metadata, ok = object["metadata"].(map[string]any)
	if !ok {
		return "", nil, fmt.Errorf("an object of kind %s without metadata.name", kind)
	}
	return kind, metadata, nil
}

func checkNames(kind string, metadata map[string]any) error {
	name, ok := metadata["name"].(string)
	if metadata["name"] != nil && !ok {
		return fmt.Errorf("an object of kind %s whose name is not a string, but %v; hint: quote it", kind, metadata["name"])
	}
	if name == "" {
		return fmt.Errorf("an object of kind %s without metadata.name", kind)
	}
	if len(name) > 253 || !printable(name) || len(path.IsValidPathSegmentName(name)) > 0 {
		return fmt.Errorf("%q is not a name for an object of kind %s", name, kind)
	}
	if metadata["namespace"] == nil {
		delete(metadata, "namespace")
		return nil
	}
	namespace, ok := metadata["namespace"].(string)
	if !ok || namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0 {
		return fmt.Errorf("%s %s: %q is not a namespace", kind, name, fmt.Sprint(metadata["namespace"]))
	}
	if namespace == "" {
		delete(metadata, "namespace")
	}
	return nil
}

func printable(name string) bool {
	for _, r := range name {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return true
}

func checkStrings(metadata map[string]any, key string) error {
	if metadata[key] == nil {
		delete(metadata, key)
		return nil
	}
	values, ok := metadata[key].(map[string]any)
	if !ok {
		return fmt.Errorf("metadata.%s is not a map", key)
	}
	for name, value := range values {
		if _, ok := value.(string); !ok {
			return fmt.Errorf("metadata.%s[%q] is not a string, but %v; hint: quote it", key, name, value)
		}
	}
	return nil
}
