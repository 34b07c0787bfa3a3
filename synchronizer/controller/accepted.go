package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
)

const (
	// acceptedPrefix begins the names of ConfigMaps with acceptance records.
	acceptedPrefix = "accepted-"
	// acceptedBy names the Delivery of a ConfigMap that holds one record only, as
	// earlier versions wrote them.
	acceptedBy = "sealift.dev/accepted-by"
	managedBy  = "app.kubernetes.io/managed-by"
	// firstAnswer is how long the API server's first answer may take.
	firstAnswer = 10 * time.Second
	// maxRepositories bounds a record.
	maxRepositories = 64
)

// record is what is kept of a Delivery: what it has accepted, and what was begun last.
type record struct {
	marks watermarks
	begun *beginning
}

// recordLine is one line of a record as it is stored.
type recordLine struct {
	synchronizer.Watermark
	Begun *beginning `json:",omitempty"`
}

// watermarks are what a Delivery has accepted, by the repository of which releases say to be.
type watermarks map[string]synchronizer.Watermark

// acceptance keeps what Deliveries have accepted in a few ConfigMaps of the controller's
// namespace, which outlive the Deliveries. Each has an entry NAMESPACE.NAME. A watch
// shows what people change there. Many that are saved at the same time cost one write.
type acceptance struct {
	client    client.Client
	reader    client.Reader
	namespace string
	informer  cache.SharedIndexInformer

	mu     sync.Mutex
	stored map[string]*corev1.ConfigMap // by name, as written or seen last
	queue  []*saving
	busy   bool
}

// saving is a record on its way to the API server.
type saving struct {
	key   string
	value record
	done  chan error
}

func newAcceptance(config *rest.Config, c client.Client, reader client.Reader, namespace string) (*acceptance, error) {
	a := &acceptance{client: c, reader: reader, namespace: namespace, stored: map[string]*corev1.ConfigMap{}}
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf // each write comes back in full
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	ours := cache.NewFilteredListWatchFromClient(core.RESTClient(), "configmaps", namespace, func(l *metav1.ListOptions) {
		l.LabelSelector = managedBy + "=sealift"
	})
	a.informer = cache.NewSharedIndexInformer(ours, &corev1.ConfigMap{}, 0, cache.Indexers{})
	_, err = a.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.see(o.(*corev1.ConfigMap)) },
		UpdateFunc: func(_, o any) { a.see(o.(*corev1.ConfigMap)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if c, ok := o.(*corev1.ConfigMap); ok {
				a.lose(c)
			}
		},
	})
	return a, err
}

// listAcceptance reads what was accepted once, for who saves nothing. It is empty where
// the error says that it cannot be read.
func listAcceptance(ctx context.Context, reader client.Reader, namespace string) (*acceptance, error) {
	a := &acceptance{stored: map[string]*corev1.ConfigMap{}}
	var list corev1.ConfigMapList
	if err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{managedBy: "sealift"}); err != nil {
		return a, fmt.Errorf("reading what was accepted: %w", err)
	}
	for i := range list.Items {
		a.see(&list.Items[i])
	}
	return a, nil
}

// run watches until ctx ends.
func (a *acceptance) run(ctx context.Context) { a.informer.RunWithContext(ctx) }

// recordKey is the entry of a Delivery, by its name and not its UID: a re-created
// Delivery accepts nothing older than the first one did.
func recordKey(d types.NamespacedName) string {
	if key := d.Namespace + "." + d.Name; len(key) <= 253 {
		return key
	}
	return string(engine.OwnerOf(d.Namespace, d.Name))
}

// see takes over what the API server holds, if that is newer.
func (a *acceptance) see(c *corev1.ConfigMap) {
	if !strings.HasPrefix(c.Name, acceptedPrefix) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.stored[c.Name]; known == nil || known.UID != c.UID || version(c) > version(known) {
		a.stored[c.Name] = c
	}
}

func (a *acceptance) lose(c *corev1.ConfigMap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.stored[c.Name]; known != nil && known.UID == c.UID {
		delete(a.stored, c.Name)
	}
}

// of is what a Delivery has accepted: of two entries for it, the higher counts.
func (a *acceptance) of(ctx context.Context, d types.NamespacedName) (record, error) {
	if err := a.synced(ctx); err != nil {
		return record{}, fmt.Errorf("reading what %s has accepted: %w", d, err)
	}
	return a.merged(d)
}

// synced waits until the records were read once.
func (a *acceptance) synced(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	if a.informer != nil && !cache.WaitForCacheSync(ctx.Done(), a.informer.HasSynced) {
		return fmt.Errorf("the API server has not answered for %s", firstAnswer)
	}
	return nil
}

func (a *acceptance) merged(d types.NamespacedName) (record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := record{marks: watermarks{}}
	for _, name := range slices.Sorted(maps.Keys(a.stored)) {
		read, err := entryOf(a.stored[name], d)
		if err != nil {
			return record{}, err
		}
		found.add(read)
	}
	return found, nil
}

// add takes over what is higher, or was begun later.
func (r *record) add(o record) {
	for repository, w := range o.marks {
		if known, twice := r.marks[repository]; !twice || known.Below(w) {
			r.marks[repository] = w
		}
	}
	if o.begun != nil && (r.begun == nil || r.begun.At.Before(&o.begun.At)) {
		r.begun = o.begun
	}
}

// entryOf reads what one ConfigMap holds of a Delivery.
func entryOf(c *corev1.ConfigMap, d types.NamespacedName) (record, error) {
	unreadable := func(err error) error {
		return fmt.Errorf("config map %s/%s does not hold an acceptance record of %s: %w; hint: delete that entry; what the status says counts then", c.Namespace, c.Name, d, err)
	}
	by := c.Annotations[acceptedBy]
	if by == "" {
		found, err := decode(c.Data[recordKey(d)])
		if err != nil {
			return record{}, unreadable(err)
		}
		return found, nil
	}
	found := record{marks: watermarks{}}
	if by != d.String() {
		return found, nil
	}
	for _, value := range c.Data {
		var w synchronizer.Watermark
		if err := json.Unmarshal([]byte(value), &w); err != nil {
			return record{}, unreadable(err)
		}
		found.marks[w.Repository] = w
	}
	return found, nil
}

// save stores what a Delivery has accepted and begun; it returns once that is done.
func (a *acceptance) save(ctx context.Context, d types.NamespacedName, value record) error {
	if len(value.marks) > maxRepositories {
		return fmt.Errorf("saving what %s accepts: releases of %d repositories, more than the limit of %d; hint: use another Delivery", d, len(value.marks), maxRepositories)
	}
	s := &saving{key: recordKey(d), value: value, done: make(chan error, 1)}
	a.mu.Lock()
	a.queue = append(a.queue, s)
	begin := !a.busy
	a.busy = true
	a.mu.Unlock()
	if begin {
		go a.drain(context.WithoutCancel(ctx))
	}
	select {
	case err := <-s.done:
		if err != nil {
			return fmt.Errorf("saving what %s accepts: %w", d, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("saving what %s accepts: %w", d, context.Cause(ctx))
	}
}

// drain writes what is queued, and what is queued meanwhile, until nothing is.
func (a *acceptance) drain(ctx context.Context) {
	for {
		a.mu.Lock()
		batch := a.queue
		a.queue = nil
		a.busy = len(batch) > 0
		a.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		rest := time.After(savePause)
		failed := a.write(ctx, batch)
		for _, s := range batch {
			s.done <- failed[s.key]
		}
		<-rest
	}
}

// savePause is the time from one write of acceptance records to the next: what comes
// meanwhile shares that one.
const savePause = 100 * time.Millisecond

// writeTimeout bounds one write of acceptance records.
const writeTimeout = 30 * time.Second

// write stores a batch, and says by key which records are not saved: a config map that
// cannot be written concerns those in it only.
func (a *acceptance) write(ctx context.Context, batch []*saving) (failed map[string]error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	a.mu.Lock()
	changed, migrated := place(a.namespace, a.stored, batch)
	a.mu.Unlock()
	failed = map[string]error{}
	for _, c := range changed {
		if err := a.put(ctx, c); err != nil {
			for key := range c.Data {
				failed[key] = err
			}
		}
	}
	if len(failed) > 0 {
		return failed
	}
	for _, c := range migrated {
		if err := a.client.Delete(ctx, c); client.IgnoreNotFound(err) == nil {
			a.lose(c)
		}
	}
	return nil
}
