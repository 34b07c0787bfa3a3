package console

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
)

// errAnswered ends a watch when all is known.
var errAnswered = errors.New("answered")

// waiting are the tickets that are not answered yet, and how far each came.
type waiting struct {
	open map[types.NamespacedName]Ticket
	last map[types.NamespacedName]Delivery
	tell func(Summary)
	errs []error
}

// Wait returns when the synchronizer has answered what was asked, with the Deliveries that
// it answered for in the order of the tickets. On the way it tells how a Delivery is whenever that changes.
// When ctx ends before, the error says how far each came.
func (c *Client) Wait(ctx context.Context, tickets []Ticket, tell func(Summary)) ([]Summary, error) {
	if len(tickets) == 0 {
		return nil, nil
	}
	w := &waiting{open: map[types.NamespacedName]Ticket{}, last: map[types.NamespacedName]Delivery{}, tell: tell}
	q := Query{Namespace: tickets[0].Namespace}
	for _, t := range tickets {
		w.open[types.NamespacedName{Namespace: t.Namespace, Name: t.Name}] = t
		if q.Names = append(q.Names, t.Name); t.Namespace != q.Namespace {
			q.Namespace = ""
		}
	}
	err := c.wait(ctx, q, w)
	if errors.Is(err, errAnswered) {
		err = nil
	}
	if ctx.Err() != nil {
		err = w.unanswered(ctx.Err())
	}
	var now []Summary
	for _, t := range tickets {
		name := types.NamespacedName{Namespace: t.Namespace, Name: t.Name}
		d, there := w.last[name]
		if _, open := w.open[name]; there && !open {
			now = append(now, d.Summary)
		}
	}
	return now, errors.Join(append(w.errs, err)...)
}

func (c *Client) wait(ctx context.Context, q Query, w *waiting) error {
	found, version, err := c.list(ctx, q)
	if err != nil {
		return err
	}
	for _, d := range found {
		if err := w.look(d); err != nil {
			return err
		}
	}
	for name := range w.open {
		if _, there := w.last[name]; !there {
			w.errs = append(w.errs, c.missing(ctx, name.Namespace, name.Name))
			delete(w.open, name)
		}
	}
	if len(w.open) == 0 {
		return errAnswered
	}
	return c.Watch(ctx, q, version, func(change Change) error {
		if change.Gone {
			return w.lose(change.Delivery)
		}
		return w.look(change.Delivery)
	})
}

// look takes in how a Delivery is now; the error is errAnswered when it was the last.
func (w *waiting) look(d Delivery) error {
	name := types.NamespacedName{Namespace: d.Namespace, Name: d.Name}
	ticket, open := w.open[name]
	if !open {
		return nil
	}
	before, known := w.last[name]
	w.last[name] = d
	whole, err := decode(d.Document)
	if err != nil {
		return err
	}
	switch {
	case ticket.done(whole):
		delete(w.open, name)
	case known && (before.Reason != d.Reason || before.Message != d.Message):
		w.tell(d.Summary)
	}
	return w.end()
}

func (w *waiting) lose(d Delivery) error {
	name := types.NamespacedName{Namespace: d.Namespace, Name: d.Name}
	if _, open := w.open[name]; open {
		w.errs = append(w.errs, fmt.Errorf("delivery %s: it was deleted meanwhile", name))
		delete(w.open, name)
	}
	return w.end()
}

func (w *waiting) end() error {
	if len(w.open) == 0 {
		return errAnswered
	}
	return nil
}

// unanswered says of each Delivery that is still waited for how far it came.
func (w *waiting) unanswered(why error) error {
	var errs []error
	for name, ticket := range w.open {
		d, there := w.last[name]
		if !there {
			errs = append(errs, fmt.Errorf("waiting for delivery %s: %w", name, why))
			continue
		}
		if whole, err := decode(d.Document); err == nil && !ticket.heard(whole) {
			errs = append(errs, fmt.Errorf("waiting for delivery %s: %w; no synchronizer has answered; hint: is one running? kubectl get deployments -A -l app.kubernetes.io/name=sealift-sync", name, why))
			continue
		}
		errs = append(errs, fmt.Errorf("waiting for delivery %s: %w; so far %s: %s; hint: sealift tree %s -n %s shows its objects", name, why, d.Reason, d.Message, name.Name, name.Namespace))
	}
	return errors.Join(errs...)
}
