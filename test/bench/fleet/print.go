package fleet

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Print writes tables for people.
func (r *Report) Print(out io.Writer) error {
	fleets := slices.Clone(r.Fleets)
	if r.Large != nil {
		fleets = append(fleets, *r.Large)
	}
	for _, f := range fleets {
		what := fmt.Sprintf("%d releases of %d objects", f.Apps, f.Objects/f.Apps)
		if f.Apps == 1 {
			what = fmt.Sprintf("one release of %d objects", f.Objects)
		}
		rows := []row{
			{"install", f.Install}, {"upgrade, one object of each changed", f.Upgrade}, {"one idle minute", f.Idle},
			{fmt.Sprintf("%d drifts healed", f.Drift.Count), f.Drift.Cost}, {"restart", f.Restart},
		}
		if err := table(out, what, rows); err != nil {
			return err
		}
		if err := programs(out, f); err != nil {
			return err
		}
		fmt.Fprintf(out, "drift healed after %.0f ms (half of them), %.0f ms (99 of 100), %.0f ms (the slowest)\n\n", f.Drift.P50, f.Drift.P99, f.Drift.Worst)
	}
	return nil
}

// Print writes a table for people.
func (h *Hopeless) Print(out io.Writer) error {
	var rows []row
	for _, p := range h.Pairs {
		rows = append(rows, row{"install, all in good health", p.Healthy.Install}, row{"install of the others", p.Ill.Install},
			row{"upgrade, all in good health", p.Healthy.Upgrade}, row{"upgrade of the others", p.Ill.Upgrade})
	}
	if err := table(out, fmt.Sprintf("%d releases of which %d never become healthy; the limit is the fleet in good health beside it", h.Apps, h.Hopeless), rows); err != nil {
		return err
	}
	fmt.Fprintf(out, "the others take %.2f times as long to install, and %.2f times to upgrade (medians)\n\n", h.InstallRatio, h.UpgradeRatio)
	return nil
}

type row struct {
	name string
	Cost
}

func table(out io.Writer, title string, rows []row) error {
	fmt.Fprintln(out, title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tseconds\tlimit\tseen\tratio\tregistry requests\tCPU seconds\tpeak, MiB\tsteady, MiB\t  API requests")
	for _, r := range rows {
		limit, seen, ratio := "", "", ""
		if r.Limit > 0 {
			limit, ratio = fmt.Sprintf("%.2f", r.Limit), fmt.Sprintf("%.2f", r.Ratio)
		}
		if r.Seen > 0 {
			seen = fmt.Sprintf("%.2f", r.Seen)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%s\t%s\t%d\t%.2f\t%.0f\t%.0f\t  %s\n", r.name, r.Seconds, limit, seen, ratio, r.Registry, r.CPU,
			float64(r.PeakBytes)/(1<<20), float64(r.SteadyBytes)/(1<<20), verbs(r.API))
	}
	return w.Flush()
}

// programs tells whose processor time it was.
func programs(out io.Writer, f Fleet) error {
	names := slices.Sorted(maps.Keys(f.Install.Spent))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "CPU seconds\t%s\tall\t\n", strings.Join(names, "\t"))
	for _, r := range []struct {
		name  string
		spent spent
	}{
		{"the loop, install", f.Install.LimitSpent}, {"install", f.Install.Spent},
		{"the loop, upgrade", f.Upgrade.LimitSpent}, {"upgrade", f.Upgrade.Spent},
	} {
		fmt.Fprint(w, r.name, "\t")
		all := 0.0
		for _, name := range names {
			fmt.Fprintf(w, "%.1f\t", r.spent[name])
			all += r.spent[name]
		}
		fmt.Fprintf(w, "%.1f\t\n", all)
	}
	return w.Flush()
}

func verbs(counted map[string]int) string {
	var parts []string
	for _, verb := range slices.Sorted(maps.Keys(counted)) {
		parts = append(parts, fmt.Sprintf("%d %s", counted[verb], verb))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
