package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

var (
	// errKindGone says that a watch ended because its kind is not served any more.
	errKindGone = errors.New("the cluster serves this kind no longer")
	// errNotListed says that a watch goes on without a first list so far.
	errNotListed = errors.New("not listed yet")
)

// listTimeout is how long after its start a watch is waited for. It goes on
// afterwards, so that a later plan finds it ready or fails at once.
const listTimeout = 10 * time.Second

// watches holds one metadata-only watch per kind, shared by all owners.
type watches struct {
	client  metadata.Interface
	reader  *reader
	tracker *tracker
	// viewer is set where kinds are listed once, and not watched.
	viewer *viewer

	mu     sync.Mutex
	byKind map[schema.GroupKind]*kindWatch
	queue  []*kindWatch
	// wake tells run that the queue has entries; its capacity is 1.
	wake chan struct{}
}

// kindWatch is the watch of one kind. ready closes with the first list, ended
// when the watch is over; err is why, and valid then. failure is what the last
// request that failed failed with.
type kindWatch struct {
	gk       schema.GroupKind
	gvr      schema.GroupVersionResource
	users    map[Owner]struct{}
	begun    time.Time
	failure  atomic.Pointer[error]
	ready    chan struct{}
	readying sync.Once
	ended    chan struct{}
	err      error
}

func newWatches(client metadata.Interface, r *reader, t *tracker) *watches {
	return &watches{client: client, reader: r, tracker: t, byKind: map[schema.GroupKind]*kindWatch{}, wake: make(chan struct{}, 1)}
}

// run serves queued watches until ctx ends.
func (w *watches) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		w.mu.Lock()
		queue := w.queue
		w.queue = nil
		w.mu.Unlock()
		serve := w.serve
		if w.viewer != nil {
			serve = w.view
		}
		for _, k := range queue {
			all.Go(func() { serve(ctx, k) })
		}
	}
}

// serve watches one kind until it is ended or ctx is.
func (w *watches) serve(ctx context.Context, k *kindWatch) {
	silent := logr.Discard()
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, silent))
	defer cancel()
	go func() {
		select {
		case <-k.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	list, open, kept := w.metadata(k.gvr)
	if hasStatus(k.gk) {
		list, open, kept = w.full(k.gvr, k.gk.Kind)
	}
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = OwnerLabel
			found, err := list(ctx, o)
			w.broken(k, err)
			return found, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = OwnerLabel
			stream, err := open(ctx, o)
			w.broken(k, err)
			return stream, err
		},
	}
	r := cache.NewReflectorWithOptions(source, kept, &sink{kind: k, tracker: w.tracker},
		cache.ReflectorOptions{Logger: &silent, Name: k.gk.String()})
	r.RunWithContext(ctx)
}

type (
	lister  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watcher func(context.Context, metav1.ListOptions) (watch.Interface, error)
)

// metadata asks for no more than metadata; the object returned is of the type that
// list and watch give.
func (w *watches) metadata(gvr schema.GroupVersionResource) (lister, watcher, runtime.Object) {
	client := w.client.Resource(gvr)
	list := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, o) }
	return list, client.Watch, &metav1.PartialObjectMetadata{}
}

// full asks for whole objects, of which readings are kept.
func (w *watches) full(gvr schema.GroupVersionResource, kind string) (lister, watcher, runtime.Object) {
	list := func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return w.reader.list(ctx, gvr, "", kind, o)
	}
	open := func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		return w.reader.watch(ctx, gvr, kind, o)
	}
	return list, open, &reading{}
}

// broken ends a watch that can only fail again: a vanished kind, a missing
// right. Everything else the reflector tries again, with backoff; nil is no failure.
func (w *watches) broken(k *kindWatch, err error) {
	if err != nil {
		k.failure.Store(&err)
	}
	switch {
	case apierrors.IsNotFound(err):
		w.end(k, errKindGone)
	case apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		w.end(k, err)
	}
}

// end stops a watch and forgets its objects. The next plan that needs the
// kind starts another.
func (w *watches) end(k *kindWatch, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKind[k.gk] == k {
		k.err = err
		w.close(k)
	}
}

// close is called with the lock held, so that no other watch of the kind has
// begun when its objects are forgotten.
func (w *watches) close(k *kindWatch) {
	delete(w.byKind, k.gk)
	close(k.ended)
	w.tracker.dropKind(k.gk)
}

// need makes owner a user of exactly these kinds, and waits until each was
// listed once. It returns the kinds that turned out not to be served
// (errKindGone), or whose list fails for now (errNotListed), or for good: the caller
// wants none of those, and of a kind that was kept before nothing is known.
func (w *watches) need(ctx context.Context, owner Owner, kinds map[schema.GroupKind]schema.GroupVersionResource) (map[schema.GroupKind]error, error) {
	w.release(owner, kinds)
	unready := map[schema.GroupKind]error{}
	for _, k := range w.join(owner, kinds) {
		switch err := k.wait(ctx); {
		case errors.Is(err, errKindGone), errors.Is(err, errNotListed):
			unready[k.gk] = err
		case apierrors.IsMethodNotSupported(err):
			unready[k.gk] = fmt.Errorf("%w: %w", errNotListed, err)
		case apierrors.IsForbidden(err):
			return nil, fmt.Errorf("watching %s: %w; hint: the synchronizer itself needs the verbs list and watch", k.gvr.GroupResource(), err)
		case err != nil:
			return nil, fmt.Errorf("watching %s: %w", k.gvr.GroupResource(), err)
		}
	}
	return unready, nil
}

func (w *watches) join(owner Owner, kinds map[schema.GroupKind]schema.GroupVersionResource) []*kindWatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	joined := make([]*kindWatch, 0, len(kinds))
	for gk, gvr := range kinds {
		k := w.byKind[gk]
		if k == nil {
			k = &kindWatch{gk: gk, gvr: gvr, users: map[Owner]struct{}{}, begun: time.Now(), ready: make(chan struct{}), ended: make(chan struct{})}
			w.byKind[gk] = k
			w.queue = append(w.queue, k)
		}
		k.users[owner] = struct{}{}
		joined = append(joined, k)
	}
	if len(w.queue) > 0 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return joined
}

// release takes owner off all kinds but these, and ends watches without users.
func (w *watches) release(owner Owner, except map[schema.GroupKind]schema.GroupVersionResource) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for gk, k := range w.byKind {
		if _, used := k.users[owner]; !used {
			continue
		}
		if _, stay := except[gk]; stay {
			continue
		}
		delete(k.users, owner)
		if len(k.users) == 0 {
			w.close(k)
		}
	}
}

// serving says that a kind is watched in this version and was listed.
func (w *watches) serving(gk schema.GroupKind, gvr schema.GroupVersionResource) bool {
	w.mu.Lock()
	k := w.byKind[gk]
	w.mu.Unlock()
	return k != nil && k.gvr == gvr && k.listed()
}

// missing are those of kinds that are not watched, or not listed so far.
func (w *watches) missing(kinds []schema.GroupKind) []schema.GroupKind {
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing []schema.GroupKind
	for _, gk := range kinds {
		if k := w.byKind[gk]; k == nil || !k.listed() {
			missing = append(missing, gk)
		}
	}
	return missing
}

func (k *kindWatch) listed() bool {
	select {
	case <-k.ready:
		return true
	default:
		return false
	}
}

// wait returns when the kind was listed once. The error is errKindGone, one
// that is errNotListed, what else ended the watch, or the context's.
func (k *kindWatch) wait(ctx context.Context) error {
	if k.listed() {
		return nil
	}
	patience := time.NewTimer(time.Until(k.begun.Add(listTimeout)))
	defer patience.Stop()
	select {
	case <-patience.C:
		if failure := k.failure.Load(); failure != nil {
			return fmt.Errorf("%w: %w", errNotListed, *failure)
		}
		return fmt.Errorf("%w: no answer within %s", errNotListed, listTimeout)
	case <-k.ready:
		return nil
	case <-k.ended:
		if k.err == nil {
			return errors.New("nobody needs the watch any more")
		}
		return k.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the first list: %w", ctx.Err())
	}
}

// sink feeds what a reflector reads to the tracker, as the reflector's store.
type sink struct {
	kind    *kindWatch
	tracker *tracker
	newest  uint64 // how far the reflector has read
}

// Add takes in a new object.
func (s *sink) Add(o any) error { return s.Update(o) }

// Update takes in a changed object.
func (s *sink) Update(o any) error {
	seen, err := s.reading(o)
	if err == nil && s.live() {
		s.tracker.observe(s.kind.gk, seen)
	}
	return err
}

// reading is what either kind of watch gives.
func (s *sink) reading(o any) (*reading, error) {
	switch one := o.(type) {
	case *reading:
		return one, nil
	case *metav1.PartialObjectMetadata:
		return &reading{PartialObjectMetadata: *one}, nil
	}
	return nil, fmt.Errorf("watching %s: unexpected %T", s.kind.gvr.GroupResource(), o)
}

// Delete takes in an object that left the watch.
func (s *sink) Delete(o any) error {
	seen, err := s.reading(o)
	if err == nil && s.live() {
		s.tracker.remove(refOf(s.kind.gk, &seen.PartialObjectMetadata), version(seen))
	}
	return err
}

// Replace takes in a full list.
func (s *sink) Replace(list []any, rv string) error {
	objects := make([]*reading, 0, len(list))
	for _, o := range list {
		seen, err := s.reading(o)
		if err != nil {
			return err
		}
		objects = append(objects, seen)
	}
	if version := parseVersion(rv); s.live() {
		if s.restored(version) {
			s.tracker.relearn(s.kind.gk, objects)
		} else {
			s.tracker.replace(s.kind.gk, objects, version)
		}
		s.kind.readying.Do(func() { close(s.kind.ready) })
	}
	return nil
}

// Resync has nothing to do: the tracker acts on events alone.
func (s *sink) Resync() error { return nil }

// live is false once the watch ended: another may serve the kind by now.
func (s *sink) live() bool {
	select {
	case <-s.kind.ended:
		return false
	default:
		return true
	}
}
