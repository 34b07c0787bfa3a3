// Package engine brings sets of Kubernetes objects into a cluster and keeps
// them there: plan, preflight, apply, health, prune. It knows objects and
// clusters, and nothing of where the objects come from.
//
// Ownership is a label that is applied in the same request that creates an
// object, and counts only while the engine's own entry in the object's
// managedFields holds it. Drift is read from that entry too, by one
// metadata-only watch per kind; an idle engine sends no requests.
package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// Engine serves any number of owners in one cluster. Its methods are safe for
// concurrent use; passes of one owner must not overlap.
type Engine struct {
	config  *rest.Config
	dynamic dynamic.Interface
	kinds   *kinds
	tracker *tracker
	watches *watches

	// own acts as the engine itself.
	own metadata.Interface

	mu sync.Mutex
	// writers are clients by impersonated user.
	writers map[string]metadata.Interface
	// confirmed are the lists of deletions that were confirmed last.
	confirmed map[Owner]confirmation
	// prepared is what was planned last for each owner.
	prepared map[Owner]*prepared
}

// maxWriters bounds the clients kept; beyond it they are made anew.
const maxWriters = 4096

// New makes an engine for the cluster of config, whose identity reads and
// watches. changed is called, and must not block or call the engine, when the
// owner may need a pass: drift, a deletion, an object nobody planned, or news
// about health. Nothing is watched until Run.
func New(config *rest.Config, changed func(Owner)) (*Engine, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	config.Wrap(newRetryAfter)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return newEngine(config, client, changed)
}

func newEngine(config *rest.Config, client *http.Client, changed func(Owner)) (*Engine, error) {
	reader, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	full, err := newReader(config, client)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	tracker := newTracker(changed)
	return &Engine{
		config:  config,
		dynamic: objects,
		kinds:   newKinds(disco),
		tracker: tracker,
		watches: newWatches(reader, full, tracker),
		own:     reader,
		writers: map[string]metadata.Interface{},

		confirmed: map[Owner]confirmation{},
		prepared:  map[Owner]*prepared{},
	}, nil
}

// Run serves the watches until ctx ends. Plan waits for it.
func (e *Engine) Run(ctx context.Context) error {
	e.watches.run(ctx)
	return nil
}

// Plan decides what a pass has to do, from what the watches observed. It
// starts missing watches and waits for their first list, for 10 seconds from
// the start of each: then a wanted kind without one is an error, and of one
// that is only in the inventory nothing is planned. It writes nothing.
func (e *Engine) Plan(ctx context.Context, t Target) (*Plan, error) {
	l := e.kinds.lookup(t.Objects)
	items, err := e.items(ctx, l, t)
	if err != nil {
		return nil, err
	}
	e.watches.visit(t, items)
	inventory, err := e.survey(ctx, t, l, items)
	if err != nil {
		return nil, err
	}
	if err := e.yield(ctx, t, items); err != nil {
		return nil, err
	}
	if len(t.Ignore) > 0 {
		for i := range items {
			items[i].given = e.tracker.given(t.Owner, items[i].ref)
		}
	}
	calm, records := e.tracker.calm(t, items)
	e.tracker.claim(t.Owner, restless(items, calm))
	p, err := draft(t, items, calm, records, e.tracker.now())
	if err != nil {
		return nil, err
	}
	if err := e.locate(l, p); err != nil {
		return nil, err
	}
	e.limit(ctx, t, p)
	e.confirm(t, p)
	for i, s := range p.Steps {
		if gk := s.Ref.GroupKind(); i == 0 || gk != p.Steps[i-1].Ref.GroupKind() {
			inventory = append(inventory, gk)
		}
	}
	p.kinds = sortKinds(inventory)
	return p, e.outsiders(ctx, l, p)
}

// survey has every kind of the target watched, and returns the inventory's
// kinds that the cluster still serves. Of those, some may not be watched now.
func (e *Engine) survey(ctx context.Context, t Target, l *lookup, items []item) ([]schema.GroupKind, error) {
	need := map[schema.GroupKind]schema.GroupVersionResource{}
	wanted := map[schema.GroupKind]bool{}
	for i := range items {
		gk := items[i].ref.GroupKind()
		wanted[gk] = true
		// Discovery trails what a watch already shows.
		if items[i].resource.definition != "" && e.watches.serving(gk, items[i].resource.gvr) {
			items[i].resource.definition = ""
		}
		if _, twice := need[gk]; !twice && items[i].resource.definition == "" {
			need[gk] = items[i].resource.gvr
		}
	}
	inventory, err := l.inventory(t.Kinds, need)
	if err != nil {
		return nil, err
	}
	unready, err := e.watches.need(ctx, t.Owner, need)
	if err != nil {
		return nil, err
	}
	for gk, why := range unready {
		if errors.Is(why, errNotListed) {
			if wanted[gk] {
				return nil, fmt.Errorf("watching %s: %w", gk, why)
			}
			continue
		}
		e.kinds.reset()
		d, returns := l.definitions[gk]
		switch {
		case returns:
			for i := range items {
				if items[i].ref.GroupKind() == gk {
					items[i].resource.definition = d.name
				}
			}
		case wanted[gk]:
			return nil, fmt.Errorf("watching %s: %w", gk, ErrUnknownKind)
		case l.vanished(gk):
			inventory = slices.DeleteFunc(inventory, func(k schema.GroupKind) bool { return k == gk })
		}
	}
	return inventory, nil
}

// locate finds how the kinds of strays are served.
func (e *Engine) locate(l *lookup, p *Plan) error {
	for _, s := range p.Steps {
		if s.resource.gvr.Resource != "" {
			continue
		}
		r, err := l.find(s.Ref.GroupKind())
		if err != nil {
			return fmt.Errorf("%s: %w", s.Ref, err)
		}
		s.resource = r
	}
	return nil
}

// Remaining is the inventory after a pass: the kinds that the plan wants, and
// those of which the owner still has an object, or may have one because they
// cannot be watched now. Deletions are confirmed by the watches, or by an API server
// that has no such object, so that a kind leaves when its last object is gone.
func (e *Engine) Remaining(p *Plan) []schema.GroupKind {
	kinds := e.tracker.kindsOf(p.Owner)
	for _, s := range p.Steps {
		if s.Action != Prune && s.Action != Keep {
			kinds[s.Ref.GroupKind()] = struct{}{}
		}
	}
	return sortKinds(slices.AppendSeq(e.watches.missing(p.kinds), maps.Keys(kinds)))
}

// Release forgets an owner: watches that it alone needed end.
func (e *Engine) Release(owner Owner) {
	e.watches.release(owner, nil)
	e.tracker.dropOwner(owner)
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.confirmed, owner)
	delete(e.prepared, owner)
}

// limit keeps what a person has to confirm out of the plan's deletions.
func (e *Engine) limit(ctx context.Context, t Target, p *Plan) {
	if p.Count(Prune) == 0 {
		return
	}
	records := e.tracker.records(t.Owner, refsOfSteps(p.Steps))
	if list, _, _ := surprising(t, p.Steps, records); !t.Back {
		e.spareForeign(ctx, p, list, records)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if after := p.budget(t, records, e.confirmed[t.Owner]); after.digest != "" {
		e.confirmed[t.Owner] = after
	}
}

// writer is the client that acts as user.
func (e *Engine) writer(user string) (metadata.Interface, error) {
	if user == "" {
		return e.own, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.writers[user]; w != nil {
		return w, nil
	}
	if len(e.writers) >= maxWriters {
		clear(e.writers)
	}
	config := rest.CopyConfig(e.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	w, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("acting as %s: %w", user, err)
	}
	e.writers[user] = w
	return w, nil
}
