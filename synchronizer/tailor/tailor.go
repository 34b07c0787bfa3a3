// Package tailor makes of the objects of a release what one cluster shall have of
// them: decrypted, patched, in another namespace, with values for variables.
package tailor

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sealift.dev/internal/objects"
)

// Options say what differs from the release. The zero value changes nothing.
type Options struct {
	// Decryption holds private keys by the name of their Secret's entry: NAME.agekey
	// or NAME.asc. Nil decrypts nothing.
	Decryption map[string][]byte
	Patches    []Patch
	// TargetNamespace replaces the namespace of all namespaced objects.
	TargetNamespace string
	// Substitute says that variables are replaced at all; Variables are their values.
	Substitute bool
	Variables  map[string]string
}

// Patch is a strategic merge patch or a JSON patch (RFC 6902), and what it is for.
type Patch struct {
	Patch  string
	Target *Target
}

// Target selects objects as kustomize's selector does; what is empty selects all.
type Target struct {
	Group, Version, Kind, Name, Namespace string
	LabelSelector, AnnotationSelector     string
}

// Tailor applies Options. The zero Tailor is ready, and a process has one: kustomize
// works on one set of objects at a time, so that Deliveries take turns.
type Tailor struct {
	kustomizing sync.Mutex
}

// Apply returns what the options make of objs, which are not changed: decrypted, then
// patched and moved, then with values for variables. Objects that stay as they are may
// be the same ones. No error holds a value of a variable, or what was decrypted.
func (t *Tailor) Apply(ctx context.Context, objs []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	tailored, err := decrypt(ctx, objs, o.Decryption)
	if err != nil {
		return nil, fmt.Errorf("decrypting: %w", err)
	}
	if len(o.Patches) > 0 || o.TargetNamespace != "" {
		patched, err := t.kustomize(ctx, tailored, o)
		if err != nil {
			return nil, fmt.Errorf("patching: %w", unquoted(err, objs, tailored))
		}
		tailored = patched
	}
	if o.Substitute {
		if tailored, err = substitute(ctx, tailored, o.Variables); err != nil {
			return nil, fmt.Errorf("substituting variables: %w", err)
		}
	}
	return tailored, nil
}

// disabled says that an object opts out of a step, in our spelling or in Flux's.
func disabled(u *unstructured.Unstructured, step string) bool {
	for _, key := range []string{"sealift.dev/" + step, "kustomize.toolkit.fluxcd.io/" + step} {
		if strings.EqualFold(u.GetAnnotations()[key], "disabled") || strings.EqualFold(u.GetLabels()[key], "disabled") {
			return true
		}
	}
	return false
}

// name is how messages call an object.
func name(u *unstructured.Unstructured) string { return objects.Name(u) }
