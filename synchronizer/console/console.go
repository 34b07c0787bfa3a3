// Package console is what a person at a command line asks of Deliveries, and tells
// them. It reads with the person's own rights, and writes nothing but Deliveries.
package console

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"sealift.dev/api/v1alpha1"
)

// FieldManager is the name under which the command line writes.
const FieldManager = "sealift-cli"

// pageSize is how many objects one answer of the API server holds at most.
const pageSize = 500

// ErrNotFound is a Delivery, or a release in its history, that is not there.
var ErrNotFound = errors.New("not found")

// Client speaks to one cluster.
type Client struct {
	objects    dynamic.Interface
	metadata   metadata.Interface
	deliveries dynamic.NamespaceableResourceInterface
	mapper     meta.RESTMapper
}

// New makes a client of the cluster of config. Nothing is asked yet.
func New(config *rest.Config) (*Client, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server's priority and fairness is the limit
	config.WarningHandler = rest.NoWarnings{}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	partial, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	cached := memory.NewMemCacheClient(disco)
	return &Client{
		objects:    objects,
		metadata:   partial,
		deliveries: objects.Resource(resourceOf("deliveries")),
		mapper:     restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil),
	}, nil
}

func resourceOf(plural string) schema.GroupVersionResource {
	return v1alpha1.GroupVersion.WithResource(plural)
}

// decode reads a Delivery as the API server answered it.
func decode(u *unstructured.Unstructured) (*v1alpha1.Delivery, error) {
	var d v1alpha1.Delivery
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &d); err != nil {
		return nil, fmt.Errorf("reading Delivery %s/%s: %w; hint: sealift install --components crds brings the definitions of this version", u.GetNamespace(), u.GetName(), err)
	}
	return &d, nil
}

// reading says of a failed request for Deliveries what can be done.
func reading(err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("reading deliveries: %w; hint: the cluster does not know them: sealift install", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("reading deliveries: %w; hint: name a namespace that you may read with -n", err)
	}
	return fmt.Errorf("reading deliveries: %w", err)
}
