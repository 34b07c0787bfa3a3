package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

var (
	// errLeaseTaken ends a leader that learns that it is none.
	errLeaseTaken = errors.New("another replica took the lease")
	// errLeaseOld refuses what a leader would write that may be none any more.
	errLeaseOld = errors.New("nothing is written without the lease, and it was not renewed")
)

// tenure is the lease's lock. It ends the work as soon as it sees that another one
// leads; the library would go on for leaseRenewal.
type tenure struct {
	resourcelock.Interface
	led atomic.Bool
	end context.CancelCauseFunc
	// renewed is when the renewal was sent that was answered last; nil: the lease is
	// another's.
	renewed atomic.Pointer[time.Time]
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
	return t.write(r, func() error { return t.Interface.Create(ctx, r) })
}

func (t *tenure) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return t.write(r, func() error { return t.Interface.Update(ctx, r) })
}

func (t *tenure) write(r resourcelock.LeaderElectionRecord, write func() error) error {
	sent := time.Now()
	leads := r.HolderIdentity == t.Identity()
	if !leads {
		t.renewed.Store(nil) // it lets go
	}
	if err := write(); err != nil {
		return err
	}
	if t.led.Store(leads); leads {
		t.renewed.Store(&sent)
	}
	return nil
}

func (t *tenure) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r, raw, err := t.Interface.Get(ctx)
	if err == nil && r.HolderIdentity != t.Identity() && t.led.Swap(false) {
		t.end(fmt.Errorf("%w: %s", errLeaseTaken, r.HolderIdentity))
	}
	return r, raw, err
}

// holds says that no other replica can have the lease at now. Both clocks count: one
// stands still while the machine sleeps, the other may be set.
func (t *tenure) holds(now time.Time) bool {
	sent := t.renewed.Load()
	return sent != nil && now.Sub(*sent) < leaseRenewal && now.Round(0).Sub(sent.Round(0)) < leaseRenewal
}

// fenced is config for who writes only while the lease is held: a process that was
// stopped for longer, and goes on, has lost it without knowing.
func (t *tenure) fenced(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return fence{next: next, tenure: t} })
	return config
}

type fence struct {
	next   http.RoundTripper
	tenure *tenure
}

func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	default:
		if !f.tenure.holds(time.Now()) {
			if r.Body != nil {
				_ = r.Body.Close() // as a RoundTripper has to
			}
			return nil, fmt.Errorf("%w for %s", errLeaseOld, leaseRenewal)
		}
	}
	return f.next.RoundTrip(r)
}
