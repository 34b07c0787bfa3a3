package publisher

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/artifact"
	"sealift.dev/internal/objects"
	"sealift.dev/internal/render"
)

// pack renders every environment of a commit, and packs them.
func pack(o Options, c commit) (*artifact.Package, error) {
	environments := map[string][]*unstructured.Unstructured{}
	for _, name := range slices.Sorted(maps.Keys(o.Environments)) {
		objs, err := render.Folder(c.tree, o.Environments[name].Folder)
		if err != nil {
			return nil, fmt.Errorf("rendering the environment %s: %w", name, err)
		}
		if err := checkSecrets(objs); err != nil && !o.AllowSecrets {
			return nil, fmt.Errorf("rendering the environment %s: %w", name, err)
		}
		environments[name] = objs
	}
	return artifact.Pack(c.statement, environments)
}

// lastApplied is where kubectl apply keeps the object as it was applied, so that a
// Secret that was exported and then encrypted may still be readable there.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// checkSecrets refuses Secrets that everybody who reads the registry could read.
func checkSecrets(objs []*unstructured.Unstructured) error {
	for _, u := range objs {
		if u.GroupVersionKind().Group != "" || u.GetKind() != "Secret" {
			continue
		}
		if applied := u.GetAnnotations()[lastApplied]; applied != "" && !isCiphertext(applied) {
			return fmt.Errorf("%s holds a copy of itself in the annotation %s, which is not encrypted; hint: remove the annotation, and change what was secret", objects.Name(u), lastApplied)
		}
		if !isEncrypted(u) {
			return fmt.Errorf("%s is not encrypted, and would be readable for everyone who can read the registry; hint: keep it out of Git, or allow it with --allow-secrets", objects.Name(u))
		}
	}
	return nil
}

// isEncrypted says that there is nothing to read in a Secret: SOPS has encrypted
// each value, or there are none.
func isEncrypted(secret *unstructured.Unstructured) bool {
	values := 0
	for _, field := range []string{"data", "stringData"} {
		content, there := secret.Object[field]
		if !there || content == nil {
			continue
		}
		entries, ok := content.(map[string]any)
		if !ok {
			return false
		}
		for _, value := range entries {
			text, ok := value.(string)
			if !ok || text != "" && !isCiphertext(text) {
				return false
			}
			values++
		}
	}
	_, sops := secret.Object["sops"].(map[string]any)
	return values == 0 || sops
}

// isCiphertext knows a value that SOPS has encrypted.
func isCiphertext(text string) bool {
	return strings.HasPrefix(text, "ENC[") && strings.HasSuffix(text, "]")
}
