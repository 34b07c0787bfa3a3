package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/api/v1alpha1"
)

// eyes read with the rights of whoever asks for a preview; a namespaced object that
// these do not show, with those of the Delivery's service account. What neither may read
// is remembered, where a preview is of use without it.
type eyes struct {
	client.Client
	account client.Client // nil: nobody else's rights

	mu     sync.Mutex
	hidden []string
}

func newEyes(config *rest.Config) (*eyes, error) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	own, err := eyesOf(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return &eyes{Client: own}, nil
}

func eyesOf(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	return client.New(config, client.Options{Scheme: scheme})
}

// borrow adds the rights of a user; of nobody where that is empty.
func (e *eyes) borrow(config *rest.Config, user string) (err error) {
	if user == "" {
		return nil
	}
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	e.account, err = eyesOf(config)
	return err
}

// Get reads one object.
func (e *eyes) Get(ctx context.Context, key client.ObjectKey, into client.Object, o ...client.GetOption) error {
	err := e.Client.Get(ctx, key, into, o...)
	if apierrors.IsForbidden(err) && e.account != nil {
		if e.account.Get(ctx, key, into, o...) == nil {
			return nil
		}
	}
	return err
}

// List reads many. TrustPolicies that may not be read are none, and are told of.
func (e *eyes) List(ctx context.Context, into client.ObjectList, o ...client.ListOption) error {
	err := e.Client.List(ctx, into, o...)
	if _, policies := into.(*v1alpha1.TrustPolicyList); policies && apierrors.IsForbidden(err) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.hidden = append(e.hidden, "you may not list trustpolicies.sealift.dev: whether those of the cluster trust the release is not known")
		return nil
	}
	return err
}

// unread says what a preview did without.
func (e *eyes) unread() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hidden
}

// explained adds to a failure what could not be read.
func (e *eyes) explained(err error) error {
	if unread := e.unread(); err != nil && len(unread) > 0 {
		return fmt.Errorf("%w; hint: %s", err, strings.Join(unread, "; "))
	}
	return err
}

// content is what a source holds now.
func (e *eyes) content(ctx context.Context, name sourceName) (content, error) {
	var into client.Object = &corev1.Secret{}
	if name.resource == configMaps {
		into = &corev1.ConfigMap{}
	}
	if err := e.Get(ctx, name.NamespacedName, into); err != nil {
		return content{}, client.IgnoreNotFound(err)
	}
	return contentOf(into), nil
}
