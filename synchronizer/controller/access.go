package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
)

// access is what a Delivery's Secrets say of its registry. It is kept until the spec
// changes, a pass is requested or other Secrets may help, so that an idle Delivery asks
// the API server for nothing.
type access struct {
	uid            types.UID
	generation     int64
	docker         []byte
	ca, cert, priv []byte
}

// identify adds what the Secrets of d hold to the source.
func (r *reconciler) identify(ctx context.Context, d *v1alpha1.Delivery, source *synchronizer.Source) error {
	if d.Spec.Source.SecretRef == nil && d.Spec.Source.CertSecretRef == nil {
		return nil
	}
	key := client.ObjectKeyFromObject(d)
	kept, found := r.accesses.Load(key)
	again := requested(d) != d.Status.LastHandledReconcileAt
	if !found || again || kept.(access).uid != d.UID || kept.(access).generation != d.Generation {
		read, err := r.readAccess(ctx, d)
		if err != nil {
			return err
		}
		r.accesses.Store(key, read)
		kept = read
	}
	a := kept.(access)
	source.DockerConfig, source.CA, source.ClientCert, source.ClientKey = a.docker, a.ca, a.cert, a.priv
	return nil
}

// accessHelps says that the Secrets of d may hold by now what a pass failed for want
// of. Some registries call absent what one may not see.
func accessHelps(d *v1alpha1.Delivery, err error) bool {
	return errors.Is(err, artifact.ErrUnauthorized) || errors.Is(err, artifact.ErrNotFound) ||
		errors.Is(err, artifact.ErrUnavailable) && d.Spec.Source.CertSecretRef != nil
}

func (r *reconciler) readAccess(ctx context.Context, d *v1alpha1.Delivery) (access, error) {
	a := access{uid: d.UID, generation: d.Generation}
	if ref := d.Spec.Source.SecretRef; ref != nil {
		data, err := r.secret(ctx, d.Namespace, ref.Name, errPullSecret)
		if err != nil {
			return access{}, err
		}
		a.docker = data[corev1.DockerConfigJsonKey]
		if len(a.docker) == 0 {
			return access{}, fmt.Errorf("%w %s has no key %s; hint: create it with kubectl create secret docker-registry", errPullSecret, ref.Name, corev1.DockerConfigJsonKey)
		}
	}
	if ref := d.Spec.Source.CertSecretRef; ref != nil {
		data, err := r.secret(ctx, d.Namespace, ref.Name, errCertSecret)
		if err != nil {
			return access{}, err
		}
		a.ca, a.cert, a.priv = data["ca.crt"], data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]
		if len(a.ca)+len(a.cert) == 0 {
			return access{}, fmt.Errorf("%w %s has neither ca.crt nor tls.crt with tls.key; hint: create it with kubectl create secret generic --from-file=ca.crt", errCertSecret, ref.Name)
		}
		if _, err := (artifact.Network{CA: a.ca, ClientCert: a.cert, ClientKey: a.priv}).Transport(); err != nil {
			return access{}, fmt.Errorf("%w %s: %w", errCertSecret, ref.Name, err)
		}
	}
	return a, nil
}

// secret reads a Secret of a Delivery's namespace once.
func (r *reconciler) secret(ctx context.Context, namespace, name string, kind error) (map[string][]byte, error) {
	var found corev1.Secret
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w %s: %w", kind, name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %w %s: %w", kind, name, err)
	}
	return found.Data, nil
}

// whose says of an account that may not do something that it does not exist at all: the
// API server lets such a one be impersonated.
func (r *reconciler) whose(ctx context.Context, d *v1alpha1.Delivery, err error) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	var account corev1.ServiceAccount
	name := types.NamespacedName{Namespace: d.Namespace, Name: r.accountOf(d)}
	if !apierrors.IsNotFound(r.reader.Get(ctx, name, &account)) {
		return err
	}
	return fmt.Errorf("the service account %s does not exist: %w", name.Name, err)
}
