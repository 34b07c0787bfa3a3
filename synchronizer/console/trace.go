package console

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sealift.dev/synchronizer/engine"
)

// Origin is where an object comes from.
type Origin struct {
	// Chain begins with the object; each of the others made the one before. The last
	// one is what the release holds.
	Chain []string `json:"chain"`
	// Delivery keeps it; its release is the last one that became healthy.
	Delivery Summary `json:"delivery"`
}

// maxChain bounds how many owners an object has in a row.
const maxChain = 10

// Trace finds the Delivery of an object that is named as kubectl does: KIND[.GROUP] and
// a name. An object of none is an error that is ErrNotFound.
func (c *Client) Trace(ctx context.Context, namespace, kind, name string) (Origin, error) {
	gvk, err := c.kind(kind)
	if err != nil {
		return Origin{}, err
	}
	var o Origin
	for gk := gvk.GroupKind(); len(o.Chain) < maxChain; {
		object, err := c.look(ctx, gk, namespace, name)
		if err != nil {
			return Origin{}, err
		}
		o.Chain = append(o.Chain, engine.ObjectRef{Group: gk.Group, Kind: gk.Kind, Namespace: object.Namespace, Name: name}.String())
		if owner := engine.OwnerIn(object); owner != "" {
			o.Delivery, err = c.ofOwner(ctx, owner)
			return o, err
		}
		parent := metav1.GetControllerOf(object)
		if parent == nil {
			break
		}
		group, err := schema.ParseGroupVersion(parent.APIVersion)
		if err != nil {
			return Origin{}, fmt.Errorf("reading the owner of %s: %w", o.Chain[len(o.Chain)-1], err)
		}
		gk, name = schema.GroupKind{Group: group.Group, Kind: parent.Kind}, parent.Name
	}
	return o, fmt.Errorf("a Delivery of %s is %w: Sealift did not apply it", strings.Join(o.Chain, ", made by "), ErrNotFound)
}

// look reads the metadata of an object.
func (c *Client) look(ctx context.Context, gk schema.GroupKind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	mapping, err := c.mapper.RESTMapping(gk)
	if err != nil {
		return nil, fmt.Errorf("finding the kind %s: %w", gk, err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	object, err := c.metadata.Resource(mapping.Resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", gk, name, err)
	}
	return object, nil
}

// ofOwner finds the Delivery that a label stands for.
func (c *Client) ofOwner(ctx context.Context, owner engine.Owner) (Summary, error) {
	found, _, err := c.List(ctx, Query{})
	if err != nil {
		return Summary{}, err
	}
	for _, d := range found {
		if engine.OwnerOf(d.Namespace, d.Name) == owner {
			return d.Summary, nil
		}
	}
	return Summary{}, fmt.Errorf("the Delivery of the label %s=%s is %w: it was deleted, and left its objects", engine.OwnerLabel, owner, ErrNotFound)
}
