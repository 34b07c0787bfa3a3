package engine

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// viewer reads each kind once, instead of watching it. A kind that the engine's own
// identity may not list in the whole cluster is listed in namespaces; where it may not
// there, as the user.
type viewer struct {
	own, user *eyes // user may be nil

	mu         sync.Mutex
	namespaces map[string]bool
	narrowed   map[string]bool // kinds that were listed in namespaces only
	unseen     map[string]bool // KIND in NAMESPACE, or KIND
}

// eyes are clients with the rights of somebody.
type eyes struct {
	client metadata.Interface
	full   *reader
}

// NewViewer makes an engine that is good for one plan that is looked at and not
// carried out: it lists each kind once. Of a kind that the identity of config may not
// list in the whole cluster, it sees the namespaces of the target, with the rights of
// user where its own are not enough; an empty user is nobody else.
func NewViewer(config *rest.Config, user string) (*Engine, error) {
	e, err := New(config, func(Owner) {})
	if err != nil {
		return nil, err
	}
	v := &viewer{own: &eyes{client: e.own, full: e.watches.reader}, namespaces: map[string]bool{}, narrowed: map[string]bool{}, unseen: map[string]bool{}}
	if user != "" {
		other := rest.CopyConfig(e.config)
		other.Impersonate = rest.ImpersonationConfig{UserName: user}
		if v.user, err = newEyes(other); err != nil {
			return nil, fmt.Errorf("acting as %s: %w", user, err)
		}
		e.own = v.user.client // what the plan looks at one by one
	}
	e.watches.viewer = v
	return e, nil
}

func newEyes(config *rest.Config) (*eyes, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return eyesOf(config, client)
}

func eyesOf(config *rest.Config, client *http.Client) (*eyes, error) {
	partial, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	full, err := newReader(config, client)
	return &eyes{client: partial, full: full}, err
}

// Unseen says in words what a viewer could not look at, so that its plan may not be
// the one of a pass.
func (e *Engine) Unseen() []string {
	v := e.watches.viewer
	v.mu.Lock()
	defer v.mu.Unlock()
	var said []string
	if len(v.narrowed) > 0 {
		said = append(said, fmt.Sprintf("you may list %s in some namespaces only: what a pass would delete outside of %s is not shown", words(v.narrowed), words(v.namespaces)))
	}
	if len(v.unseen) > 0 {
		said = append(said, fmt.Sprintf("neither you nor the service account may list %s: which of them are the Delivery's already is not known, nor which a pass would delete", words(v.unseen)))
	}
	return said
}

func words(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

func (v *viewer) places() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.namespaces))
}

// visit adds the namespaces in which a target is at home.
func (w *watches) visit(t Target, items []item) {
	if w.viewer == nil {
		return
	}
	w.viewer.mu.Lock()
	defer w.viewer.mu.Unlock()
	w.viewer.namespaces[t.Namespace] = true
	for _, it := range items {
		if it.ref.Namespace != "" {
			w.viewer.namespaces[it.ref.Namespace] = true
		}
	}
}

// view feeds one list to the tracker, as a watch's first one.
func (w *watches) view(ctx context.Context, k *kindWatch) {
	found, version, err := w.viewer.list(ctx, k.gvr, k.gk)
	w.broken(k, err)
	if err == nil {
		(&sink{kind: k, tracker: w.tracker}).Replace(found, version)
	}
}

// list reads a kind in the whole cluster, or where that is forbidden as far as it can.
func (v *viewer) list(ctx context.Context, gvr schema.GroupVersionResource, gk schema.GroupKind) ([]any, string, error) {
	found, version, err := v.own.list(ctx, gvr, gk, "")
	if !apierrors.IsForbidden(err) {
		return found, version, err
	}
	if v.user != nil {
		if found, version, err = v.user.list(ctx, gvr, gk, ""); !apierrors.IsForbidden(err) {
			return found, version, err
		}
	}
	var all []any
	seen := false
	for _, namespace := range v.places() {
		found, latest, err := v.within(ctx, gvr, gk, namespace)
		switch {
		case apierrors.IsForbidden(err):
			v.note(v.unseen, gk.String()+" in "+namespace)
		case err != nil:
			return nil, "", err
		default:
			all, version, seen = append(all, found...), latest, true
		}
	}
	if seen {
		v.note(v.narrowed, gk.String())
	}
	return all, version, nil
}

func (v *viewer) within(ctx context.Context, gvr schema.GroupVersionResource, gk schema.GroupKind, namespace string) ([]any, string, error) {
	found, version, err := v.own.list(ctx, gvr, gk, namespace)
	if apierrors.IsForbidden(err) && v.user != nil {
		return v.user.list(ctx, gvr, gk, namespace)
	}
	return found, version, err
}

func (v *viewer) note(in map[string]bool, what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	in[what] = true
}

// list reads a kind page by page, as a watch of it would show it.
func (e *eyes) list(ctx context.Context, gvr schema.GroupVersionResource, gk schema.GroupKind, namespace string) ([]any, string, error) {
	var all []any
	version, err := everyOwned(ctx, func(ctx context.Context, o metav1.ListOptions) (page runtime.Object, err error) {
		err = persist(ctx, func(ctx context.Context) error {
			if hasStatus(gk) {
				page, err = e.full.list(ctx, gvr, namespace, gk.Kind, o)
				return err
			}
			page, err = e.client.Resource(gvr).Namespace(namespace).List(ctx, o)
			return err
		})
		return page, err
	}, func(seen runtime.Object) error {
		all = append(all, seen)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return all, version, nil
}
