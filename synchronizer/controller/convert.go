package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

var (
	errInvalidSpec   = errors.New("invalid spec")
	errInvalidPolicy = errors.New("invalid trust policy")
	errNoPolicy      = errors.New("no trust policy")
	errPullSecret    = errors.New("pull secret")
	errCertSecret    = errors.New("certificate secret")
)

// convert reads what d asks for, with the policies and Secrets that it needs.
func (r *reconciler) convert(ctx context.Context, d *v1alpha1.Delivery) (synchronizer.Delivery, error) {
	spec := d.Spec
	asked := synchronizer.Delivery{
		Namespace:      d.Namespace,
		Name:           d.Name,
		Environment:    spec.Environment,
		User:           r.userOf(d),
		Interval:       spec.Interval.Duration,
		Timeout:        spec.Timeout.Duration,
		Prune:          spec.Prune == nil || *spec.Prune,
		PruneProtected: spec.PruneProtected,
		Correct:        spec.Drift != "Report",
		Rollback:       spec.OnFailure != "Hold",
		Irreversible:   spec.Irreversible == "Rollback",
		MaxPrune:       spec.MaxPrune,
		Confirmed:      d.Annotations[v1alpha1.ConfirmAnnotation],
		Requested:      requested(d),
	}
	for _, i := range spec.IgnoreFields {
		asked.Ignore = append(asked.Ignore, engine.IgnoreRule{Group: i.Group, Kind: i.Kind, Name: i.Name, Pointers: i.Paths})
	}
	for _, h := range spec.Health {
		asked.Health = append(asked.Health, synchronizer.HealthRule(h))
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
	read := r.sources.reading(client.ObjectKeyFromObject(d))
	defer read.done()
	if err := r.policies(ctx, d, &asked, read); err != nil {
		return asked, err
	}
	asked.Untailored = r.tailoring(ctx, d, &asked, read)
	asked.Unreachable = r.identify(ctx, d, &asked.Source)
	if asked.Blocked = r.blocked(ctx, d); errors.Is(asked.Blocked, errInvalidSpec) {
		return asked, asked.Blocked
	}
	return asked, nil
}

// userOf is who writes for d.
func (r *reconciler) userOf(d *v1alpha1.Delivery) string {
	return "system:serviceaccount:" + d.Namespace + ":" + r.accountOf(d)
}

// accountOf names the service account that writes for d.
func (r *reconciler) accountOf(d *v1alpha1.Delivery) string {
	return cmp.Or(d.Spec.ServiceAccountName, r.options.DefaultServiceAccount, "default")
}

// ownedBy is everything that d may own, wanted no longer.
func (r *reconciler) ownedBy(d *v1alpha1.Delivery) engine.Target {
	return engine.Target{
		Owner:          engine.OwnerOf(d.Namespace, d.Name),
		User:           r.userOf(d),
		Namespace:      d.Namespace,
		Kinds:          kindsOf(d.Status.Kinds),
		Prune:          true,
		PruneProtected: d.Spec.PruneProtected,
	}
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
