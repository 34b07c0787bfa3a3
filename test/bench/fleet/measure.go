package fleet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Options of Measure; all but Large are needed.
type Options struct {
	Sealift string // the binary
	Bin     string // the parts
	Dir     string // an empty folder
	// Apps are the sizes of fleets, in releases of four objects each.
	Apps []int
	// Large is how many objects one single release has; 0: none.
	Large int
	// Idle is how long an idle minute is.
	Idle time.Duration
	// Drifts is how many objects somebody changes.
	Drifts int
	Out    io.Writer // progress
}

// Report is what Measure found.
type Report struct {
	Fleets []Fleet `json:"fleets"`
	// Large is one release of many objects; nil when none was measured.
	Large *Fleet `json:"large,omitempty"`
}

// Fleet is the life of a number of releases.
type Fleet struct {
	Apps    int `json:"apps"`
	Objects int `json:"objects"`
	// Create is how long the Deliveries took to be made, by 16 writers; before Install.
	Create float64 `json:"createSeconds"`
	// Install is from the start of the process, all Deliveries there, until all are Ready.
	Install Cost `json:"install"`
	// Upgrade is a new release of each with one object changed, from the first request
	// for a pass until all are Ready.
	Upgrade Cost `json:"upgrade"`
	Idle    Cost `json:"idle"`
	// Restart is from the start of a second process until it is quiet.
	Restart Cost   `json:"restart"`
	Drift   Drifts `json:"drift"`
}

// Measure plays all of it, each fleet on a control plane of its own.
func Measure(ctx context.Context, o Options) (*Report, error) {
	r := &Report{}
	for _, n := range o.Apps {
		apps, err := applications(n, 0)
		if err != nil {
			return nil, err
		}
		f, err := o.live(ctx, fmt.Sprintf("%d releases of 4 objects", n), apps)
		if err != nil {
			return nil, err
		}
		r.Fleets = append(r.Fleets, f)
	}
	if o.Large == 0 {
		return r, nil
	}
	apps, err := large(o.Large)
	if err != nil {
		return nil, err
	}
	f, err := o.live(ctx, fmt.Sprintf("one release of %d objects", o.Large), apps)
	r.Large = &f
	return r, err
}

// live measures the life of one fleet.
func (o Options) live(ctx context.Context, name string, apps []*app) (Fleet, error) {
	var objects []*unstructured.Unstructured
	for _, a := range apps {
		objects = append(objects, a.objects...)
	}
	result := Fleet{Apps: len(apps), Objects: len(objects)}
	fmt.Fprintf(o.Out, "%s: the bare loop\n", name)
	install, upgrade, err := o.limits(ctx, apps, objects)
	if err != nil {
		return result, fmt.Errorf("%s, the bare loop: %w", name, err)
	}
	err = o.onSite(ctx, apps, func(s *site, f *fleet) (err error) {
		fmt.Fprintf(o.Out, "%s: install\n", name)
		if result.Create, result.Install, err = s.install(ctx, f); err != nil {
			return err
		}
		result.Install.against(install)
		fmt.Fprintf(o.Out, "%s: upgrade\n", name)
		if result.Upgrade, err = s.upgrade(ctx, f, "upgraded"); err != nil {
			return err
		}
		result.Upgrade.against(upgrade)
		fmt.Fprintf(o.Out, "%s: idle for %s\n", name, o.Idle)
		if result.Idle, err = s.rest(o.Idle); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "%s: %d drifts\n", name, o.Drifts)
		if result.Drift, err = s.drift(ctx, f, o.Drifts); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "%s: restart\n", name)
		result.Restart, err = s.restart(ctx)
		return err
	})
	if err != nil {
		return result, fmt.Errorf("%s: %w", name, err)
	}
	return result, nil
}

// limits are the bare loop's times for all objects, and for one changed object of each
// application.
func (o Options) limits(ctx context.Context, apps []*app, objects []*unstructured.Unstructured) (install, upgrade limit, err error) {
	err = o.onSite(ctx, apps, func(s *site, f *fleet) error {
		if install, err = s.bareLoop(ctx, objects); err != nil {
			return err
		}
		settle()
		if err := f.change("limit"); err != nil {
			return err
		}
		var changed []*unstructured.Unstructured
		for _, a := range apps {
			changed = append(changed, a.objects[0])
		}
		upgrade, err = s.bareLoop(ctx, changed)
		return err
	})
	return install, upgrade, err
}

func (o Options) onSite(ctx context.Context, apps []*app, act func(*site, *fleet) error) error {
	dir, err := os.MkdirTemp(o.Dir, "site-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSite(ctx, o, filepath.Base(dir))
	if err != nil {
		return err
	}
	defer s.close()
	f, err := newFleet(s.registry, apps)
	if err != nil {
		return err
	}
	return act(s, f)
}

func (c *Cost) against(l limit) {
	c.Limit, c.Seen, c.Ratio, c.LimitSpent = l.sent, l.seen, c.Seconds/l.sent, l.cost
}

// install brings a fleet in: its releases are published and its Deliveries made before
// the process starts.
func (s *site) install(ctx context.Context, f *fleet) (created float64, cost Cost, err error) {
	if err := f.publish(ctx); err != nil {
		return 0, cost, err
	}
	begun := time.Now()
	if err := s.create(ctx, f); err != nil {
		return 0, cost, fmt.Errorf("creating Deliveries: %w", err)
	}
	created = time.Since(begun).Seconds()
	if err := s.begin(ctx); err != nil {
		return created, cost, err
	}
	cost, err = s.measure(func() error { return s.ready(ctx, f) })
	settle()
	return created, cost, err
}

// upgrade changes one object of every application.
func (s *site) upgrade(ctx context.Context, f *fleet, value string) (Cost, error) {
	if err := f.change(value); err != nil {
		return Cost{}, err
	}
	if err := f.publish(ctx); err != nil {
		return Cost{}, err
	}
	cost, err := s.measure(func() error {
		if err := s.request(ctx, f); err != nil {
			return fmt.Errorf("requesting passes: %w", err)
		}
		return s.ready(ctx, f)
	})
	settle()
	return cost, err
}

func (s *site) rest(idle time.Duration) (Cost, error) {
	settle()
	return s.measure(func() error {
		time.Sleep(idle)
		return nil
	})
}

// restart ends the process, starts another, and waits until it has sent nothing for a
// few seconds, which do not count.
func (s *site) restart(ctx context.Context) (Cost, error) {
	s.end()
	if err := s.begin(ctx); err != nil {
		return Cost{}, err
	}
	const quiet = 5 * time.Second
	begun, last := time.Now(), time.Now()
	cost, err := s.measure(func() error {
		for time.Since(last) < quiet && time.Since(begun) < patience {
			time.Sleep(500 * time.Millisecond)
			counted, err := s.requests(last, time.Now())
			if err != nil {
				return err
			}
			if len(counted) > 0 || time.Since(begun) < quiet {
				last = time.Now()
			}
		}
		return ctx.Err()
	})
	cost.Seconds -= quiet.Seconds()
	return cost, err
}
