package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/tailor"
)

var (
	errSubstituteSource = errors.New("is not there, and substituteFrom names it")
	errDecryptionKey    = errors.New("is not there, and decryption names it")
)

// maxVariables bounds the bytes of all variables of a Delivery.
const maxVariables = 4 << 20

// tailoring adds to asked what differs in this cluster. What cannot be had keeps the
// Delivery from being tailored, and so from being written.
func (r *reconciler) tailoring(ctx context.Context, d *v1alpha1.Delivery, asked *synchronizer.Delivery, read *reading) error {
	spec := d.Spec
	asked.Tailoring.TargetNamespace = spec.TargetNamespace
	for _, p := range spec.Patches {
		asked.Tailoring.Patches = append(asked.Tailoring.Patches, tailor.Patch{Patch: p.Patch, Target: (*tailor.Target)(p.Target)})
	}
	asked.Tailoring.Substitute = len(spec.Substitute)+len(spec.SubstituteFrom) > 0
	if !asked.Tailoring.Substitute && len(spec.Patches) == 0 && spec.TargetNamespace == "" && spec.Decryption == nil {
		return nil
	}
	var versions []string
	var err error
	if asked.Tailoring.Variables, versions, err = variables(ctx, d, asked.User, read); err != nil {
		return err
	}
	if spec.Decryption != nil {
		keys, err := own(ctx, d, asked.User, secrets, spec.Decryption.SecretRef.Name, read)
		if err != nil {
			return err
		}
		if !keys.found {
			return fmt.Errorf("the Secret %s %w; hint: kubectl create secret generic %[1]s -n %[3]s --from-file=NAME.agekey", spec.Decryption.SecretRef.Name, errDecryptionKey, d.Namespace)
		}
		asked.Tailoring.Decryption, versions = keys.data, append(versions, keys.version)
	}
	// Versions, and no content: from a hash in the status, nobody shall guess a secret.
	encoded, err := json.Marshal([]any{spec.Patches, spec.TargetNamespace, spec.Substitute, spec.SubstituteFrom, versions})
	if err != nil {
		return err
	}
	asked.Tailored = fmt.Sprintf("%x", sha256.Sum256(encoded))[:32]
	return nil
}

// variables are those of the spec, and of the sources that it names.
func variables(ctx context.Context, d *v1alpha1.Delivery, account string, read *reading) (map[string]string, []string, error) {
	found, size := map[string]string{}, 0
	var versions []string
	var problem error
	for _, from := range d.Spec.SubstituteFrom {
		resource := map[string]string{"Secret": secrets, "ConfigMap": configMaps}[from.Kind]
		held, err := own(ctx, d, account, resource, from.Name, read)
		if err == nil && !held.found && !from.Optional {
			err = fmt.Errorf("the %s %s %w; hint: create it in the namespace %s, or mark it as optional", from.Kind, from.Name, errSubstituteSource, d.Namespace)
		}
		if problem == nil {
			problem = err // the others are watched nevertheless
		}
		versions = append(versions, held.version)
		for name, value := range held.data {
			if utf8.Valid(value) {
				found[name] = strings.TrimSuffix(string(value), "\n")
				size += len(value)
			}
		}
	}
	for name, value := range d.Spec.Substitute {
		found[name] = string(value)
	}
	if size > maxVariables {
		return nil, nil, fmt.Errorf("%w: the sources of substituteFrom hold more than %d bytes", errInvalidSpec, maxVariables)
	}
	if problem != nil {
		return nil, nil, problem
	}
	return found, versions, nil
}

// own reads a Secret or ConfigMap of the Delivery's own namespace, if its service
// account may.
func own(ctx context.Context, d *v1alpha1.Delivery, account, resource, name string, read *reading) (content, error) {
	full := sourceName{resource: resource, NamespacedName: types.NamespacedName{Namespace: d.Namespace, Name: name}}
	held, err := read.content(ctx, full)
	if err != nil {
		return content{}, err
	}
	if err := read.readableBy(ctx, account, full, held.version); err != nil {
		return content{}, err
	}
	return held, nil
}
