package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// errTooManySources is a namespace whose Deliveries name more Secrets and ConfigMaps
// than are watched.
var errTooManySources = errors.New("too many Secrets and ConfigMaps are named")

const (
	// sourceSync is how long the first answer about a source may take.
	sourceSync = 10 * time.Second
	// maxSources bounds the Secrets and ConfigMaps that are watched in one namespace.
	maxSources = 500
)

// sourceName names a Secret or a ConfigMap, by the name of its resource.
type sourceName struct {
	resource string
	types.NamespacedName
}

func (n sourceName) String() string {
	return map[string]string{secrets: "Secret ", configMaps: "ConfigMap "}[n.resource] + n.NamespacedName.String()
}

const (
	secrets    = "secrets"
	configMaps = "configmaps"
)

// sources are the Secrets and ConfigMaps that policies and Deliveries refer to. Each is
// watched by its name, so that a change is met at once and nothing is asked for in
// between; others are never seen.
type sources struct {
	core rest.Interface
	// changed is told the Deliveries that a changed source concerns.
	changed func(types.NamespacedName)
	// trusting holds nothing against an account's rights: who asks reads for themselves.
	trusting bool
	// once reads each source when it is asked for; nil: sources are watched.
	once *eyes

	mu      sync.Mutex
	watched map[sourceName]*watchedSource
}

type watchedSource struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	users    map[types.NamespacedName]bool // Deliveries
	// readable is the version that an account was allowed to read.
	readable map[string]string
}

// content is what a source holds.
type content struct {
	found bool
	// version changes with the content, and tells nothing of it.
	version string
	data    map[string][]byte
}

func newSources(config *rest.Config, changed func(types.NamespacedName)) (*sources, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server's priority and fairness is the limit
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &sources{core: core.RESTClient(), changed: changed, watched: map[sourceName]*watchedSource{}}, nil
}

// reading is what one pass of a Delivery reads; what it does not is watched for that
// Delivery no longer once it is done.
type reading struct {
	*sources
	user types.NamespacedName
	used []sourceName
}

func (s *sources) reading(user types.NamespacedName) *reading {
	return &reading{sources: s, user: user}
}

func (r *reading) done() { r.use(r.user, r.used) }

// content gives what a source holds, as the watch knows it.
func (r *reading) content(ctx context.Context, name sourceName) (content, error) {
	if r.once != nil {
		held, err := r.once.content(ctx, name)
		if err != nil {
			return content{}, fmt.Errorf("reading the %s: %w", name, err)
		}
		return held, nil
	}
	r.used = append(r.used, name)
	informer, err := r.watch(r.user, name)
	if err != nil {
		return content{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, sourceSync)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return content{}, fmt.Errorf("reading the %s: the API server has not answered for %s", name, sourceSync)
	}
	object, found, err := informer.GetStore().GetByKey(name.NamespacedName.String())
	if err != nil || !found {
		return content{}, err
	}
	return contentOf(object), nil
}

// errTrustSecret is a Secret with a key or a trusted root that is not there.
var errTrustSecret = errors.New("secret")

// entry gives one entry of a Secret that trust rests on.
func (r *reading) entry(ctx context.Context, name types.NamespacedName, entry string) ([]byte, error) {
	held, err := r.content(ctx, sourceName{resource: secrets, NamespacedName: name})
	if err != nil {
		return nil, fmt.Errorf("reading the %w %s: %w", errTrustSecret, name, err)
	}
	if !held.found {
		return nil, fmt.Errorf("the %w %s does not exist", errTrustSecret, name)
	}
	if len(held.data[entry]) == 0 {
		return nil, fmt.Errorf("the %w %s has no key %s; hint: name the one that it has as secretRef.key", errTrustSecret, name, entry)
	}
	return held.data[entry], nil
}

func contentOf(object any) content {
	c := content{found: true}
	switch o := object.(type) {
	case *corev1.Secret:
		c.version, c.data = string(o.UID)+"/"+o.ResourceVersion, o.Data
	case *corev1.ConfigMap:
		c.version, c.data = string(o.UID)+"/"+o.ResourceVersion, make(map[string][]byte, len(o.Data))
		for key, value := range o.Data {
			c.data[key] = []byte(value)
		}
	}
	return c
}

// readableBy holds a source against the rights of an account: whoever may make a
// Delivery shall not read by it what its service account may not. It asks once for each
// version of the source.
func (r *reading) readableBy(ctx context.Context, account string, name sourceName, version string) error {
	if r.trusting {
		return nil
	}
	r.mu.Lock()
	known := r.watched[name] != nil && r.watched[name].readable[account] == version
	r.mu.Unlock()
	if known {
		return nil
	}
	err := r.core.Get().SetHeader("Impersonate-User", account).
		Resource(name.resource).Namespace(name.Namespace).Name(name.Name).Do(ctx).Error()
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("the service account may not read the %s, which the Delivery names: %w; hint: allow it to get %s", name, err, name.resource)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading the %s as the service account: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.watched[name]; w != nil {
		w.readable[account] = version
	}
	return nil
}

// watch gives the watch of a source, which goes on until nobody uses it.
func (s *sources) watch(user types.NamespacedName, name sourceName) (cache.SharedIndexInformer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.watched[name]; known != nil {
		known.users[user] = true
		return known.informer, nil
	}
	if s.count(name.Namespace) >= maxSources {
		return nil, fmt.Errorf("%w: the Deliveries of namespace %s name more than %d", errTooManySources, name.Namespace, maxSources)
	}
	one := cache.NewListWatchFromClient(s.core, name.resource, name.Namespace, fields.OneTermEqualSelector("metadata.name", name.Name))
	var of runtime.Object = &corev1.Secret{}
	if name.resource == configMaps {
		of = &corev1.ConfigMap{}
	}
	informer := cache.NewSharedIndexInformer(one, of, 0, cache.Indexers{})
	tell := func() { s.tell(name) }
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { tell() },
		UpdateFunc: func(_, _ any) { tell() },
		DeleteFunc: func(any) { tell() },
	})
	if err := errors.Join(err, informer.SetTransform(withoutManagers)); err != nil {
		return nil, fmt.Errorf("watching the %s: %w", name, err)
	}
	ctx, stop := context.WithCancel(context.Background()) // it outlives the pass that begins it
	go informer.RunWithContext(ctx)
	s.watched[name] = &watchedSource{informer: informer, stop: stop, users: map[types.NamespacedName]bool{user: true}, readable: map[string]string{}}
	return informer, nil
}

func (s *sources) count(namespace string) int {
	n := 0
	for name := range s.watched {
		if name.Namespace == namespace {
			n++
		}
	}
	return n
}

// withoutManagers drops what takes most memory and is never looked at.
func withoutManagers(object any) (any, error) {
	if o, err := meta.Accessor(object); err == nil {
		o.SetManagedFields(nil)
	}
	return object, nil
}

func (s *sources) tell(name sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.watched[name]; known != nil {
		for user := range known.users {
			s.changed(user)
		}
	}
}

// use says which sources a Delivery depends on from now on; those that nobody does
// are watched no longer.
func (s *sources) use(user types.NamespacedName, names []sourceName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.watched {
		if slices.Contains(names, name) {
			w.users[user] = true
			continue
		}
		delete(w.users, user)
		if len(w.users) == 0 {
			w.stop()
			delete(s.watched, name)
		}
	}
}

// close ends all watches.
func (s *sources) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watched {
		w.stop()
	}
}
