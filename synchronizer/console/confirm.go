package console

import (
	"context"
	"errors"
	"fmt"

	"sealift.dev/api/v1alpha1"
)

// ErrNotAwaited is a confirmation of what nobody waits for.
var ErrNotAwaited = errors.New("it awaits no such confirmation")

// Awaiting is what a Delivery does not do until a person confirms it.
type Awaiting struct {
	// Digest stands for exactly this list.
	Digest string `json:"digest"`
	Reason string `json:"reason"`
	// Objects are the first of Total that would be deleted.
	Total   int      `json:"total"`
	Objects []string `json:"objects"`
}

// Awaiting reads what waits for a confirmation. None is an error that is ErrNotAwaited.
func (c *Client) Awaiting(ctx context.Context, namespace, name string) (Awaiting, error) {
	d, err := c.get(ctx, namespace, name)
	if err != nil {
		return Awaiting{}, err
	}
	a := d.Status.Awaiting
	if a == nil {
		return Awaiting{}, fmt.Errorf("delivery %s/%s: %w", namespace, name, ErrNotAwaited)
	}
	return Awaiting{Digest: a.Digest, Reason: a.Reason, Total: a.Total, Objects: a.Objects}, nil
}

// Confirm lets the Delivery delete exactly the list of which digest is the digest.
// Another list, or none, is an error that is ErrNotAwaited.
func (c *Client) Confirm(ctx context.Context, namespace, name, digest string) error {
	_, err := c.edit(ctx, namespace, name, func(d *v1alpha1.Delivery) (merge, error) {
		switch a := d.Status.Awaiting; {
		case a == nil:
			return nil, fmt.Errorf("delivery %s/%s: %w", namespace, name, ErrNotAwaited)
		case a.Digest != digest:
			return nil, fmt.Errorf("delivery %s/%s: %w as %s; the list is another one now, %s; hint: look at it again", namespace, name, ErrNotAwaited, digest, a.Digest)
		}
		return merge{"metadata": merge{"annotations": merge{v1alpha1.ConfirmAnnotation: digest}}}, nil
	})
	return err
}
