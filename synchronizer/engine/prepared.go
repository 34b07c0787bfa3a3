package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
)

// prepared is a set of wanted objects with their identities, what their annotations
// ask for, and the digests of what is wanted: all that does not change from one pass
// over the same set to the next.
type prepared struct {
	objects   *Set
	namespace string
	// served is the state of discovery that the identities were settled by.
	served uint64
	items  []item
}

// is says that p was prepared of this very set, which never changes.
func (p *prepared) is(t Target, served uint64) bool {
	return p != nil && p.namespace == t.Namespace && p.served == served && p.objects == t.Objects
}

// items settles what is wanted of t, or remembers it. What waits for a definition of
// its own set is settled anew in each pass.
func (e *Engine) items(ctx context.Context, l *lookup, t Target) ([]item, error) {
	e.mu.Lock()
	known := e.prepared[t.Owner]
	e.mu.Unlock()
	if known.is(t, e.kinds.served.Load()) {
		return append([]item(nil), known.items...), nil
	}
	served := e.kinds.served.Load()
	items, err := l.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	// Identities settled while another asked the cluster anew may be of before.
	settled := served == e.kinds.served.Load()
	for i := range items {
		items[i].wanted = sha256.Sum256(items[i].manifest.body(items[i].ref.Namespace, t.Owner))
		settled = settled && items[i].resource.definition == ""
	}
	slices.SortStableFunc(items, compareItems) // so that plans have little left to order
	if settled {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.prepared[t.Owner] = &prepared{objects: t.Objects, namespace: t.Namespace, served: served, items: append([]item(nil), items...)}
	}
	return items, nil
}

// compareItems is the order of doing, as far as items alone tell it.
func compareItems(a, b item) int {
	stageA, rankA := place(a.ref.GroupKind(), a.resource.definition != "")
	stageB, rankB := place(b.ref.GroupKind(), b.resource.definition != "")
	if c := cmp.Or(cmp.Compare(a.course.wave, b.course.wave), cmp.Compare(stageA, stageB), cmp.Compare(rankA, rankB)); c != 0 {
		return c
	}
	return compareRefs(a.ref, b.ref)
}
