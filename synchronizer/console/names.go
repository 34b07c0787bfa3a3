package console

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Names are those of the objects of a kind, of which one page is enough for whoever
// types. The kind is named as kubectl does: KIND[.GROUP].
func (c *Client) Names(ctx context.Context, namespace, kind string) ([]string, error) {
	gvk, err := c.kind(kind)
	if err != nil {
		return nil, err
	}
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, fmt.Errorf("finding the kind %q: %w", kind, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	page, err := c.metadata.Resource(mapping.Resource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: pageSize})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", kind, err)
	}
	var names []string
	for _, o := range page.Items {
		names = append(names, o.Name)
	}
	return names, nil
}

// Namespaces are the names of one page of them.
func (c *Client) Namespaces(ctx context.Context) ([]string, error) {
	return c.Names(ctx, "", "namespaces")
}

// Kinds are those of which the Deliveries of a namespace have objects, each as KIND/, and
// those that such objects make.
func (c *Client) Kinds(ctx context.Context, namespace string) ([]string, error) {
	kinds := []string{"job/", "pod/", "replicaset/"}
	found, _, err := c.list(ctx, Query{Namespace: namespace})
	for _, d := range found {
		whole, err := decode(d.Document)
		if err != nil {
			return nil, err
		}
		for _, k := range whole.Status.Kinds {
			kinds = append(kinds, strings.ToLower(k.Kind)+"/")
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), err
}

// kind finds what a person means by KIND[.GROUP], or by a short name.
func (c *Client) kind(written string) (schema.GroupVersionKind, error) {
	resource, group, _ := strings.Cut(written, ".")
	gvk, err := c.mapper.KindFor(schema.GroupVersionResource{Group: group, Resource: strings.ToLower(resource)})
	if err != nil {
		return gvk, fmt.Errorf("finding the kind %q: %w; hint: kubectl api-resources lists them", written, err)
	}
	return gvk, nil
}
