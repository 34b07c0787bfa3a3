package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	leaseName = "sealift-sync"
	// leaseTime is how long a leader that was killed is waited for. The leader ends
	// itself when it could not renew the lease for leaseRenewal.
	leaseTime    = 15 * time.Second
	leaseRenewal = 10 * time.Second
	// leaseRetry is how often the lease is renewed, and asked for: at most 2.2 times
	// that passes until another one leads where a leader has let go.
	leaseRetry = time.Second
	// stopTime bounds how long a pass that was told to stop may take.
	stopTime = 10 * time.Second
)

// errLeaseTaken ends a leader that learns that it is none.
var errLeaseTaken = errors.New("another replica took the lease")

// tenure is the lease's lock. It ends the work as soon as it sees that another one
// leads; the library would go on for leaseRenewal.
type tenure struct {
	resourcelock.Interface
	led atomic.Bool
	end context.CancelCauseFunc
}

func newTenure(config *rest.Config, namespace string, end context.CancelCauseFunc) (*tenure, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Timeout = -1, leaseRenewal/2 // one request that hangs loses nothing
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	coordination, err := coordinationv1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, namespace, leaseName, core, coordination,
		resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	return &tenure{Interface: lock, end: end}, err
}

func (t *tenure) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := t.Interface.Create(ctx, r)
	t.wrote(r, err)
	return err
}

func (t *tenure) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	err := t.Interface.Update(ctx, r)
	t.wrote(r, err)
	return err
}

func (t *tenure) wrote(r resourcelock.LeaderElectionRecord, err error) {
	if err == nil {
		t.led.Store(r.HolderIdentity == t.Identity())
	}
}

func (t *tenure) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r, raw, err := t.Interface.Get(ctx)
	if err == nil && r.HolderIdentity != t.Identity() && t.led.Swap(false) {
		t.end(fmt.Errorf("%w: %s", errLeaseTaken, r.HolderIdentity))
	}
	return r, raw, err
}
