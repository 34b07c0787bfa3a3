// Package controller ties Delivery and TrustPolicy objects to the synchronizer:
// it reads what is asked, lets the synchronizer act, and writes what came of it.
package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"sealift.dev/api/v1alpha1"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

// Options configure Run. Config, Namespace and Log are needed; the rest may be zero.
type Options struct {
	Config *rest.Config
	// Namespace holds the controller's own objects: its lease and what each
	// Delivery has accepted.
	Namespace string
	// LeaderElect lets one of several controllers work at a time.
	LeaderElect bool
	// RequireTrustPolicy refuses Deliveries that no TrustPolicy matches, whatever
	// they trust themselves.
	RequireTrustPolicy bool
	// DefaultServiceAccount writes for Deliveries that name none. Empty means "default".
	DefaultServiceAccount string
	// Verify is what releases are held against besides policies.
	Verify verify.Options
	// ProbeAddress serves /healthz and /readyz; empty serves nothing.
	ProbeAddress string
	// MetricsAddress serves /metrics; empty serves nothing.
	MetricsAddress string
	// Workers is how many Deliveries of one namespace are worked on at a time, of all
	// twice as many. Zero means 16.
	Workers int
	// Registries says how registries are reached; credentials and certificates come
	// from each Delivery's own Secrets as well.
	Registries synchronizer.Options
	Log        *slog.Logger
}

// Run serves Deliveries until ctx ends.
func Run(ctx context.Context, o Options) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var pulse pulse
	o.Config = pulse.listening(o.Config)
	lock, err := newTenure(o.Config, o.Namespace, end)
	if err != nil {
		return fmt.Errorf("starting the controller: %w", err)
	}
	if o.LeaderElect {
		o.Config = lock.fenced(o.Config)
	}
	manager, err := newManager(o, &pulse, lock)
	if err != nil {
		return fmt.Errorf("starting the controller: %w", err)
	}
	if err := prepared(ctx, manager.GetAPIReader(), o.Namespace); err != nil {
		return err
	}
	r := &reconciler{options: o, client: manager.GetClient(), reader: manager.GetAPIReader(), metrics: newMetrics(), pulse: &pulse}
	r.events = newFrugal(manager.GetEventRecorder("sealift"))
	e, err := engine.New(o.Config, r.changed)
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	r.engine = e
	o.Verify.Waiting = synchronizer.Waiting
	verifier, err := verify.New(o.Verify)
	if err != nil {
		return fmt.Errorf("starting the controller: %w", err)
	}
	o.Registries.Changed = r.changed
	o.Registries.Trace.Trouble = (&troubles{log: o.Log}).tell
	o.Registries.Trace = r.metrics.trace(o.Registries.Trace)
	r.synchronizer = synchronizer.New(e, verifier, o.Registries)
	if r.sources, err = newSources(o.Config, r.queue.add); err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	defer r.sources.close()
	if r.accepted, err = newAcceptance(o.Config, r.client, r.reader, o.Namespace); err != nil {
		return fmt.Errorf("watching what was accepted: %w", err)
	}
	serve := func(ctx context.Context) error {
		go r.accepted.run(ctx)
		o.Log.Info("serving deliveries", "cluster", o.Config.Host, "namespace", o.Namespace)
		return e.Run(ctx)
	}
	if err := manager.Add(leaderOnly(serve)); err != nil {
		return fmt.Errorf("starting the watches: %w", err)
	}
	if err := r.serveMetrics(manager, o.MetricsAddress); err != nil {
		return fmt.Errorf("serving metrics: %w", err)
	}
	if err := r.register(ctx, manager); err != nil {
		return fmt.Errorf("registering the controller: %w", err)
	}
	if err := manager.Start(ctx); err != nil {
		return err
	}
	if cause := context.Cause(ctx); errors.Is(cause, errLeaseTaken) {
		return cause
	}
	return nil
}

func newManager(o Options, p *pulse, lock *tenure) (manager.Manager, error) {
	library := logr.FromSlogHandler(quiet{o.Log.Handler()})
	ctrl.SetLogger(library)
	klog.SetLogger(library)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // the API server's priority and fairness is the limit
	m, err := ctrl.NewManager(config, manager.Options{
		Scheme:                              scheme,
		Logger:                              library,
		Metrics:                             server.Options{BindAddress: "0"},
		HealthProbeBindAddress:              o.ProbeAddress,
		LeaderElection:                      o.LeaderElect,
		LeaderElectionID:                    leaseName,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       ptr.To(leaseTime),
		RenewDeadline:                       ptr.To(leaseRenewal),
		RetryPeriod:                         ptr.To(leaseRetry),
		GracefulShutdownTimeout:             ptr.To(stopTime),
		Client:                              client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	})
	if err != nil || o.ProbeAddress == "" {
		return m, err
	}
	return m, p.probe(m, config)
}

// prepared says what is missing in the cluster before a time-out does.
func prepared(ctx context.Context, reader client.Reader, namespace string) error {
	const hint = "hint: sealift install --components crds,rbac"
	for _, list := range []client.ObjectList{&v1alpha1.DeliveryList{}, &v1alpha1.TrustPolicyList{}} {
		if err := reader.List(ctx, list, client.Limit(1)); err != nil {
			return fmt.Errorf("reading Deliveries and TrustPolicies: %w; %s", err, hint)
		}
	}
	if err := reader.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{}); err != nil {
		return fmt.Errorf("looking for the synchronizer's own namespace: %w; %s, or name another with --namespace", err, hint)
	}
	return defined(ctx, reader)
}

// quiet keeps the libraries' everyday news out of the log.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

// leaderOnly runs once this process leads.
type leaderOnly func(context.Context) error

func (f leaderOnly) Start(ctx context.Context) error { return f(ctx) }
func (leaderOnly) NeedLeaderElection() bool          { return true }

// reconciler makes one pass for one Delivery at a time, and none twice at once.
type reconciler struct {
	options      Options
	client       client.Client
	reader       client.Reader
	events       recorder
	engine       *engine.Engine
	synchronizer *synchronizer.Synchronizer
	metrics      *metrics
	pulse        *pulse

	queue    queue
	passes   *synchronizer.Passes
	owners   sync.Map // engine.Owner → types.NamespacedName
	latest   sync.Map // types.NamespacedName → *v1alpha1.Delivery as last written
	accesses sync.Map // types.NamespacedName → access
	checked  sync.Map // name of a TrustPolicy → checked
	told     sync.Map // types.NamespacedName → told
	recalled recollection
	programs programs
	sources  *sources
	accepted *acceptance
}

func (r *reconciler) register(ctx context.Context, m manager.Manager) error {
	workers := 2 * cmp.Or(r.options.Workers, 16)
	r.passes = synchronizer.NewPasses(workers, func(namespace, name string) {
		r.queue.add(types.NamespacedName{Namespace: namespace, Name: name})
	})
	if err := m.GetFieldIndexer().IndexField(ctx, &v1alpha1.Delivery{}, dependsOnIndex, byDependency); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(m).
		Named("delivery").
		For(&v1alpha1.Delivery{}, forAsked()).
		Watches(&v1alpha1.Delivery{}, r.dependents()).
		Watches(&v1alpha1.TrustPolicy{}, handler.EnqueueRequestsFromMapFunc(r.everyDelivery)).
		WatchesRawSource(source.Func(r.queue.open)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: r.limiter(), CacheSyncTimeout: time.Minute}).
		Complete(r)
}
