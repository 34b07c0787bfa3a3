package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"sealift.dev/artifact"
	"sealift.dev/synchronizer"
	"sealift.dev/synchronizer/controller"
	"sealift.dev/synchronizer/engine"
	"sealift.dev/verify"
)

// maxSyncWorkers is more than any API server takes at once.
const maxSyncWorkers = 1000

type syncOptions struct {
	cluster            clusterFlags
	network            networkFlags
	root               rootFlags
	leaderElect        bool
	requireTrustPolicy bool
	serviceAccount     string
	probeAddress       string
	metricsAddress     string
	workers            int
	logFormat          string
	cache              string
	cacheSize          string
	reapply            time.Duration
}

func newSyncCommand(s streams) *cobra.Command {
	var o syncOptions
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Run the synchronizer for Delivery and TrustPolicy objects",
		Long: `Run the synchronizer: it verifies the releases that Delivery objects name,
applies them, and keeps the cluster at them.

Inside a cluster it uses its service account, outside one the kubeconfig. It
needs the custom resource definitions that "sealift install" applies.`,
		Example: `  # Run against the cluster of the current kubeconfig context
  sealift sync --namespace sealift-system

  # Let only the platform team's TrustPolicies decide
  sealift sync --require-trust-policy`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			log, err := newLogger(s, o.logFormat)
			if err != nil {
				return err
			}
			registries, verifying, err := o.reach()
			if err != nil {
				return err
			}
			if registries.Cache, registries.CacheBytes, err = o.keep(); err != nil {
				return err
			}
			config, err := o.cluster.connect()
			if err != nil {
				return err
			}
			spareMemory(cmd.Context())
			return controller.Run(cmd.Context(), controller.Options{
				Config:                config,
				Namespace:             o.cluster.ownNamespace(),
				LeaderElect:           o.leaderElect,
				RequireTrustPolicy:    o.requireTrustPolicy,
				DefaultServiceAccount: o.serviceAccount,
				ProbeAddress:          o.probeAddress,
				MetricsAddress:        o.metricsAddress,
				Workers:               o.workers,
				Verify:                verifying,
				Registries:            registries,
				Log:                   log,
			})
		},
	}
	flags := cmd.Flags()
	o.cluster.register(flags, "namespace of the synchronizer's own objects: its lease and what was accepted (default the pod's, else "+defaultNamespace+")")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "work only while holding the lease, so that several replicas can run")
	flags.BoolVar(&o.requireTrustPolicy, "require-trust-policy", false, "refuse Deliveries that no TrustPolicy matches")
	flags.StringVar(&o.serviceAccount, "default-service-account", "default", "account of a Delivery's own namespace that writes for it where it names none")
	flags.StringVar(&o.probeAddress, "probe-address", "", "address that serves /healthz and /readyz, such as :8081")
	flags.StringVar(&o.metricsAddress, "metrics-address", "", "address that serves /metrics, such as :8080 (default none)")
	flags.IntVar(&o.workers, "workers", 16, "how many Deliveries of a namespace are worked on at a time; twice as many of all")
	flags.StringVar(&o.cache, "cache", "", "folder that keeps verified releases, for when registries are down (default none)")
	flags.StringVar(&o.cacheSize, "cache-size", "1Gi", "bound of that folder, such as 512Mi")
	flags.DurationVar(&o.reapply, "reapply", engine.DefaultReapply, "after how long an object is applied again though no watch told of a change")
	o.root.register(flags)
	o.network.register(flags)
	flags.StringVar(&o.logFormat, "log-format", "text", "log format: text or json")
	return cmd
}

// check holds the numbers against their bounds.
func (o *syncOptions) check() error {
	const least, most = time.Minute, 30 * 24 * time.Hour
	switch {
	case o.workers < 1, o.workers > maxSyncWorkers:
		return usage(fmt.Errorf("--workers is a number from 1 to %d", maxSyncWorkers))
	case o.reapply < least || o.reapply > most:
		return usage(fmt.Errorf("--reapply is %s to %s, and not %s", least, most, o.reapply))
	}
	return nil
}

// spareMemory has a large heap grow half as far as usual before it is swept: a controller
// that rests most of the time has processor time to spare, and no memory. GOGC in the
// environment says otherwise. What only starting needed of the program file goes, and
// what a busy time needed when it is over.
func spareMemory(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		paceHeap()
	}
	returnPages()
	go returnHeap(ctx)
}

// keep is the cache's folder, and its bound in bytes.
func (o *syncOptions) keep() (string, int64, error) {
	size, err := resource.ParseQuantity(o.cacheSize)
	if err != nil || size.Value() < 1<<20 {
		return "", 0, usage(fmt.Errorf("--cache-size %q is no number of bytes of at least 1Mi; hint: 512Mi, 1Gi", o.cacheSize))
	}
	return o.cache, size.Value(), nil
}

// reach reads the files that the flags name: how registries and trusted roots are
// reached. The proxy is also that of the TUF repository.
func (o *syncOptions) reach() (synchronizer.Options, verify.Options, error) {
	network, err := o.network.read()
	if err != nil {
		return synchronizer.Options{}, verify.Options{}, err
	}
	if _, err := network.Transport(); err != nil {
		return synchronizer.Options{}, verify.Options{}, usage(fmt.Errorf("reaching registries: %w", err))
	}
	verifying, err := o.root.options()
	if err != nil {
		return synchronizer.Options{}, verify.Options{}, err
	}
	if verifying.Public != nil && network.Proxy != "" {
		transport, err := artifact.Network{Proxy: network.Proxy}.Transport()
		if err != nil {
			return synchronizer.Options{}, verify.Options{}, usage(fmt.Errorf("reaching the TUF repository: %w", err))
		}
		verifying.Public.Transport = transport
	}
	return synchronizer.Options{Network: network, TokenServers: o.network.tokenServers, UserAgent: userAgent(), Reapply: o.reapply}, verifying, nil
}

func newLogger(s streams, format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(s.Err, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(s.Err, nil)), nil
	}
	return nil, usage(errors.New(`--log-format is "text" or "json"`))
}
