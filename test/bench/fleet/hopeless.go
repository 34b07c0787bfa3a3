package fleet

import (
	"context"
	"fmt"
	"slices"
)

// Hopeless compares fleets of the same size: in one of each pair some releases never
// become healthy.
type Hopeless struct {
	Apps     int    `json:"apps"`
	Hopeless int    `json:"hopeless"`
	Pairs    []Pair `json:"pairs"`
	// InstallRatio and UpgradeRatio are how much longer the others take: the medians of
	// the pairs' ratios.
	InstallRatio float64 `json:"installRatio"`
	UpgradeRatio float64 `json:"upgradeRatio"`
}

// Pair are two fleets that were measured one after the other.
type Pair struct {
	// Healthy is the fleet in which all become Ready, Ill the one in which only others do.
	Healthy Change `json:"healthy"`
	Ill     Change `json:"ill"`
}

// Change is what bringing a fleet in took, and an upgrade of one object each.
type Change struct {
	Install Cost `json:"install"`
	Upgrade Cost `json:"upgrade"`
}

// MeasureHopeless measures pairs of fleets of n releases, of which hopeless never become
// healthy in one. The order changes from pair to pair, because machines are not as fast
// all the time.
func MeasureHopeless(ctx context.Context, o Options, n, hopeless, pairs int) (*Hopeless, error) {
	h := &Hopeless{Apps: n, Hopeless: hopeless}
	var installs, upgrades []float64
	for i := range pairs {
		var p Pair
		fleets := []struct {
			into     *Change
			hopeless int
		}{{&p.Healthy, 0}, {&p.Ill, hopeless}}
		if i%2 == 1 {
			slices.Reverse(fleets)
		}
		for _, f := range fleets {
			fmt.Fprintf(o.Out, "%d releases of which %d never become healthy, %d of %d\n", n, f.hopeless, i+1, pairs)
			if err := o.change(ctx, n, f.hopeless, f.into); err != nil {
				return nil, fmt.Errorf("%d of %d releases without hope: %w", f.hopeless, n, err)
			}
		}
		p.Ill.Install.against(limit{sent: p.Healthy.Install.Seconds})
		p.Ill.Upgrade.against(limit{sent: p.Healthy.Upgrade.Seconds})
		h.Pairs = append(h.Pairs, p)
		installs, upgrades = append(installs, p.Ill.Install.Ratio), append(upgrades, p.Ill.Upgrade.Ratio)
	}
	h.InstallRatio, h.UpgradeRatio = median(installs), median(upgrades)
	return h, nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// change measures one fleet on a control plane of its own.
func (o Options) change(ctx context.Context, n, hopeless int, c *Change) error {
	apps, err := applications(n, hopeless)
	if err != nil {
		return err
	}
	return o.onSite(ctx, apps, func(s *site, f *fleet) (err error) {
		if _, c.Install, err = s.install(ctx, f); err != nil {
			return err
		}
		c.Upgrade, err = s.upgrade(ctx, f, "upgraded")
		return err
	})
}
