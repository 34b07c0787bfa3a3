package console

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/klog/v2"
)

// Query says which Deliveries are meant. The zero Query means all.
type Query struct {
	// Namespace; empty means all.
	Namespace string
	// Names; none means all.
	Names []string
	// Selector of labels; empty means all.
	Selector string
}

func (q Query) options() metav1.ListOptions {
	o := metav1.ListOptions{LabelSelector: q.Selector, Limit: pageSize}
	if len(q.Names) == 1 {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", q.Names[0]).String()
	}
	return o
}

func (q Query) has(name string) bool { return len(q.Names) == 0 || slices.Contains(q.Names, name) }

// List reads the Deliveries, and the version of the list that Watch begins at. A
// name that is not there is an error that is ErrNotFound, beside what was found.
func (c *Client) List(ctx context.Context, q Query) ([]Delivery, string, error) {
	found, version, err := c.list(ctx, q)
	if err != nil {
		return nil, "", err
	}
	var absent []error
	for _, name := range q.Names {
		if !slices.ContainsFunc(found, func(d Delivery) bool { return d.Name == name }) {
			absent = append(absent, c.missing(ctx, q.Namespace, name))
		}
	}
	return found, version, errors.Join(absent...)
}

func (c *Client) list(ctx context.Context, q Query) ([]Delivery, string, error) {
	var found []Delivery
	version, err := paged(ctx, c.deliveries.Namespace(q.Namespace), q.options(), func(u *unstructured.Unstructured) error {
		if !q.has(u.GetName()) {
			return nil
		}
		d, err := view(u)
		found = append(found, d)
		return err
	})
	if err != nil {
		return nil, "", reading(err)
	}
	return found, version, nil
}

func (c *Client) read(ctx context.Context, namespace, name string) (*unstructured.Unstructured, error) {
	u, err := c.deliveries.Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && named(err) {
		return nil, c.missing(ctx, namespace, name)
	}
	if err != nil {
		return nil, reading(err)
	}
	return u, nil
}

// named says that an object is missing, and not its whole kind: then the answer is
// not the API's own.
func named(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return !slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
		return c.Type == metav1.CauseTypeUnexpectedServerResponse
	})
}

// paged calls each for every object of a list, and returns the list's version.
func paged(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, each func(*unstructured.Unstructured) error) (string, error) {
	for {
		page, err := from.List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			if err := each(&page.Items[i]); err != nil {
				return "", err
			}
		}
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return page.GetResourceVersion(), nil
		}
	}
}

// Change is a Delivery that is new, other than before, or gone.
type Change struct {
	Delivery
	Gone bool
}

// Watch calls each for every change after version, until ctx ends or each fails.
func (c *Client) Watch(ctx context.Context, q Query, version string, each func(Change) error) error {
	return follow(ctx, c.deliveries.Namespace(q.Namespace), q.options(), version, func(e watch.Event, u *unstructured.Unstructured) error {
		if !q.has(u.GetName()) {
			return nil
		}
		d, err := view(u)
		if err != nil {
			return err
		}
		return each(Change{Delivery: d, Gone: e.Type == watch.Deleted})
	})
}

// follow calls each for every event after version, across lost connections. Where
// the API server remembers that version no longer, it lists again; what vanished
// in between is not told.
func follow(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, version string, each func(watch.Event, *unstructured.Unstructured) error) error {
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	defer cancel()
	for {
		err := stream(ctx, from, o, version, each)
		if ctx.Err() != nil || err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return err
		}
		again := func(u *unstructured.Unstructured) error { return each(watch.Event{Type: watch.Modified}, u) }
		if version, err = paged(ctx, from, o, again); err != nil {
			return err
		}
	}
}

func stream(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, version string, each func(watch.Event, *unstructured.Unstructured) error) error {
	source := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, more metav1.ListOptions) (watch.Interface, error) {
		more.LabelSelector, more.FieldSelector = o.LabelSelector, o.FieldSelector
		return from.Watch(ctx, more)
	}}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, version, source)
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, open := <-watcher.ResultChan():
			if !open {
				return ctx.Err()
			}
			if event.Type == watch.Error {
				return fmt.Errorf("watching: %w", apierrors.FromObject(event.Object))
			}
			if u, ok := event.Object.(*unstructured.Unstructured); ok {
				if err := each(event, u); err != nil {
					return err
				}
			}
		}
	}
}
