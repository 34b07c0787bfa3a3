package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// errTrustSecret is a Secret with a key or a trusted root that is not there.
var errTrustSecret = errors.New("secret")

// secretSync is how long the first answer about a Secret may take.
const secretSync = 10 * time.Second

// trustSecrets are the Secrets that policies refer to. Each is watched by its name, so
// that a changed key is met at once and nothing is asked for in between; other Secrets
// are never seen.
type trustSecrets struct {
	core rest.Interface
	// changed is told the Deliveries that a changed Secret concerns.
	changed func(types.NamespacedName)

	mu      sync.Mutex
	watched map[types.NamespacedName]*watchedSecret
}

type watchedSecret struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	users    map[types.NamespacedName]bool // Deliveries
}

func newTrustSecrets(config *rest.Config, changed func(types.NamespacedName)) (*trustSecrets, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server's priority and fairness is the limit
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &trustSecrets{core: core.RESTClient(), changed: changed, watched: map[types.NamespacedName]*watchedSecret{}}, nil
}

// read gives a Delivery one entry of a Secret, as the watch knows it.
func (s *trustSecrets) read(ctx context.Context, user, name types.NamespacedName, entry string) ([]byte, error) {
	informer, err := s.watch(user, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, secretSync)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("reading the %w %s: the API server has not answered for %s", errTrustSecret, name, secretSync)
	}
	object, found, err := informer.GetStore().GetByKey(name.String())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("the %w %s does not exist", errTrustSecret, name)
	}
	data := object.(*corev1.Secret).Data[entry]
	if len(data) == 0 {
		return nil, fmt.Errorf("the %w %s has no key %s; hint: name the one that it has as secretRef.key", errTrustSecret, name, entry)
	}
	return data, nil
}

// watch gives the watch of a Secret, which goes on until nobody uses it.
func (s *trustSecrets) watch(user, name types.NamespacedName) (cache.SharedIndexInformer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.watched[name]; known != nil {
		known.users[user] = true
		return known.informer, nil
	}
	one := cache.NewListWatchFromClient(s.core, "secrets", name.Namespace, fields.OneTermEqualSelector("metadata.name", name.Name))
	informer := cache.NewSharedIndexInformer(one, &corev1.Secret{}, 0, cache.Indexers{})
	tell := func() { s.tell(name) }
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { tell() },
		UpdateFunc: func(_, _ any) { tell() },
		DeleteFunc: func(any) { tell() },
	}); err != nil {
		return nil, fmt.Errorf("watching the %w %s: %w", errTrustSecret, name, err)
	}
	ctx, stop := context.WithCancel(context.Background()) // it outlives the pass that begins it
	go informer.RunWithContext(ctx)
	s.watched[name] = &watchedSecret{informer: informer, stop: stop, users: map[types.NamespacedName]bool{user: true}}
	return informer, nil
}

func (s *trustSecrets) tell(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.watched[name]; known != nil {
		for user := range known.users {
			s.changed(user)
		}
	}
}

// use says which Secrets a Delivery depends on from now on; those that nobody does
// are watched no longer.
func (s *trustSecrets) use(user types.NamespacedName, names []types.NamespacedName) {
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
func (s *trustSecrets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watched {
		w.stop()
	}
}
