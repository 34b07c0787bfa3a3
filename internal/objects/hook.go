package objects

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

const (
	// maxLabel is what a name may be long that becomes a label's value, as a Job's does.
	maxLabel = 63
	// nameDigits of a hash tell hooks with the same generateName apart.
	nameDigits = 10
)

// nameHook gives a hook with metadata.generateName the name that its content always
// has: a run is known by its name. Other objects are kept by names that persons give.
func nameHook(kind string, object, metadata map[string]any) error {
	if metadata["generateName"] == nil {
		return nil
	}
	base, ok := metadata["generateName"].(string)
	if !ok {
		return fmt.Errorf("an object of kind %s whose generateName is not a string, but %v; hint: quote it", kind, metadata["generateName"])
	}
	if !isHook(metadata) {
		return fmt.Errorf("an object of kind %s with generateName %q: only what has a name can be updated and deleted later; "+
			"hint: give it metadata.name instead, or make it a hook (sealift.dev/hook, or argocd.argoproj.io/hook), which may have generateName", kind, base)
	}
	if metadata["name"] == nil || metadata["name"] == "" {
		content, err := json.Marshal(object)
		if err != nil {
			return fmt.Errorf("naming a hook of kind %s: %w", kind, err)
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		metadata["name"] = base[:min(len(base), maxLabel-nameDigits)] + sum[:nameDigits]
	}
	delete(metadata, "generateName")
	return nil
}

// isHook says that an annotation makes the object a hook.
func isHook(metadata map[string]any) bool {
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range []string{"sealift.dev/hook", "argocd.argoproj.io/hook"} {
		if phase, ok := annotations[key].(string); ok && strings.TrimSpace(phase) != "" {
			return true
		}
	}
	return false
}
