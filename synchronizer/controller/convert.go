package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

var (
	errInvalidSpec   = errors.New("invalid spec")
	errInvalidPolicy = errors.New("invalid trust policy")
	errNoPolicy      = errors.New("no trust policy")
	errPullSecret    = errors.New("pull secret")
)

// convert reads what d asks for, with the policies and the pull secret it needs.
func (r *reconciler) convert(ctx context.Context, d *v1alpha1.Delivery) (synchronizer.Delivery, error) {
	spec := d.Spec
	asked := synchronizer.Delivery{
		Namespace:      d.Namespace,
		Name:           d.Name,
		Environment:    spec.Environment,
		User:           userOf(d),
		Interval:       spec.Interval.Duration,
		Timeout:        spec.Timeout.Duration,
		Prune:          spec.Prune == nil || *spec.Prune,
		PruneProtected: spec.PruneProtected,
		Correct:        spec.Drift != "Report",
		Rollback:       spec.OnFailure != "Hold",
		Requested:      d.Annotations[v1alpha1.RequestedAtAnnotation],
	}
	repository, err := artifact.ParseRepository(spec.Source.URL)
	if err != nil {
		return asked, fmt.Errorf("%w: source: %w", errInvalidSpec, err)
	}
	asked.Source = synchronizer.Source{
		Repository: repository,
		Tag:        spec.Source.Tag,
		Semver:     spec.Source.Semver,
		Digest:     digest.Digest(spec.Source.Digest),
		Insecure:   spec.Source.Insecure,
	}
	if asked.Policies, err = r.policies(ctx, d, repository); err != nil {
		return asked, err
	}
	asked.Source.DockerConfig, asked.Unreachable = r.pullSecret(ctx, d)
	return asked, nil
}

func userOf(d *v1alpha1.Delivery) string {
	name := d.Spec.ServiceAccountName
	if name == "" {
		name = "default"
	}
	return "system:serviceaccount:" + d.Namespace + ":" + name
}

// ownedBy is everything that d may own, wanted no longer.
func ownedBy(d *v1alpha1.Delivery) engine.Target {
	return engine.Target{
		Owner:          engine.OwnerOf(d.Namespace, d.Name),
		User:           userOf(d),
		Namespace:      d.Namespace,
		Kinds:          kindsOf(d.Status.Kinds),
		Prune:          true,
		PruneProtected: d.Spec.PruneProtected,
	}
}

// policies are the TrustPolicies that match and the Delivery's own trust; all
// must pass, so that a tenant can only narrow.
func (r *reconciler) policies(ctx context.Context, d *v1alpha1.Delivery, repository artifact.Repository) ([]verify.NamedPolicy, error) {
	var list v1alpha1.TrustPolicyList
	if err := r.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing trust policies: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.TrustPolicy) int { return strings.Compare(a.Name, b.Name) })
	var found []verify.NamedPolicy
	for _, p := range list.Items {
		if !p.Spec.Concerns(d.Namespace, repository.String()) {
			continue
		}
		if err := p.Spec.Validate(); err != nil {
			return nil, fmt.Errorf("%w %s: %w", errInvalidPolicy, p.Name, err)
		}
		found = append(found, verify.NamedPolicy{Name: "TrustPolicy " + p.Name, Policy: p.Spec})
	}
	if len(found) == 0 && r.options.RequireTrustPolicy {
		return nil, fmt.Errorf("%w matches namespace %s and repository %s, and this controller requires one; hint: ask the platform team for a TrustPolicy", errNoPolicy, d.Namespace, repository)
	}
	if d.Spec.Trust == nil {
		return found, nil
	}
	own := policy.Policy{Mode: policy.Enforce, Trust: *d.Spec.Trust}
	if err := own.Validate(); err != nil {
		return nil, fmt.Errorf("%w: trust: %w", errInvalidSpec, err)
	}
	return append(found, verify.NamedPolicy{Name: fmt.Sprintf("Delivery %s/%s", d.Namespace, d.Name), Policy: own}), nil
}

// pullSecret is kept until the spec changes or the registry refuses it, so that
// an idle Delivery asks the API server for nothing.
type pullSecret struct {
	generation int64
	config     []byte
}

func (r *reconciler) pullSecret(ctx context.Context, d *v1alpha1.Delivery) ([]byte, error) {
	if d.Spec.Source.SecretRef == nil {
		return nil, nil
	}
	key := client.ObjectKeyFromObject(d)
	if kept, found := r.secrets.Load(key); found && kept.(pullSecret).generation == d.Generation {
		return kept.(pullSecret).config, nil
	}
	var secret corev1.Secret
	name := d.Spec.Source.SecretRef.Name
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: name}, &secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w %s: %w", errPullSecret, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the pull secret %s: %w", name, err)
	}
	config := secret.Data[corev1.DockerConfigJsonKey]
	if len(config) == 0 {
		return nil, fmt.Errorf("%w %s has no key %s; hint: create it with kubectl create secret docker-registry", errPullSecret, name, corev1.DockerConfigJsonKey)
	}
	r.secrets.Store(key, pullSecret{generation: d.Generation, config: config})
	return config, nil
}

func kindsOf(kinds []v1alpha1.Kind) []schema.GroupKind {
	var found []schema.GroupKind
	for _, k := range kinds {
		found = append(found, schema.GroupKind{Group: k.Group, Kind: k.Kind})
	}
	return found
}

func toKinds(kinds []schema.GroupKind) []v1alpha1.Kind {
	var found []v1alpha1.Kind
	for _, k := range kinds {
		found = append(found, v1alpha1.Kind{Group: k.Group, Kind: k.Kind})
	}
	return found
}
