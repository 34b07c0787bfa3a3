package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/verify"
	"sealift.dev/verify/policy"
)

// policies adds to asked who must have signed: what the source is under, and what
// the place is under that the last good release came from, if that is another.
func (r *reconciler) policies(ctx context.Context, d *v1alpha1.Delivery, asked *synchronizer.Delivery, sources *reading) error {
	var list v1alpha1.TrustPolicyList
	if err := r.client.List(ctx, &list); err != nil {
		return fmt.Errorf("listing trust policies: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.TrustPolicy) int { return strings.Compare(a.Name, b.Name) })
	read := func(namespace string) reader {
		return func(ref policy.SecretKey) ([]byte, error) {
			return sources.entry(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, ref.Key)
		}
	}
	var err error
	if asked.Policies, err = r.under(list.Items, d, asked.Source.Repository, read); err != nil {
		return err
	}
	if d.Status.Applied == nil {
		return nil
	}
	place, err := artifact.ParseRepository(d.Status.Applied.Repository)
	if err != nil || place == asked.Source.Repository {
		return nil
	}
	asked.Former.Repository = place
	asked.Former.Policies, asked.Former.Err = r.under(list.Items, d, place, read)
	return nil
}

// reader reads what a policy refers to.
type reader = func(policy.SecretKey) ([]byte, error)

// under are the TrustPolicies that may concern what d reads from place, and its own
// trust, with the Secrets that they refer to; all must pass, so that a tenant can
// only narrow.
func (r *reconciler) under(items []v1alpha1.TrustPolicy, d *v1alpha1.Delivery, place artifact.Repository, read func(namespace string) reader) ([]verify.NamedPolicy, error) {
	found, required, err := r.concerning(items, d.Namespace, place.String(), read(r.options.Namespace))
	if err != nil {
		return nil, err
	}
	if !required && r.options.RequireTrustPolicy {
		return nil, fmt.Errorf("%w matches namespace %s and repository %s, and this controller requires one; hint: ask the platform team for a TrustPolicy", errNoPolicy, d.Namespace, place)
	}
	if d.Spec.Trust == nil {
		return found, nil
	}
	own := policy.Policy{Mode: policy.Enforce, Trust: *d.Spec.Trust}
	if own, err = own.Resolve(read(d.Namespace)); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	if err := own.Validate(); err != nil {
		return nil, fmt.Errorf("%w: trust: %w", errInvalidSpec, err)
	}
	return append(found, verify.NamedPolicy{Name: fmt.Sprintf("Delivery %s/%s", d.Namespace, d.Name), Policy: own}), nil
}

// concerning are the policies that may apply to what is read from repository: they
// match it, or a repository that a policy's mirror makes of it. Required says that
// one applies whatever the release says of itself. A policy that cannot be used is
// an error if it may apply.
func (r *reconciler) concerning(items []v1alpha1.TrustPolicy, namespace, repository string, read reader) (found []verify.NamedPolicy, required bool, err error) {
	origins := []string{repository}
	for _, p := range items {
		if p.Spec.Concerns(namespace, p.Spec.Origins(repository)...) {
			origins = append(origins, p.Spec.Origins(repository)[1:]...)
		}
	}
	for _, p := range items {
		if !p.Spec.Concerns(namespace, origins...) {
			continue
		}
		whole, err := r.usable(p, read)
		if err != nil {
			return nil, false, err
		}
		found = append(found, verify.NamedPolicy{Name: "TrustPolicy " + p.Name, Policy: whole})
		required = required || p.Spec.Concerns(namespace, p.Spec.Origins(repository)...)
	}
	return found, required, nil
}

// checked is what came of checking a TrustPolicy that refers to no Secret.
type checked struct {
	uid        types.UID
	generation int64
	err        error
}

// usable is the policy with the Secrets that it refers to, checked once.
func (r *reconciler) usable(p v1alpha1.TrustPolicy, read reader) (policy.Policy, error) {
	alone := len(p.Spec.Secrets()) == 0
	if kept, found := r.checked.Load(p.Name); alone && found && kept.(checked).uid == p.UID && kept.(checked).generation == p.Generation {
		return p.Spec, kept.(checked).err
	}
	whole, err := p.Spec.Resolve(read)
	if err != nil {
		return policy.Policy{}, fmt.Errorf("TrustPolicy %s: %w", p.Name, err)
	}
	if err = whole.Validate(); err != nil {
		err = fmt.Errorf("%w %s: %w", errInvalidPolicy, p.Name, err)
	}
	if alone {
		r.checked.Store(p.Name, checked{uid: p.UID, generation: p.Generation, err: err})
	}
	return whole, err
}
